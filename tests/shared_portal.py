"""The stand-in portal of the shared folder, started on a free port and told to misbehave; for any test that needs one.

@requires_shared
def test_something() -> None:
    with shared_portal(as_of="2024-12-31") as portal:
        portal.break_with({"match": "/resources/", "kind": "status", "times": 1})
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
PROGRAM, DATA = SHARED / "tools" / "portal", SHARED / "datagouv"
START_SECONDS = 30

requires_shared = pytest.mark.skipif(
    not (PROGRAM.is_file() and DATA.is_dir()),
    reason="the real files and the stand-in portal are not beside the repository, in ../shared",
)


@dataclass(frozen=True, slots=True)
class ControlledPortal:
    """A running stand-in: its address, and its side door."""

    url: str

    def control(self, **wish: Any) -> None:
        """Change ``as_of`` or ``faults``, or ``clear`` the request log."""
        answer = requests.post(f"{self.url}/__control", json=wish, timeout=START_SECONDS)
        assert answer.ok, answer.text

    def mend(self) -> None:
        """Back to the newest files, no fault, no request; cheap when the date was left alone."""
        state = requests.get(f"{self.url}/__control", timeout=START_SECONDS).json()
        self.control(faults=[], clear=True, **({"as_of": None} if state["as_of"] else {}))

    def break_with(self, *faults: dict[str, Any]) -> None:
        """Replace the fault rules and empty the request log; no rule mends everything."""
        self.control(faults=list(faults), clear=True)

    def requests(self, match: str = "") -> list[dict[str, Any]]:
        """Requests since the log was emptied whose path matches, oldest first."""
        answer = requests.get(f"{self.url}/__control/requests", params={"match": match}, timeout=START_SECONDS)
        return list(answer.json()["requests"])


@contextmanager
def shared_portal(as_of: str | None = None, faults: list[dict[str, Any]] | None = None) -> Iterator[ControlledPortal]:
    """Run the stand-in over the real files, as the portal was at the end of ``as_of``, until the block ends."""
    command = [sys.executable, str(PROGRAM), "--data", str(DATA)] + (["--as-of", as_of] if as_of else [])
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=_plain_environment()) as server,
    ):
        try:
            assert server.stdout is not None
            greeting = server.stdout.readline()  # "<n> datasets on <url>", once it listens; empty if it died
            if not greeting:
                errors.seek(0)
                pytest.fail(f"the stand-in portal did not start: {errors.read()}")
            portal = ControlledPortal(greeting.split()[-1])
            portal.control(faults=faults or [])
            yield portal
        finally:
            server.terminate()


def _plain_environment() -> dict[str, str]:
    """This environment without what makes Python programs report on themselves."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTHON"))}
