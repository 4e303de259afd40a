"""When feeds are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError
from tiny_warehouse import feed

from catalog.schedules import PRESETS, cron_of, is_due, last_due

NOON = datetime(2024, 6, 5, 12, 0, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("schedule", "last"),
    [
        ("@hourly", datetime(2024, 6, 5, 12, tzinfo=UTC)),
        ("@daily", datetime(2024, 6, 5, tzinfo=UTC)),
        ("@weekly", datetime(2024, 6, 2, tzinfo=UTC)),
        ("@monthly", datetime(2024, 6, 1, tzinfo=UTC)),
        ("@quarterly", datetime(2024, 4, 1, tzinfo=UTC)),
        ("@yearly", datetime(2024, 1, 1, tzinfo=UTC)),
        ("30 6 * * 1", datetime(2024, 6, 3, 6, 30, tzinfo=UTC)),
    ],
)
def test_last_due_is_the_last_stroke(schedule: str, last: datetime) -> None:
    assert last_due(schedule, NOON) == last
    assert is_due(schedule, last)
    assert not is_due(schedule, last + timedelta(minutes=1))


def test_a_stroke_counts_in_utc_and_to_the_minute() -> None:
    paris = datetime(2024, 6, 5, 2, 0, 59, tzinfo=timezone(timedelta(hours=2)))
    assert is_due("@daily", paris)
    assert last_due("@daily", paris) == datetime(2024, 6, 5, tzinfo=UTC)


@pytest.mark.parametrize("wrong", ["", "daily", "@fortnightly", "* * * *", "0 0 * * * *", "61 * * * *", "0 0 31 2"])
def test_what_is_no_schedule_is_refused_with_what_is(wrong: str) -> None:
    with pytest.raises(ValidationError, match="is no schedule; write one of @hourly"):
        feed("mine", schedule=wrong)


def test_presets_and_crons_are_schedules() -> None:
    assert [feed("mine", schedule=one).schedule for one in PRESETS] == list(PRESETS)
    assert cron_of("*/15 6-20 * * 1-5") == "*/15 6-20 * * 1-5"
