"""Reads an old workbook (xls, xlsb) in a process of its own, and gives its rows through a pipe.

calamine holds a sheet as one full rectangle: a single stray cell in a corner of a broken file can ask for more memory
than there is, which ends the process that reads. So it is another one, with a limit on its memory and time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from catalog.errors import Refused
from ingestion.decode.cells import value_text
from ingestion.decode.sheet import Sheet, SheetRow

MAX_MEMORY_BYTES = 4 << 30
MAX_SECONDS = 900
_SCRIPT = Path(__file__).with_name("calamine_reader.py")


def read_with_calamine(path: Path) -> Iterator[Sheet]:
    """Give the sheets of a workbook; read the rows of one before asking for the next.

    Raises:
        Refused: when it is encrypted, cut, corrupt, or needs too much memory or time.
    """
    command = [sys.executable, "-I", str(_SCRIPT), str(path), str(MAX_MEMORY_BYTES), str(MAX_SECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8") as process:
        try:
            yield from _sheets(map(json.loads, process.stdout or ()), process)
        finally:
            process.kill()


def _sheets(messages: Iterator[Any], process: subprocess.Popen[str]) -> Iterator[Sheet]:
    while message := _following(messages, process):
        if "sheet" in message:
            rows = _rows(messages, process) if message["kind"] == "WorkSheet" else None
            yield Sheet(message["sheet"], message["is_hidden"], rows, message["kind"])


def _rows(messages: Iterator[Any], process: subprocess.Popen[str]) -> Iterator[SheetRow]:
    while (message := _following(messages, process)) and "end" not in message:
        yield message["row"], [one if isinstance(one, str) else value_text(_value(one)) for one in message["cells"]]


def _value(described: Any) -> object:
    """The value that the other process could not write as JSON, or the one it could."""
    if not isinstance(described, dict):
        return described
    ((kind, written),) = described.items()
    if kind == "timedelta":
        return timedelta(seconds=written)
    if kind == "datetime":
        return datetime.fromisoformat(written)
    return date.fromisoformat(written) if kind == "date" else time.fromisoformat(written)


def _following(messages: Iterator[Any], process: subprocess.Popen[str]) -> dict[str, Any] | None:
    """The next message, or ``None`` after the last.

    Raises:
        Refused: when the process says it cannot read on, or has died.
    """
    message: dict[str, Any] | None = next(messages, None)
    if message is None:
        raise Refused(
            f"The workbook is corrupt, or needs more than {MAX_MEMORY_BYTES >> 30} GiB of memory or {MAX_SECONDS} "
            f"seconds: its reader died (exit {process.wait()})."
        )
    if "error" in message:
        raise Refused(message["error"])
    return None if "done" in message else message
