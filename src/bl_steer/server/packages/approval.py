"""What must be shown for a package to run: its content hash, and signed approvals of others.

The gate makes a `Permit` from the database; the process that runs the package checks it against
the bytes of the folder at every load, with nothing but the public key.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field

from bl_steer.processing.digest import canonical_json
from bl_steer.server.packages.content import verify_content
from bl_steer.server.packages.keys import ReviewKey, is_signed
from bl_steer.server.packages.manifest import Manifest, PackageError

if TYPE_CHECKING:
    from bl_steer.server.packages.analysis import PackageAnalysis

__all__ = ["Approval", "Permit", "approved_analysis"]

FORM = b"bl_steer approval, form 1\n"


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
            one.reviewer
            for one in self.approvals
            if one.package == self.sha256
            and (one.name, one.version) == (manifest.name, manifest.version)
            and one.is_valid(self.public_key)
        }
        if len({one.author for one in self.approvals}) != 1:
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
    from bl_steer.server.packages.analysis import package_analysis

    permit.check(Path(folder))
    return package_analysis(folder, permit.sha256)
