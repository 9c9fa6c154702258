"""The server's own key, which signs what reviewers approve: Ed25519, one for a deployment.

It lies in the service's folder, where no job can see it. Whoever can write to the database alone
can forge no approval.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Self
from uuid import uuid4

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["ReviewKey", "is_signed"]

KEY_FILE = "reviews.key"
KEY_BYTES = 32


class ReviewKey:
    """A private key; its public half, as hexadecimal, tells what it signed."""

    def __init__(self, private: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private)

    @property
    def public(self) -> str:
        """The public key, 64 hexadecimal digits."""
        return self._key.public_key().public_bytes_raw().hex()

    def sign(self, message: bytes) -> str:
        """Return the signature of a message, 128 hexadecimal digits."""
        return self._key.sign(message).hex()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read the key in a folder, made at the first time.

        Raises
        ------
        PermissionError
            When others than its owner may read it.
        OSError
            When it cannot be read or made.
        """
        path = folder / KEY_FILE
        with contextlib.suppress(FileExistsError):
            if not path.exists():
                _create(path)
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise PermissionError(
                f"the key of the reviews must be readable by its owner alone, got mode {mode:o} of "
                f"{path}; run chmod 600, and think about who may have read it"
            )
        private = path.read_bytes()
        if len(private) != KEY_BYTES:
            raise OSError(
                f"the key of the reviews must have {KEY_BYTES} bytes, got {len(private)} in "
                f"{path}; bring back its copy, or have the packages approved anew"
            )
        return cls(private)


def is_signed(message: bytes, signature: str, public: str) -> bool:
    """Return whether a signature is that of a message under a public key; never raise."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{uuid4()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, Ed25519PrivateKey.generate().private_bytes_raw())
        os.fsync(descriptor)
        os.link(draft, path)  # fails where another process was first: one key, whole
    finally:
        os.close(descriptor)
        draft.unlink()
