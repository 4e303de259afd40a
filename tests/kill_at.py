"""Runs ``odh`` and ends its own process with SIGKILL at a chosen moment.

python kill_at.py <module>:<Class.method or function> before|after <nth call> <arguments of odh…>
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any


def main() -> None:
    """Plant the kill, then run the command."""
    target, moment, nth, *arguments = sys.argv[1:]
    module, _, path = target.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, deadly(getattr(owner, name), moment, int(nth)))
    sys.argv = ["odh", *arguments]
    importlib.import_module("odh").main()


def deadly(function: Callable[..., Any], moment: str, nth: int) -> Callable[..., Any]:
    """The function, deadly at its nth call."""
    calls = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **kwargs)
        if calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


if __name__ == "__main__":
    main()
