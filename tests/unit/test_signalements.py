"""The pilot push feed takes the reports it is for, and refuses those that tell no place, time or known kind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catalog.policies import Policy
from catalog.push.batch import take
from catalog.push.contract import Contract
from catalog.registry import FEEDS_FOLDER, read_feed

FEED = read_feed(FEEDS_FOLDER / "signalements.yml")
CONTRACTS = {"signalements": Contract(FEED)}
REPORT = {"observed_at": "2024-05-01T10:30:00+02:00", "longitude": 2.35, "latitude": 48.85, "hazard_kind": "ice"}


def faults(report: dict[str, Any]) -> list[tuple[str | None, str]]:
    body = json.dumps({"feed": "signalements", "data": [report]}).encode()
    batch, _ = take(body, CONTRACTS, 0)
    return [(fault.field, fault.reason) for one in batch.rejected for fault in one.faults]


def test_a_report_is_taken_with_words_and_a_siret_or_without() -> None:
    assert faults(REPORT) == []
    assert faults({**REPORT, "description": "Verglas", "reporter_siret": "73282932000075"}) == [], "checked in silver"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"longitude": 181}, "longitude"),
        ({"latitude": -90.5}, "latitude"),
        ({"hazard_kind": "dragon"}, "hazard_kind"),
        ({"observed_at": "2024-05-01 10:30"}, "observed_at"),
        ({"reporter_siret": "732 829 320 00074"}, "reporter_siret"),
        ({"description": "x" * 2001}, "description"),
    ],
    ids=["east", "north", "kind", "time", "siret", "words"],
)
def test_a_report_that_cannot_be_placed_is_refused(change: dict[str, Any], field: str) -> None:
    assert [name for name, _ in faults({**REPORT, **change})] == [field]


def test_its_words_stay_out_of_silver_and_away_from_readers() -> None:
    assert FEED.declared[0].masks == {"description": Policy.DROP}
    assert FEED.is_restricted
