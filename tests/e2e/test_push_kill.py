"""Kill -9 of the drain at every step, then a drain that nobody disturbs: each record is there, and there once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import kill_at
import pytest
from lakes import content_of, kill_odh, odh, sql
from push_lake import GOOD, PushLake

from catalog.push.log import entries, segments

POINTS = (
    ("catalog.push.receipts:plan_flush", "before", 1),
    ("catalog.push.receipts:plan_flush", "after", 1),  # planned, nothing done
    ("catalog.storage:Store.put_file", "after", 2),  # bytes in raw, no manifest yet
    ("catalog.storage:Store.put_bytes", "after", 1),  # manifest written, the ledger does not know
    ("catalog.ledger:Ledger.replace_loads", "after", 1),
    ("catalog.iceberg:Lakehouse.append_files", "after", 1),  # in Iceberg, still pending in the ledger
    ("catalog.ledger:Ledger.finish_loads", "after", 1),  # loaded, its batches not written down
    ("catalog.push.receipts:finish_flush", "after", 1),  # in bronze, not released
    ("catalog.releases:stage", "after", 1),
    ("catalog.push.receipts:mark_released", "before", 1),  # released, its receipts not told
)


@pytest.mark.timeout(600)
def test_a_drain_killed_at_every_step_ends_as_one_clean_drain(tmp_path: Path) -> None:
    killed, clean = PushLake(tmp_path / "killed"), PushLake(tmp_path / "clean")
    for records, key in (([GOOD, {}], None), ([GOOD], "key"), ([GOOD], "key"), ([{**GOOD, "kind": "water"}] * 3, None)):
        killed.push(records, key)
    killed.log.close()
    shutil.copytree(killed.settings.push_log, clean.settings.push_log)
    for point in POINTS:
        kill_odh(killed.settings, point, "drain")
    for lake in (killed, clean):
        odh(lake.settings, "drain")
        assert segments(lake.settings.push_log) == [], "all is known, and the writer is gone"
    assert content_of(killed.settings) == content_of(clean.settings)
    batches = "select status, records, rejected, first_line from ops.push_batches order by receipt"
    told = [("curated", 1, 1, 1), ("curated", 1, 0, 2), ("duplicate", 0, 0, None), ("curated", 3, 0, 3)]
    assert sql(killed.settings, batches) == told
    assert sql(killed.settings, "select kind, measures from gold.fct_mesure order by kind") == [
        ("air", 2),
        ("water", 3),
    ]


WRITER = """
import sys
from pathlib import Path
from kill_at import deadly
import os
os.fdatasync = deadly(os.fdatasync, sys.argv[2], 5)
from catalog.push.log import PushLog
log = PushLog(Path(sys.argv[1]))
while True:
    print(log.append([b"entry"])[0], flush=True)
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_gateway_killed_around_the_sync_keeps_what_it_acknowledged(tmp_path: Path, moment: str) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), moment]
    path = os.pathsep.join([str(Path(kill_at.__file__).parent), *sys.path])
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path})
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    found = [entry.receipt for name in segments(tmp_path) for entry in entries(tmp_path, name)]
    acknowledged = ended.stdout.split()
    assert len(acknowledged) == 4
    assert found[:4] == acknowledged
