"""Watches the log of pushed records and drains it as soon as something is there, until it is told to stop."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field

import structlog

from catalog.clock import utc_now
from catalog.dbt import Dbt
from catalog.errors import LakeBusy
from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.push import receipts
from catalog.push.backlog import waiting_bytes
from catalog.push.flusher import flushing
from catalog.push.keys import forget_keys
from catalog.settings import Settings
from catalog.survey import survey_feeds
from ingestion.drain import Drain

log = structlog.get_logger()
POLL_SECONDS = 0.05
RETRY_SECONDS = 10.0  # after an error, or while a domain cannot be released
MOST_RETRY_SECONDS = 300.0
FORGET_SECONDS = 3600.0


@dataclass
class Watch:
    """One process that drains the log of a lake."""

    settings: Settings
    stop: threading.Event = field(default_factory=threading.Event)
    _failures: int = 0  # in a row
    _failed_at: float = 0.0
    _forget_at: float = 0.0

    def run(self) -> None:
        """Drain until told to stop; what is under way is finished first."""
        with flushing(self.settings.push_log, self.stop) as is_mine:
            if not is_mine:
                return
            with closing(Ledger(self.settings)) as ledger, closing(Lakehouse(self.settings)) as lakehouse:
                dbt = Dbt(self.settings, is_kept=True)
                try:
                    self._watch(ledger, lakehouse, dbt)
                finally:
                    dbt.end()

    def _watch(self, ledger: Ledger, lakehouse: Lakehouse, dbt: Dbt) -> None:
        self._flush(ledger, lakehouse, dbt)  # what an earlier process left
        while not self.stop.wait(POLL_SECONDS):
            now, has_news = time.monotonic(), waiting_bytes(self.settings.push_log) > 0
            if self._failures and now - self._failed_at < pause_seconds(self._failures, has_news=has_news):
                continue
            if has_news or self._failures:
                self._flush(ledger, lakehouse, dbt)
            elif now > self._forget_at:
                self._forget_at = now + FORGET_SECONDS
                Drain(self.settings, survey_feeds(self.settings).registry, ledger, lakehouse).forget()
                forget_keys(self.settings.push_log, time.time())

    def _flush(self, ledger: Ledger, lakehouse: Lakehouse, dbt: Dbt) -> None:
        try:
            is_done = flush(self.settings, ledger, lakehouse, dbt)
        except LakeBusy as error:
            log.warning("drain_waits", reason=str(error))
            is_done = False
        except Exception:  # this process is a service: what ends one flush must not end the next
            log.exception("drain_failed")
            is_done = False
        self._failures = 0 if is_done else self._failures + 1
        self._failed_at = time.monotonic()


def pause_seconds(failures: int, *, has_news: bool) -> float:
    """How long to wait after some failures in a row: each try is a build, but what was pushed since goes to bronze."""
    return RETRY_SECONDS if has_news else min(RETRY_SECONDS * 2.0 ** min(failures - 1, 10), MOST_RETRY_SECONDS)


def flush(settings: Settings, ledger: Ledger, lakehouse: Lakehouse, dbt: Dbt | None = None) -> bool:
    """Drain and release what waits, as one run of the ledger; False when something could not be released yet."""
    registry = survey_feeds(settings).registry
    drain = Drain(settings, registry, ledger, lakehouse)
    names = [feed.feed for feed in registry if feed.is_pushed]
    run_id = ledger.start_run("drain", names, utc_now().date())
    errors: list[str] = []
    with structlog.contextvars.bound_contextvars(run_id=run_id):
        try:
            errors += drain.load(run_id).errors
            result = drain.release(run_id, dbt)
            failed = [domain for domain in (result.domains if result else ()) if domain.status == "failed"]
            errors += [f"{domain.domain}: {domain.reason}" for domain in failed]
        except BaseException as error:
            ledger.finish_run(run_id, "failed", f"{type(error).__name__}: {error}")
            raise
        finally:
            shutil.rmtree(settings.scratch / run_id, ignore_errors=True)
    ledger.finish_run(run_id, "failed" if errors else "succeeded", "\n".join(errors) or None)
    return not receipts.unreleased_batches(ledger)
