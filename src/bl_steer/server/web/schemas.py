"""What the REST API takes and gives; `bl_steer.server.web.routes.api` is its routes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "AnalysisInfo",
    "FileInfo",
    "GroupInfo",
    "GroupMembers",
    "InputInfo",
    "JobInfo",
    "JobSummary",
    "Me",
    "MemberInfo",
    "NewGroup",
    "NewJob",
    "NewMember",
    "NewShare",
    "OutputInfo",
    "ShareInfo",
]


class Me(BaseModel):
    """Whose key it is."""

    email: str
    name: str
    role: str


class InputInfo(BaseModel):
    """One of several inputs of an analysis."""

    name: str
    title: str
    suffixes: list[str]
    most: int = Field(description="number of files")


class AnalysisInfo(BaseModel):
    """An analysis that there is."""

    name: str
    title: str
    summary: str
    suffixes: list[str]
    inputs: list[InputInfo] = Field(
        default_factory=list, description="where it has several: its files are given by these names"
    )
    columns: list[str] = Field(
        default_factory=list, description="that its table must have, where a package takes one"
    )
    package_sha256: str | None
    params: dict[str, Any] = Field(description="JSON schema of its parameters")


class FileInfo(BaseModel):
    """A file that was uploaded."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    file_name: str
    sha256: str
    size: int
    media_type: str
    created: float = Field(description="s since 1970")
    sample: str
    may_train: bool


class MaskInfo(FileInfo):
    """A mask that was given for a micrograph."""

    notes: list[str] = Field(description="how it was read, and what became of an earlier mask")


InputFiles = Annotated[list[str], Field(max_length=1000)]


SubmissionKey = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=100,
        pattern=r"^[\x21-\x7e]+$",
        description="of your own choice; a request repeated with it makes nothing new",
    ),
]


class NewJob(BaseModel):
    """An analysis to start."""

    model_config = ConfigDict(extra="forbid")

    analysis: str = Field(max_length=200)
    files: InputFiles | dict[str, InputFiles] = Field(
        description="ids of files; by the names of the inputs where the analysis has several"
    )
    params: dict[str, Any] = Field(default_factory=dict)
    mail: bool = Field(
        default=False,
        description="send a mail when it is done; refused where the server sends none",
    )
    submission_key: SubmissionKey = None


class OutputInfo(BaseModel):
    """A file of a result."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    kind: str
    size: int
    media_type: str
    sha256: str


class JobInfo(BaseModel):
    """A job."""

    id: str
    analysis: str
    state: str
    progress: tuple[int, int] = Field(description="steps done, and in all")
    cause: str
    message: str
    digest: str
    warnings: list[str]
    params: dict[str, Any]
    files: list[str]
    inputs: dict[str, list[str]] | None = Field(
        default=None, description="which of the files is which input, where there are several"
    )
    created: float
    started: float | None
    finished: float | None
    outputs: list[OutputInfo]


class JobSummary(BaseModel):
    """A job in a list."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    analysis: str
    state: str
    created: float
    finished: float | None


class NewShare(BaseModel):
    """A share link to make."""

    model_config = ConfigDict(extra="forbid")

    days: float = Field(gt=0, le=365, strict=True)


class ShareInfo(BaseModel):
    """A share link; it is told only once."""

    id: str
    url: str
    expires: float


class GroupInfo(BaseModel):
    """A group that shares files and jobs."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    created: float


class MemberInfo(BaseModel):
    """Somebody in a group."""

    id: str
    email: str
    name: str
    manages: bool = Field(description="adds and removes members")
    closed: bool = Field(description="has an account that is closed: it sees nothing")


class GroupMembers(GroupInfo):
    """A group with its members."""

    members: list[MemberInfo]


class NewGroup(BaseModel):
    """A group to make."""

    model_config = ConfigDict(extra="forbid")

    name: str
    submission_key: SubmissionKey = None


class NewMember(BaseModel):
    """Somebody to add to a group."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=254)
