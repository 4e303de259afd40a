"""A recorded run: the ledger tells how it ended, wherever it failed, and what was left lying is swept."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from conftest import lake_settings

from catalog.errors import InvalidSettings
from catalog.ledger import Ledger
from catalog.runs import recorded_run
from catalog.settings import Settings


def use(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)


def test_a_run_removes_what_killed_processes_of_this_host_left(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(settings, monkeypatch)
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    here = socket.gethostname()
    dead, alive, elsewhere = f"{here}.{gone.pid}.1", f"{here}.{os.getpid()}.2", f"not-{here}.{gone.pid}.3"
    for name in (dead, alive, elsewhere):
        (settings.spill / name).mkdir(parents=True)
    (settings.scratch / "killed-run").mkdir(parents=True)
    with recorded_run("run", [], date(2024, 1, 1)):
        assert {path.name for path in settings.spill.iterdir()} == {alive, elsewhere}
        assert list(settings.scratch.iterdir()) == []


def test_a_run_that_cannot_open_the_catalogue_is_told_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = lake_settings(tmp_path / "lake", warehouse_url=str(tmp_path / "a#b"))
    use(settings, monkeypatch)
    with pytest.raises(InvalidSettings), recorded_run("run", [], date(2024, 1, 1)):
        pytest.fail("the run began")
    with closing(Ledger(settings)) as ledger:
        [run] = ledger.arrow("runs").to_pylist()
    assert (run["status"], run["error"].partition(":")[0]) == ("failed", "InvalidSettings")
    assert run["finished_at"] is not None
