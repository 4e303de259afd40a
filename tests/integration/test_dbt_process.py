"""The dbt child process does not outlive the run that started it, whatever it is doing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from catalog.settings import REPOSITORY

CHILD = "import os, runner; print(os.getpid(), flush=True); runner.end_with(os.getppid())"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def test_dbt_ends_with_a_killed_run() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD], cwd=REPOSITORY / "dbt_project", stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout
        child = int(run.stdout.readline())
        assert is_running(child)
        run.kill()
    deadline = time.monotonic() + 20
    while is_running(child):
        assert time.monotonic() < deadline, "dbt is still at work"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return "State:\tZ" not in (status.read_text() if status.exists() else "")
