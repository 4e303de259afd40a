"""Imports dbt once and forks for each ``runner.py`` that a test's build starts; see ``sitecustomize.py`` beside it.

python dbt_server.py <socket> <process id of the tests>
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

IMPORTED = ("dbt.cli.main", "dbt.adapters.duckdb", "dbt.adapters.duckdb.impl", "dbt.task.build", "catalog.session")


def main() -> None:
    """Serve until the tests are over."""
    address, owner = sys.argv[1], int(sys.argv[2])
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no fork is waited for
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{address}.part")
        listening.listen(16)
        Path(f"{address}.part").rename(address)
        listening.settimeout(1)
        while is_running(owner):
            try:
                asking, _ = listening.accept()
            except TimeoutError:
                continue
            if os.fork() == 0:
                listening.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                be_runner(asking)
            asking.close()


def be_runner(asking: socket.socket) -> None:
    """Become the process that was asked for, and tell how it ended."""
    asking.settimeout(None)
    size, pipes, _, _ = socket.recv_fds(asking, 8, 3)
    text = b""
    while len(text) < int.from_bytes(size, "big"):
        text += asking.recv(1 << 16)
    told: dict[str, Any] = json.loads(text)
    for number, pipe in enumerate(pipes):
        os.dup2(pipe, number)
        os.close(pipe)
    os.environ.clear()
    os.environ.update(told["environment"])
    os.chdir(told["cwd"])
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    sys.argv, sys.path[0] = told["argv"], str(Path(told["argv"][0]).parent)
    threading.Thread(target=end_with, args=(asking,), daemon=True).start()
    code = 1
    try:
        runpy.run_path(told["argv"][0], run_name="__main__")
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        asking.sendall(bytes([code]))
        os._exit(code)


def end_with(asking: socket.socket) -> None:
    """End this process when the one that it stands for is gone."""
    asking.recv(1)
    os._exit(1)


def is_running(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
