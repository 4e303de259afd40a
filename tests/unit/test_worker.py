"""How a worker of the gateway sets up its process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# in a process of its own: what is frozen stays so
SETTLED = """
import gc
from pathlib import Path
from api.worker import server_of
from catalog.settings import Settings

before = gc.get_threshold()[0]
config = server_of(Settings(lake=Path("lake")), None).config
config.load()
assert gc.get_threshold()[0] > before
held = gc.get_freeze_count()
left = len(gc.get_objects())
assert held > 10 * left, f"{held} objects are left out of garbage collection, {left} are not"
"""


def test_garbage_collection_passes_over_what_a_worker_holds_for_good(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SETTLED], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
