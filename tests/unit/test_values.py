"""SQL values as JSON has them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from catalog.values import json_value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**63, 2**63),
        ("é", "é"),
        (1.5, 1.5),
        (float("nan"), None),
        (float("-inf"), None),
        (date(2024, 2, 29), "2024-02-29"),
        (datetime(2024, 2, 29, 12, tzinfo=UTC), "2024-02-29T12:00:00+00:00"),
        (datetime.fromisoformat("2024-02-29T12:00:00.000005"), "2024-02-29T12:00:00.000005"),
        (time(7, 30), "07:30:00"),
        (timedelta(days=1), "1 day, 0:00:00"),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"\x00\xff", "00ff"),
        ([1, float("nan"), date(2024, 1, 1)], [1, None, "2024-01-01"]),
        ({"a": {1: b"\x01"}}, {"a": {"1": "01"}}),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_sql_value_becomes_json(value: Any, expected: Any) -> None:
    found = json_value(value)
    assert found == expected
    assert type(found) is type(expected)
    assert json.loads(json.dumps(found, allow_nan=False)) == expected
