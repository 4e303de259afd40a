"""Which feeds, domains and commands failed last, told from the runs in their order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from catalog.alerts.alert import Alert, Kind

SYNCING, BUILDING = ("sync", "run"), ("build", "run")
Subject = tuple[str, str]  # sync, build or a command, and the feed, domain or command


@dataclass(frozen=True, slots=True)
class RunRow:
    """One ended run of the ledger."""

    command: str
    feeds: Sequence[str]
    status: str  # succeeded, failed, interrupted
    ended_at: datetime
    error: str | None = None
    will_retry: bool = False
    task_url: str | None = None


def failures(runs: Iterable[RunRow], domains: Mapping[str, str]) -> Iterator[Alert]:
    """What failed when it was last done.

    Args:
        runs: oldest first; one that is tried again says nothing yet.
        domains: of each feed that is followed; what failed of others is nobody's concern any more.
    """
    broken: dict[Subject, Alert] = {}
    for run in runs:
        if run.will_retry:
            continue
        told = _errors_of(run, domains)
        for subject in (*_covered(run, domains), (run.command, run.command)):
            if subject not in told:
                broken.pop(subject, None)
                continue
            since = broken[subject].since if subject in broken else run.ended_at
            broken[subject] = Alert(Kind.FAILURE, _named(subject), told[subject], since, run.task_url)
    yield from broken.values()


def _covered(run: RunRow, domains: Mapping[str, str]) -> list[Subject]:
    """What a run worked on."""
    followed = [feed for feed in run.feeds if feed in domains]
    found = [("sync", feed) for feed in followed if run.command in SYNCING]
    return found + [("build", domains[feed]) for feed in followed if run.command in BUILDING]


def _errors_of(run: RunRow, domains: Mapping[str, str]) -> dict[Subject, str]:
    """Why a run failed, by what failed; the whole command where it does not say."""
    if run.status == "succeeded":
        return {}
    subjects = {_label(subject): subject for subject in _covered(run, domains)}
    found: dict[Subject, str] = {}
    told: Subject | None = None  # what the line before was about: a reason may go on in the next
    is_of_files = False  # which have an alert of their own
    for line in (run.error or "").splitlines():
        label, colon, reason = line.partition(": ")
        if colon and label in subjects:
            told = subjects[label]
            found[told] = f"{found[told]}; {reason}" if told in found else reason
        elif label.startswith("feed file "):
            told, is_of_files = None, True
        elif told:
            found[told] += f" {line.strip()}"
    if is_of_files:
        return found
    return found or dict.fromkeys(_whole(run, list(subjects.values())), run.error or f"it was {run.status}")


def _label(subject: Subject) -> str:
    """How the errors of a run call a feed or a domain."""
    area, name = subject
    return f"domain {name}" if area == "build" else name


def _whole(run: RunRow, covered: Sequence[Subject]) -> list[Subject]:
    """What a failed run that names nothing was of: its one feed; its domain, built after those it reads; else itself.

    Of feeds that nobody follows any more it was nothing.
    """
    if run.command in ("sync", "build") and not covered:
        return []
    is_of_one = run.command == "build" or (run.command == "sync" and len(run.feeds) == 1)
    return [covered[-1] if is_of_one else (run.command, run.command)]


def _named(subject: Subject) -> str:
    area, name = subject
    return name if area in ("sync", name) else f"{area} of {name}"
