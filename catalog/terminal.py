"""What people see of a command: tables, progress bars on a terminal, and JSON for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from catalog.values import json_value

console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
OnProgress = Callable[[str, int, int], None]

_NARROWEST = 12  # characters a column of longer texts needs to be read: a day, half a name
_MOST_BYTES = 32  # a point in WKB is shown whole, an outline is not


@contextmanager
def progress_bar() -> Iterator[OnProgress]:
    """Show one bar on standard error while the block runs; nothing where that is no terminal."""
    told = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*told, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("starting", total=None)

        def on_progress(what: str, done: int, total: int) -> None:
            bar.update(task, description=what[:60], completed=done, total=total)

        yield on_progress


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """Print rows as a table; numbers stand right."""
    content = list(rows)
    table = Table(title=title, title_justify="left", header_style="bold")
    for position, column in enumerate(columns):
        numbers = all(isinstance(row[position], int | float) or row[position] is None for row in content)
        table.add_column(Text(column), justify="right" if content and numbers else "left", overflow="fold")
    for row in content:
        table.add_row(*(Text("" if value is None else _shown(value)) for value in row))  # a string may hold markup
    console.print(table)


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print what was asked in SQL: a table where it can be read at the terminal's width, else row under row.

    Twenty columns at 80 characters are a table of one letter a line.
    """
    found = list(rows)
    content = [["" if value is None else _shown(value) for value in row] for row in found]
    readable = (
        sum(min(max(map(cell_len, column)), _NARROWEST) + 3 for column in zip(columns, *content, strict=True)) + 1
    )
    if readable <= console.width or not content:
        print_table(columns, found)
        return
    for number, row in enumerate(content, 1):
        console.print(Rule(f"row {number}", align="left", style="none", characters="─"))
        record = Table.grid(padding=(0, 1))
        record.add_column(max_width=console.width // 2, overflow="fold")
        record.add_column(overflow="fold")
        for column, cell in zip(columns, row, strict=True):
            record.add_row(Text(column, style="bold"), Text(cell))
        console.print(record)


def print_json(value: Any) -> None:
    """Print one JSON object on standard output."""
    sys.stdout.write(json.dumps(json_value(value), ensure_ascii=False, allow_nan=False) + "\n")


def size(number: int | None) -> str:
    """A number of bytes for people."""
    if number is None:
        return "unknown"
    amount = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex() if len(value) <= _MOST_BYTES else f"{value[:_MOST_BYTES].hex()}… ({size(len(value))})"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
