"""A recorded run: everything one command does, from its start in the ledger to how it ended."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date

import structlog

from catalog.feed import Feed
from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger, is_alive
from catalog.logs import configure_logs
from catalog.registry import Registry, load_registry
from catalog.settings import Settings, load_settings


@dataclass
class Run:
    """One run in progress, with what it works on; ``errors`` decide how it ends."""

    run_id: str
    settings: Settings
    registry: Registry
    feeds: list[Feed]
    extraction_date: date
    ledger: Ledger
    lakehouse: Lakehouse
    errors: list[str] = field(default_factory=list)


@contextmanager
def recorded_run(command: str, feeds: Sequence[str], extraction_date: date) -> Iterator[Run]:
    """Open the lake for one command and record the command in the ledger, however it ends.

    Raises:
        UsageError: feeds that are wrong, before anything is written, or settings that are.
    """
    settings = load_settings()
    configure_logs(settings)
    registry = load_registry(settings)
    chosen = registry.select(feeds)
    with closing(Ledger(settings)) as ledger:
        run_id = ledger.start_run(command, [feed.feed for feed in chosen], extraction_date)
        try:
            _sweep(settings, ledger)
            with closing(Lakehouse(settings)) as lakehouse, structlog.contextvars.bound_contextvars(run_id=run_id):
                run = Run(run_id, settings, registry, chosen, extraction_date, ledger, lakehouse)
                yield run
        except BaseException as error:
            ledger.finish_run(run_id, "failed", f"{type(error).__name__}: {error}")
            raise
        else:
            ledger.finish_run(run_id, "failed" if run.errors else "succeeded", "\n".join(run.errors) or None)
        finally:
            shutil.rmtree(settings.scratch / run_id, ignore_errors=True)


def _sweep(settings: Settings, ledger: Ledger) -> None:
    """Remove what runs that were killed left on their way."""
    folders = list(settings.scratch.iterdir()) if settings.scratch.exists() else []
    running = ledger.running_runs()  # asked after the look: a run may start in between
    for folder in folders:
        if folder.name not in running:
            shutil.rmtree(folder, ignore_errors=True)
    for folder in settings.spill.iterdir() if settings.spill.exists() else ():
        mine = re.fullmatch(rf"{re.escape(socket.gethostname())}\.(\d+)\.\w+", folder.name)
        if mine and not is_alive(int(mine[1])):
            shutil.rmtree(folder, ignore_errors=True)
