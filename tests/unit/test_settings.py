"""Settings: defaults, refusals, and what a child process is handed."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.errors import InvalidSettings
from catalog.settings import Settings, is_loopback, load_settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of the developer's


def test_defaults_put_everything_under_the_lake(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.raw_root == str(tmp_path / "lake" / "raw")
    assert settings.ledger_database == f"sqlite:///{tmp_path / 'lake' / 'ledger.db'}"
    assert settings.portal_pace == 2.0


def test_unknown_name_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODH_LAK", "x")
    with pytest.raises(InvalidSettings, match=r"ODH_LAK\. Did you mean ODH_LAKE"):
        load_settings()


def test_unknown_name_in_the_env_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ODH_PORTAL_ULR=http://localhost\n")
    with pytest.raises(InvalidSettings, match="Did you mean ODH_PORTAL_URL"):
        load_settings()


def test_malformed_value_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODH_THREADS", "many")
    with pytest.raises(InvalidSettings, match="ODH_THREADS='many'"):
        load_settings()


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
        ("sqlite:////x/y.db", "sqlite:////x/y.db"),
    ],
)
def test_database_urls_name_their_driver(url: str, database: str) -> None:
    assert Settings(_env_file=None, ledger_url=url).ledger_database == database  # type: ignore[call-arg]


def test_a_loopback_portal_is_not_paced() -> None:
    assert Settings(_env_file=None, portal_url="http://127.0.0.1:5").portal_pace is None  # type: ignore[call-arg]
    assert is_loopback("http://localhost")
    assert not is_loopback("https://www.data.gouv.fr")
    assert not is_loopback("http://127.0.0.1.example.org")


def test_a_child_process_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = Settings(_env_file=None, lake=Path("here"), s3_secret_access_key="s", threads=3)  # type: ignore[call-arg, arg-type]
    for name, value in mine.as_environment().items():
        monkeypatch.setenv(name, value)
    theirs = load_settings()
    assert theirs.lake == tmp_path / "here"
    assert theirs.model_dump(exclude={"lake"}) == mine.model_dump(exclude={"lake"})
