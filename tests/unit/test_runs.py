"""A recorded run: the ledger tells how it ended, wherever it failed."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from conftest import lake_settings

from catalog.errors import InvalidSettings
from catalog.ledger import Ledger
from catalog.runs import recorded_run


def test_a_run_that_cannot_open_the_catalogue_is_told_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = lake_settings(tmp_path / "lake", warehouse_url=str(tmp_path / "a#b"))
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings), recorded_run("run", [], date(2024, 1, 1)):
        pytest.fail("the run began")
    with closing(Ledger(settings)) as ledger:
        [run] = ledger.arrow("runs").to_pylist()
    assert (run["status"], run["error"].partition(":")[0]) == ("failed", "InvalidSettings")
    assert run["finished_at"] is not None
