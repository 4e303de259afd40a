"""Python imports this at its start, where tests put its folder on PYTHONPATH: a child process becomes a fork.

Importing dbt costs more than most tests' builds, and importing what ``odh`` needs more than most of its commands.
``runner.py`` of a dbt project, and a command that ``tests/lakes.py`` starts, are handed over to a server that has
imported it all: the same program, folder, environment and pipes, in a process of its own. This process waits for it,
and either one ends with the other. With an empty ``FORKS`` nothing happens.
"""

import os
import signal
import sys


def hand_over(kind: str) -> None:
    """Let the server run what this process was started for, and end as it does."""
    import json
    import select
    import socket

    parent = os.getppid()
    with connected(kind) as server:
        told = {"argv": sys.orig_argv[1:], "cwd": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
        text = json.dumps(told).encode()
        socket.send_fds(server, [len(text).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(text)
        while os.getppid() == parent:
            if select.select([server], [], [], 0.2)[0]:
                if ended := server.recv(1):
                    os._exit(ended[0])
                os.kill(os.getpid(), signal.SIGKILL)  # no word: that is how it ended
    os._exit(1)


def connected(kind: str):  # type: ignore[no-untyped-def]
    """A connection to the server, which the first to need it starts."""
    import socket
    import subprocess
    import time
    from contextlib import suppress

    address = os.path.join(os.environ["FORKS"], kind)  # noqa: PTH118
    with suppress(FileExistsError):
        os.close(os.open(f"{address}.started", os.O_CREAT | os.O_EXCL))
        program = os.path.join(os.path.dirname(__file__), "server.py")  # noqa: PTH118, PTH120
        plain = {name: value for name, value in os.environ.items() if name not in ("FORKS", "PYTHONPATH")}
        nowhere = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.Popen(
            [sys.executable, program, kind, address, os.environ["FORKS_OWNER"]],
            env=plain,
            start_new_session=True,
            **nowhere,
        )
    deadline = time.monotonic() + 120
    while True:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(address)
            return server
        except OSError:
            server.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if os.environ.get("FORKS"):
    if os.environ.pop("FORK_COMMAND", ""):
        hand_over("odh")
    if len(sys.orig_argv) == 2 and sys.orig_argv[1].endswith("/runner.py"):
        hand_over("dbt")
