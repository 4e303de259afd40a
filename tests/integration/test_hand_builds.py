"""``dbt build`` by hand: what the current release was made from, in a file of one's own, and nothing published."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from datetime import date
from pathlib import Path

import duckdb
import pytest
import yaml
from tiny_warehouse import TinyWarehouse

from catalog.errors import UsageError
from catalog.hand_builds import open_by_hand
from catalog.iceberg import LAYERS

MONDAY, TUESDAY = date(2024, 1, 1), date(2024, 1, 2)


def state(tiny: TinyWarehouse) -> dict[str, object]:
    """Where every table and the ledger stand."""
    tables = {
        f"{layer}.{name}": tiny.lakehouse.table(layer, name).metadata_location
        for layer in LAYERS
        for name in tiny.lakehouse.names(layer)
    }
    return {**tables, "releases": tiny.ledger.arrow("releases").to_pylist(), "runs": tiny.ledger.arrow("runs").num_rows}


def test_a_build_by_hand_reads_what_was_released_and_publishes_nothing(tmp_path: Path) -> None:
    tiny = TinyWarehouse(tmp_path)
    with closing(tiny.ledger), closing(tiny.lakehouse):
        tiny.load("up", MONDAY, "code,amount\na,1\n")
        assert tiny.build(MONDAY, "up").release_id == 1
        tiny.load("up", TUESDAY, "code,amount\na,2\nb,3\n")  # loaded, and in no release
        folder = tiny.settings.lake / "feeds"
        folder.mkdir()
        for feed in tiny.registry:
            said = feed.model_dump(mode="json", exclude_defaults=True)
            said["tables"][0]["columns"] = ["code", "amount" if feed.feed == "up" else "label"]
            (folder / f"{feed.feed}.yml").write_text(yaml.safe_dump(said), "utf-8")
        before = state(tiny)
        for _ in range(2):  # a second time over what the first left
            build_by_hand(tiny.project)
        assert state(tiny) == before
    with duckdb.connect(str(tiny.project / "target" / "dev.duckdb"), read_only=True) as connection:
        assert connection.execute("select code, amount from gold.fct_up").fetchall() == [("a", 1)]
        assert connection.execute("select count(*) from gold.fct_down").fetchall() == [
            (0,)
        ]  # its feed was never synced


def build_by_hand(project: Path) -> None:
    """What docs/warehouse.md says, in a clean environment: the lake is beside the project."""
    dbt = [sys.executable, "-c", "from dbt.cli.main import cli; cli()"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("ODH_", "DBT_"))}
    done = subprocess.run(
        [*dbt, "build", "--profiles-dir", "."], cwd=project, env=plain, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_where_nothing_is_loaded_yet_it_is_said(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        with pytest.raises(UsageError, match=r"There is no lake at .*/lake. Fill it with odh run, or set ODH_LAKE"):
            open_by_hand(connection, tmp_path / "project")
        tiny = TinyWarehouse(tmp_path)
        with closing(tiny.ledger), closing(tiny.lakehouse), pytest.raises(UsageError, match="holds nothing yet"):
            open_by_hand(connection, tiny.project)
