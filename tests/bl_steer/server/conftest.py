from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bl_steer.server.db.database import Database
from bl_steer.server.db.tables import Base

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(f"service_tests_{name}", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL server for this run of the tests."""
    postgres = _beside("postgres")
    if reason := postgres.why_not():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="bl-pg-", dir="/tmp"))  # a socket's path must be short
    try:
        with postgres.postgres_server(folder) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind."""
    url = f"sqlite:///{tmp_path / 'service.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    made = Database(url)
    Base.metadata.drop_all(made.engine)
    made.create_tables()
    yield made
    Base.metadata.drop_all(made.engine)
    made.close()


@pytest.fixture(scope="module")  # while it is there, this process runs an event loop
def chromium() -> Iterator[Any]:
    """A real browser."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (make system)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site_module() -> ModuleType:
    """The module beside this one that starts servers."""
    return _beside("site")


@pytest.fixture
def site(site_module: ModuleType, tmp_path: Path) -> Iterator[Any]:
    """A running server with an empty database."""
    with site_module.running_site(tmp_path / "service") as running:
        yield running
