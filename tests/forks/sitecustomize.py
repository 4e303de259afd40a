"""Python imports this at its start, where tests put its folder on PYTHONPATH: dbt's child process becomes a fork.

Importing dbt costs more than most tests' builds. ``runner.py`` of a dbt project, and nothing else, is handed over to a
server that has imported dbt: the same file, folder, environment and pipes, in a process of its own. This process waits
for it, and either one ends with the other. With an empty ``DBT_FORKS`` nothing happens.
"""

import os
import sys


def hand_over(address: str) -> None:
    """Let the server run what this process was started for, and end with it."""
    import json
    import select
    import socket

    parent = os.getppid()
    with connected(address) as server:
        told = {"argv": sys.orig_argv[1:], "cwd": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109
        text = json.dumps(told).encode()
        socket.send_fds(server, [len(text).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(text)
        while os.getppid() == parent:
            if select.select([server], [], [], 0.2)[0]:
                ended = server.recv(1)
                os._exit(ended[0] if ended else 1)  # no word: it was killed
    os._exit(1)


def connected(address: str):  # type: ignore[no-untyped-def]
    """A connection to the server, which the first to need it starts."""
    import socket
    import subprocess
    import time
    from contextlib import suppress

    with suppress(FileExistsError):
        os.close(os.open(f"{address}.started", os.O_CREAT | os.O_EXCL))
        program = os.path.join(os.path.dirname(__file__), "dbt_server.py")  # noqa: PTH118, PTH120
        plain = {name: value for name, value in os.environ.items() if name not in ("DBT_FORKS", "PYTHONPATH")}
        nowhere = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.Popen(
            [sys.executable, program, address, os.environ["DBT_FORKS_OWNER"]],
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


if os.environ.get("DBT_FORKS") and len(sys.orig_argv) == 2 and sys.orig_argv[1].endswith("/runner.py"):
    hand_over(os.environ["DBT_FORKS"])
