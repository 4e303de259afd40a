"""When a feed is due: its ``schedule``, a preset or a cron expression of five fields, always in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
FIELDS = 5


def cron_of(schedule: str) -> str:
    """A schedule as a cron expression.

    Raises:
        ValueError: it is neither a preset nor such an expression.
    """
    if schedule in PRESETS:
        return PRESETS[schedule]
    if len(schedule.split()) != FIELDS or not _croniter().is_valid(schedule):
        raise ValueError(
            f"{schedule!r} is no schedule; write one of {', '.join(PRESETS)}, or a cron expression such as '30 6 * * 1'"
        )
    return schedule


def is_schedule(schedule: str) -> str:
    """The schedule itself, once it is known to be one."""
    cron_of(schedule)
    return schedule


def is_due(schedule: str, moment: datetime) -> bool:
    """Whether a schedule strikes in the minute of a moment."""
    return bool(_croniter().match(cron_of(schedule), moment.astimezone(UTC).replace(second=0, microsecond=0)))


def last_due(schedule: str, before: datetime) -> datetime:
    """The last moment a schedule struck, up to a moment."""
    at = before.astimezone(UTC)
    if is_due(schedule, at):
        return at.replace(second=0, microsecond=0)
    found: datetime = _croniter()(cron_of(schedule), at).get_prev(datetime)
    return found.astimezone(UTC)


def _croniter() -> Any:
    """What reads cron expressions; imported late, for most feeds have a preset."""
    from croniter import croniter  # type: ignore[import-untyped]

    return croniter
