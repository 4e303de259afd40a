"""Imports once what a program needs, and forks for each call of it in a test; see ``sitecustomize.py`` beside it.

python server.py dbt|odh <socket> <process id of the tests>
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
import traceback
from pathlib import Path
from typing import Any

IMPORTED = {
    "dbt": ("dbt.cli.main", "dbt.adapters.duckdb", "dbt.adapters.duckdb.impl", "dbt.task.build", "catalog.session"),
    # nothing that imports polars, which starts a thread when it is imported: a fork has none of its parent's threads
    "odh": ("odh", "requests", "catalog.build", "catalog.erasure", "catalog.runs", "catalog.terminal"),
}


def main() -> None:
    """Serve until the tests are over."""
    kind, address, owner = sys.argv[1], sys.argv[2], int(sys.argv[3])
    for name in IMPORTED[kind]:
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
                be_program(asking)
            asking.close()


def be_program(asking: socket.socket) -> None:
    """Become the process that was asked for, and tell how it ended."""
    told = received(asking)
    os.environ.clear()
    os.environ.update(told["environment"])
    os.chdir(told["cwd"])
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    threading.Thread(target=end_with, args=(asking,), daemon=True).start()
    code = 1
    try:
        run(told["argv"])
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        asking.sendall(bytes([code]))
        os._exit(code)


def received(asking: socket.socket) -> dict[str, Any]:
    """What is to be run, with its three pipes put in the place of this process's."""
    asking.settimeout(None)
    size, pipes, _, _ = socket.recv_fds(asking, 8, 3)
    text = b""
    while len(text) < int.from_bytes(size, "big"):
        text += asking.recv(1 << 16)
    for number, pipe in enumerate(pipes):
        os.dup2(pipe, number)
        os.close(pipe)
    told: dict[str, Any] = json.loads(text)
    return told


def run(argv: list[str]) -> None:
    """Run a module or a file as Python does."""
    if argv[0] == "-m":
        sys.argv, sys.path[0] = argv[1:], os.getcwd()  # noqa: PTH109
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = argv, str(Path(argv[0]).parent)
        runpy.run_path(argv[0], run_name="__main__")


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
