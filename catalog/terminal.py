"""What people see of a command: tables, progress bars on a terminal, and JSON for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from catalog.values import json_value

console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
OnProgress = Callable[[str, int, int], None]


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
    return f"{value:.6g}" if isinstance(value, float) else str(value)
