"""Places, limits and policies of the analysis server: ``BL_STEER_SERVICE_FOLDER`` and so on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bl_steer.processing.registry import analysis_names

__all__ = ["ServerSettings", "requirements_in"]


def requirements_in(listed: str) -> list[Requirement]:
    """Return the requirements of a list; its commas stand in specifiers too.

    Raises
    ------
    packaging.requirements.InvalidRequirement
        For what is none.

    Examples
    --------
    >>> [str(one) for one in requirements_in("ase>=3.22,<4, lmfit")]
    ['ase<4,>=3.22', 'lmfit']
    """
    parts: list[str] = []
    for word in filter(None, map(str.strip, listed.split(","))):
        if word[0].isalnum() or not parts:
            parts.append(word)
        else:
            parts[-1] += f",{word}"
    return [Requirement(part) for part in parts]


def _words(listed: str) -> list[str]:
    return [word for part in listed.split(",") if (word := part.strip())]


class ServerSettings(BaseSettings):
    """All that an operator can set; every value has a default that serves one machine."""

    model_config = SettingsConfigDict(env_prefix="BL_STEER_SERVICE_", frozen=True)

    folder: Path = Path("./bl_steer_service")
    """Database, files, keys and working folders, unless set apart."""
    database_url: str = ""
    """``postgresql+psycopg://user@host/name``; empty for SQLite in the folder."""
    files_url: str = ""
    """Where files go, an fsspec URL such as ``s3://bucket/files``; empty for the folder."""

    host: str = "127.0.0.1"
    port: int = Field(default=8800, ge=0, le=65535)
    base_url: str = ""
    """Address that users see, for links in mails; ``http://host:port`` by default."""
    behind_tls: bool = False
    """Whether a proxy serves us over HTTPS: cookies are then for HTTPS alone."""
    trusted_proxies: str = ""
    """Addresses whose ``X-Forwarded-*`` headers count, separated by commas."""
    metrics_address: str = "127.0.0.1"
    """Addresses that may read the metrics without a key, separated by commas."""

    time_zone: str = ""
    """Name such as ``Asia/Tokyo`` of the zone of times on pages that browsers without scripts show;
    empty for this machine's. With scripts a page shows its reader's own."""

    smtp_host: str = ""
    """Empty: mails wait in the outbox and are never sent."""
    smtp_port: int = Field(default=25, ge=1, le=65535)
    smtp_from: str = "bl_steer@localhost"
    smtp_starttls: bool = False
    smtp_user: str = ""
    smtp_password: str = ""
    mail_attempts: int = Field(default=12, ge=1)
    """Tries for one mail, further and further apart, before it counts as failed."""
    mail_wait_s: float = Field(default=10.0, gt=0.0)
    """Wait after the first refusal, s; doubled after each further one, up to an hour."""
    alarm_to: str = ""
    """Address that hears of silent workers, a queue that stands and a full disk; empty for none."""
    alarm_after_s: float = Field(default=300.0, gt=0.0)
    """Silence of a worker, or of a queue in which jobs wait, that raises the alarm, s."""

    lease_s: float = Field(default=30.0, gt=0.0)
    """How long a worker may be silent before its job is given to another, s; one that died and is
    started again gives it back at once."""
    poll_s: float = Field(default=0.5, gt=0.0)
    """How often workers and housekeeping look into the database, s."""
    attempts: int = Field(default=5, ge=1)
    """Workers that one job may cost before it counts as poison."""
    workers: int = Field(default=2, ge=1, le=64)
    """Jobs at a time on this machine."""
    dask: str = ""
    """Address of a dask scheduler on whose machines jobs run; empty for this machine. They need the
    files under the same URL."""
    gpu_analyses: str = ""
    """Analyses that come with us, separated by commas, whose jobs ask for a GPU as those of a
    package with ``gpu = 1`` do: ``segment, superres``."""

    job_time_s: float = Field(default=3600.0, gt=0.0)
    job_memory_mib: int = Field(default=4096, ge=64)
    job_disk_mib: int = Field(default=4096, ge=1)
    job_processes: int = Field(default=64, ge=1)
    """Processes and threads of one job."""
    job_cores: int = Field(default=1, ge=1, le=256)
    """Processes in which one job computes beside one another; each needs memory of its own."""
    job_niceness: int = Field(default=10, ge=0, le=19)
    """How much jobs yield the processor to everything else."""
    trust_packages: bool = False
    """Run jobs without a sandbox where bubblewrap is missing; each page then says so."""

    package_dependencies: str = ""
    """Libraries that packages may ask for beside the server's own, separated by commas, each with
    the versions that are allowed: ``lmfit==1.3.4, ase>=3.22,<4``."""

    max_upload_mib: int = Field(default=2048, ge=1)
    """Largest file, MiB."""
    max_files: int = Field(default=300, ge=1)
    """Files of one upload."""
    quota_mib: int = Field(default=20_480, ge=1)
    """Files of one user, MiB."""
    quota_jobs: int = Field(default=200, ge=1)
    """Jobs of one user that wait or run."""
    rate_per_minute: int = Field(default=600, ge=1)
    """Requests of one user or address in a minute."""
    sign_in_per_minute: int = Field(default=10, ge=1)
    """Wrong passwords for one account from one address, in a minute."""
    sign_in_most_per_minute: int = Field(default=300, ge=1)
    """Wrong passwords from one address, or for one account, in all, in a minute: a whole laboratory
    may have one address."""

    session_days: float = Field(default=7.0, gt=0.0)
    share_days: float = Field(default=30.0, gt=0.0)
    """Default life of a share link, days."""
    keep_days: float = Field(default=365.0, gt=0.0)
    """Uploads and results older than this are deleted, days."""
    data_policy: Literal["always", "opt-out", "opt-in"] = "opt-out"
    """Whether uploads may serve to train models; shown at each upload."""
    registration: bool = False
    """Whether anybody may make an account; otherwise an admin does."""

    oidc_issuer: str = ""
    """Issuer of an identity provider; empty for local accounts alone."""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    oidc_client_auth: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"
    """How the provider wants the secret: in a header, the standard's default, or in the form."""
    oidc_name: str = "single sign-on"
    oidc_scope: str = "openid email profile"
    """What is asked of the provider; some tell groups only where ``groups`` is in it."""
    oidc_groups_claim: str = "groups"
    oidc_admin_groups: str = ""
    oidc_reviewer_groups: str = ""
    """Groups whose members are administrators and reviewers, separated by commas. With either, the
    role follows the provider at each sign-in; with neither, it is set here."""

    @field_validator("package_dependencies")
    @classmethod
    def _check_dependencies(cls, listed: str) -> str:
        try:
            requirements_in(listed)
        except InvalidRequirement as error:
            rule = "names with versions, by commas, such as lmfit==1.3.4, ase>=3.22,<4"
            raise ValueError(rule) from error
        return listed

    @field_validator("gpu_analyses")
    @classmethod
    def _check_gpu_analyses(cls, listed: str) -> str:
        known = analysis_names()
        if not set(_words(listed)) <= {*known}:
            raise ValueError(f"names by commas, of {', '.join(known)}")
        return listed

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, name: str) -> str:
        try:
            return ZoneInfo(name).key if name else ""
        except (KeyError, ValueError, OSError) as error:  # a folder of zones is an OSError
            raise ValueError("the name of a time zone, such as Asia/Tokyo") from error

    def check_folder(self) -> None:
        """Raise `FileNotFoundError` where no server has been started in the folder.

        Raises
        ------
        RuntimeError
            Where one was not restored to the end.
        """
        self.check_restored()
        if not self.database_url and not (self.folder / "service.db").exists():
            raise FileNotFoundError(
                f"the folder must be a server's, got {self.folder} without a database; give "
                "--folder or BL_STEER_SERVICE_FOLDER, or run 'bl-steer serve' first"
            )

    def check_restored(self) -> None:
        """Raise `RuntimeError` where a restore ended in the middle."""
        if self.restoring.exists():
            raise RuntimeError(
                f"a server must be restored as a whole, got {self.folder} where the restore of "
                f"{self.restoring.read_text(encoding='utf-8')} was not finished; run it again, "
                "here or into an empty folder"
            )

    @property
    def restoring(self) -> Path:
        """The mark of a restore under way, or not finished: the place of its backup."""
        return self.folder.absolute() / "restoring"

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.folder.absolute() / 'service.db'}"

    @property
    def files(self) -> str:
        """The URL of the file store."""
        return self.files_url or f"file://{self.folder.absolute() / 'files'}"

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folder of the server, however it is written: nothing for users to read of."""
        return self.folder.absolute(), self.folder.resolve()

    @property
    def work(self) -> Path:
        """Folder of the jobs under way."""
        return self.folder.absolute() / "work"

    @property
    def keys(self) -> Path:
        """Folder of the private keys."""
        return self.folder.absolute() / "keys"

    @property
    def caches(self) -> Path:
        """Folder of what libraries made beforehand, for all jobs."""
        return self.folder.absolute() / "caches"

    @property
    def allowed_dependencies(self) -> tuple[Requirement, ...]:
        """Libraries that packages may ask for, each with the versions that are allowed."""
        return tuple(requirements_in(self.package_dependencies))

    @property
    def with_gpu(self) -> frozenset[str]:
        """Names of the analyses that come with us whose jobs ask for a GPU."""
        return frozenset(_words(self.gpu_analyses))

    @property
    def dependencies(self) -> Path:
        """Folder of the libraries that packages ask for."""
        return self.folder.absolute() / "dependencies"

    @property
    def views(self) -> Path:
        """Folder of the values of files that somebody looks at, which can be made again."""
        return self.folder.absolute() / "views"

    @property
    def address(self) -> str:
        """What links in mails begin with, without a slash at the end."""
        return (self.base_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def served(self) -> Path:
        """Where the server in the folder leaves its address, for commands beside it."""
        return self.folder.absolute() / "address"

    @property
    def known_address(self) -> str:
        """The address that is set, or that the server in the folder has; empty if neither."""
        if self.base_url:
            return self.address
        if self.served.exists():
            return self.served.read_text(encoding="utf-8").strip()
        return self.address if "port" in self.model_fields_set else ""
