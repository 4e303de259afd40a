"""A recorded run: everything one command does, from its start in the ledger to how it ended."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date

import structlog

from catalog.errors import PermanentError
from catalog.feed import Feed
from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.logs import configure_logs
from catalog.origin import Origin
from catalog.registry import Registry, load_registry
from catalog.settings import Settings, load_settings
from catalog.spill import sweep_spill
from catalog.survey import Survey, survey_feeds

log = structlog.get_logger()


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
def recorded_run(
    command: str,
    feeds: Sequence[str],
    extraction_date: date,
    *,
    is_tolerant: bool = False,
    is_alone: bool = False,
    origin: Origin | None = None,
) -> Iterator[Run]:
    """Open the lake for one command and record the command in the ledger, however it ends.

    Args:
        is_tolerant: go on without feeds whose files are wrong, unless they are named; they are errors of the run.
        is_alone: take the named feeds only, and not those they depend on.

    Raises:
        UsageError: feeds that are wrong, before anything is written, or settings that are.
    """
    settings = load_settings()
    configure_logs(settings)
    survey = survey_feeds(settings) if is_tolerant else Survey(load_registry(settings))
    survey.demand(feeds)
    registry = survey.registry
    chosen = [registry.get(name) for name in feeds] if is_alone else registry.select(feeds)
    wrong = {} if feeds else survey.mistakes
    for name, mistake in wrong.items():
        log.error("feed_left_out", feed=name, reason=mistake)
    with closing(Ledger(settings)) as ledger:
        run_id = ledger.start_run(command, [feed.feed for feed in chosen], extraction_date, origin)
        errors = [f"feed file {name}: {mistake}" for name, mistake in wrong.items()]
        try:
            _sweep(settings, ledger)
            with closing(Lakehouse(settings)) as lakehouse, structlog.contextvars.bound_contextvars(run_id=run_id):
                run = Run(run_id, settings, registry, chosen, extraction_date, ledger, lakehouse, errors)
                yield run
        except BaseException as error:
            told = "\n".join(errors) or f"{type(error).__name__}: {error}"
            ledger.finish_run(run_id, "failed", told, will_retry=_comes_again(error, origin))
            raise
        else:
            ledger.finish_run(run_id, "failed" if errors else "succeeded", "\n".join(errors) or None)
        finally:
            shutil.rmtree(settings.scratch / run_id, ignore_errors=True)


def _comes_again(error: BaseException, origin: Origin | None) -> bool:
    """Whether the scheduler tries the same again."""
    return origin is not None and origin.try_number <= origin.max_tries and not isinstance(error, PermanentError)


def _sweep(settings: Settings, ledger: Ledger) -> None:
    """Remove what runs that were killed left on their way."""
    folders = list(settings.scratch.iterdir()) if settings.scratch.exists() else []
    running = ledger.running_runs()  # asked after the look: a run may start in between
    for folder in folders:
        if folder.name not in running:
            shutil.rmtree(folder, ignore_errors=True)
    sweep_spill(settings)
