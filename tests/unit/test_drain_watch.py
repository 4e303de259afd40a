"""How often a drain tries again what could not be done."""

from __future__ import annotations

import pytest

from ingestion.drain_watch import MOST_RETRY_SECONDS, RETRY_SECONDS, pause_seconds


@pytest.mark.parametrize(
    ("failures", "has_news", "seconds"),
    [
        pytest.param(1, False, RETRY_SECONDS, id="soon at first"),
        pytest.param(3, False, 4 * RETRY_SECONDS, id="later each time"),
        pytest.param(50, False, MOST_RETRY_SECONDS, id="never too late"),
        pytest.param(50, True, RETRY_SECONDS, id="soon where something was pushed since"),
    ],
)
def test_a_drain_that_fails_waits_longer_unless_something_comes(failures: int, has_news: bool, seconds: float) -> None:
    assert pause_seconds(failures, has_news=has_news) == seconds
