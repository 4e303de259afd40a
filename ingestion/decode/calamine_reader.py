"""A program of its own: writes the cells of a workbook to its standard output, one JSON object a line.

It imports nothing of the project, so it starts in a moment: `python -I calamine_reader.py FILE MEMORY_BYTES SECONDS`.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import python_calamine as calamine


def main(path: str, memory_bytes: int, seconds: int) -> None:
    """Write each sheet, its rows that hold something, its end; or the error."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        for message in messages(path):
            sys.stdout.write(json.dumps(message, default=describe) + "\n")
    except BrokenPipeError:
        raise
    except calamine.PasswordError:
        write_error("It is encrypted: ask its publisher for an open file.")
    except BaseException as error:  # a panic of calamine is no Exception
        write_error(f"The workbook is cut or corrupt: {error}. Download it again.")


def write_error(reason: str) -> None:
    sys.stdout.write(json.dumps({"error": reason}) + "\n")


def messages(path: str) -> Iterator[dict[str, Any]]:
    with calamine.load_workbook(path) as workbook:
        for number, about in enumerate(workbook.sheets_metadata):
            is_hidden = about.visible != calamine.SheetVisibleEnum.Visible
            kind = str(about.typ).rpartition(".")[2]
            yield {"sheet": about.name, "is_hidden": is_hidden, "kind": kind}
            if about.typ == calamine.SheetTypeEnum.WorkSheet:
                yield from rows(workbook, number)
    yield {"done": True}


def rows(workbook: calamine.CalamineWorkbook, number: int) -> Iterator[dict[str, Any]]:
    """The rows of one sheet and its end, or the reason why it cannot be read."""
    try:
        sheet = workbook.get_sheet_by_index(number)
        first_column = sheet.start[1] if sheet.start else 0
        for row, cells in enumerate(sheet.iter_rows() if sheet.start else [], 1):
            while cells and cells[-1] == "":
                cells.pop()
            if cells:
                yield {"row": row, "cells": [""] * first_column + cells}
    except GeneratorExit:
        raise
    except BaseException as error:
        yield {"error": f"This sheet is corrupt: {error}."}
    else:
        yield {"end": True}


def describe(value: Any) -> dict[str, Any]:
    """Give a value that JSON cannot hold as its type and its text, or its seconds."""
    return {type(value).__name__: value.total_seconds() if isinstance(value, timedelta) else value.isoformat()}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
