"""The present; the only place that reads the clock of the wall."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The present, aware."""
    return datetime.now(UTC)
