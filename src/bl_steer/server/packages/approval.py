"""What must be shown for a package to run: its content hash, and signed approvals of others.

The catalogue makes a `Permit` from the database; the process that runs the package checks it
against the bytes of the folder at every load, with nothing but the public key.

The server's own key signs what reviewers approve: Ed25519, one for a deployment. It lies in the
server's folder, where no job can see it; whoever can write to the database alone forges no
approval.
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
from pydantic import BaseModel, ConfigDict, Field

from bl_steer.processing.digest import canonical_json
from bl_steer.server.packages.analysis import PackageAnalysis, package_analysis
from bl_steer.server.packages.content import verify_content
from bl_steer.server.packages.manifest import Manifest, PackageError

__all__ = ["Approval", "Permit", "ReviewKey", "approved_analysis", "is_signed"]

FORM = b"bl_steer approval, form 1\n"
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


class Approval(BaseModel):
    """One reviewer's word for one content, signed by the server that took it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Content hash."""
    name: str
    version: str
    author: str
    reviewer: str
    """Ids of users, as of the author."""
    time: float
    signature: str = ""

    def signed(self, key: ReviewKey) -> Self:
        """Return the approval with its signature."""
        return self.model_copy(update={"signature": key.sign(self._message())})

    def is_valid(self, public: str) -> bool:
        """Return whether it was signed as it stands, and is no one's word for himself."""
        return self.reviewer != self.author and is_signed(self._message(), self.signature, public)

    def _message(self) -> bytes:
        return FORM + canonical_json(self.model_dump(exclude={"signature"})).encode()


class Permit(BaseModel):
    """A package's content hash, the approvals of it, and the key that signed them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    approvals: tuple[Approval, ...]
    public_key: str

    def check(self, folder: Path) -> Manifest:
        """Return the manifest of a folder that is what was approved, by as many as it needs.

        Raises
        ------
        PackageError
            When a byte differs, a file was added, or too few approvals hold.
        """
        manifest = verify_content(folder, self.sha256)
        reviewers = {
            approval.reviewer
            for approval in self.approvals
            if approval.package == self.sha256
            and (approval.name, approval.version) == (manifest.name, manifest.version)
            and approval.is_valid(self.public_key)
        }
        if len({approval.author for approval in self.approvals}) != 1:
            reviewers = set()
        if len(reviewers) < manifest.approvals_needed:
            raise PackageError(
                f"{manifest.name} {manifest.version} must be approved by "
                f"{manifest.approvals_needed} besides its author, got {len(reviewers)} valid "
                f"approvals of {self.sha256[:12]}…; have it reviewed"
            )
        return manifest


def approved_analysis(folder: str | Path, permit: Permit) -> PackageAnalysis:
    """Return the package in a folder as an analysis, after checking that it may run.

    Its bytes are compared again when it is loaded. Raises what `Permit.check` raises.
    """
    permit.check(Path(folder))
    return package_analysis(folder, permit.sha256)
