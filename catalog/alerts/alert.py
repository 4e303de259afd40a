"""One alert, the kinds there are, and what each asks for; the runbooks are in ``docs/operations.md``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What an alert is about; the value is its heading in the runbook, with underscores."""

    FAILURE = "failure"
    LATE_DATA = "late_data"
    TESTS_FAILED = "tests_failed"
    TESTS_WARNED = "tests_warned"
    BREAKING_DRIFT = "breaking_drift"
    ROWS_COLLAPSED = "rows_collapsed"
    DEAD_LINKS = "dead_links"
    FEED_FILE_WRONG = "feed_file_wrong"
    INGEST_BACKLOG = "ingest_backlog"
    TASK_FAILED = "task_failed"
    LEDGER_AWAY = "ledger_away"

    @property
    def anchor(self) -> str:
        """Heading of its runbook."""
        return self.value.replace("_", "-")


ERROR, WARNING = "error", "warning"
MILD = {Kind.TESTS_WARNED, Kind.DEAD_LINKS}
TITLES = {
    Kind.FAILURE: "failed",
    Kind.LATE_DATA: "late data",
    Kind.TESTS_FAILED: "tests failed",
    Kind.TESTS_WARNED: "tests warned",
    Kind.BREAKING_DRIFT: "breaking change",
    Kind.ROWS_COLLAPSED: "rows collapsed",
    Kind.DEAD_LINKS: "dead links",
    Kind.FEED_FILE_WRONG: "feed file wrong",
    Kind.INGEST_BACKLOG: "ingest backlog",
    Kind.TASK_FAILED: "task failed",
    Kind.LEDGER_AWAY: "away",
}
ADVICE = {
    Kind.FAILURE: "Read the reason. What passes by itself is tried at the next run; else repair it, run again.",
    Kind.LATE_DATA: "See whether the scheduler runs and the portal answers, then sync the feed.",
    Kind.TESTS_FAILED: "Readers keep the previous release. Look at the offending rows: odh report.",
    Kind.TESTS_WARNED: "The data was released. Look at the offending rows: odh report.",
    Kind.BREAKING_DRIFT: "See what changed in ops.schema_changes, and adapt models and readers.",
    Kind.ROWS_COLLAPSED: "Compare the new file with the one before; the publisher may have sent a part only.",
    Kind.DEAD_LINKS: "Tell the publisher, or correct the feed's resources.",
    Kind.FEED_FILE_WRONG: "Correct the file and check it: odh feeds validate. Until then the feed does not run.",
    Kind.INGEST_BACKLOG: "See that the drain runs: pushed records wait to become rows.",
    Kind.TASK_FAILED: "Read the task's log: it ended before the ledger could tell of it.",
    Kind.LEDGER_AWAY: "Start the database server. Nothing runs until then, and no other alert can be told.",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that holds now."""

    kind: Kind
    subject: str  # the feed, domain, table or task it is about
    what: str
    since: datetime
    link: str | None = None  # the page where it happened

    @property
    def fingerprint(self) -> str:
        """What makes two sights of it one alert."""
        return f"{self.kind}:{self.subject}"

    @property
    def severity(self) -> str:
        """``warning`` for what can wait, ``error`` for the rest."""
        return WARNING if self.kind in MILD else ERROR

    @property
    def title(self) -> str:
        """A line for people."""
        return f"{self.subject}: {TITLES[self.kind]}"
