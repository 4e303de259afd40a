"""Writers exclude each other; a dead one holds nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import lake_settings

from catalog.errors import LakeBusy
from catalog.ledger import Ledger
from catalog.locks import exclusive

HOLD = """
import sys, os
from catalog.settings import load_settings
from catalog.ledger import Ledger
from catalog.locks import exclusive
settings = load_settings()
with exclusive(settings, Ledger(settings), "build"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_held_lock_is_refused_with_its_holder_and_freed_by_a_kill(tmp_path: Path) -> None:
    settings = lake_settings(tmp_path / "lake", lock_timeout_seconds=0)
    ledger = Ledger(settings)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env=settings.as_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LakeBusy, match=f"process {holder.pid}"), exclusive(settings, ledger, "build"):
            pass
        with exclusive(settings, ledger, "another"):
            pass
        holder.kill()
    with exclusive(settings, ledger, "build"):
        pass
    ledger.close()
