"""Fixtures every level of tests shares: a lake of its own for each test, and the sample portal."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import hypothesis
import pytest
from shared_portal import ControlledPortal, shared_portal

from catalog.functions import install_functions
from catalog.settings import PREFIX, Settings
from ingestion.sample.generator import write_sample
from ingestion.sample.portal import running_portal

hypothesis.settings.register_profile("tests", deadline=None)  # how long a case takes says how busy the machine is
hypothesis.settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def _programs_are_imported_once() -> Iterator[None]:
    """Let dbt and ``odh`` be forks of what has imported them (``tests/forks``); an empty FORKS turns it off."""
    folder = tempfile.mkdtemp()
    with pytest.MonkeyPatch.context() as patched:
        if "FORKS" not in os.environ:
            patched.setenv("FORKS", folder)
            patched.setenv("FORKS_OWNER", str(os.getpid()))
            patched.setenv("PYTHONPATH", str(Path(__file__).parent / "forks"), prepend=os.pathsep)
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own ODH_ variables out of the tests."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an empty lake, with no wait between tries and a portal nobody answers at."""
    return lake_settings(tmp_path / "lake")


def lake_settings(lake: Path, **more: object) -> Settings:
    """Settings of a lake for tests."""
    defaults: dict[str, object] = {"portal_url": "http://127.0.0.1:9", "http_backoff_seconds": 0.01, "http_retries": 2}
    return Settings(_env_file=None, lake=lake, **{**defaults, **more})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sample of the portal's datasets."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, scale=0.1, seed=7)
    return folder


@pytest.fixture(scope="session")
def sample_url(sample_folder: Path) -> Iterator[str]:
    """Address of a sample portal over the small sample."""
    with running_portal(sample_folder) as url:
        yield url


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with the functions that read French texts, in UTC."""
    with duckdb.connect() as opened:
        opened.execute("set global timezone = 'UTC'")
        install_functions(opened)
        yield opened


@pytest.fixture(scope="module")
def stand_in() -> Iterator[ControlledPortal]:
    """The stand-in portal of the shared folder, one for all tests of a module."""
    with shared_portal() as running:
        yield running


@pytest.fixture
def portal(stand_in: ControlledPortal) -> ControlledPortal:
    """The stand-in portal without faults, as it is today."""
    stand_in.mend()
    return stand_in
