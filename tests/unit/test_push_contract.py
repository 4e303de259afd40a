"""What may be pushed: records held against their contract, bodies that are no batch, feeds that contradict it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from push_lake import FEED, FIELDS, GOOD, taken
from pydantic import ValidationError

from catalog.feed import Feed
from catalog.push.batch import MOST_RECORDS, PushRefused, take
from catalog.push.contract import Contract

CONTRACTS = {"capteurs": Contract(Feed.model_validate(FEED))}
FAULTS = [
    ({}, [("at", "required, and missing"), ("value", "required, and missing")]),
    ({**GOOD, "at": None}, [("at", "required, and null was given")]),
    ({**GOOD, "at": "yesterday"}, [("at", "invalid RFC3339 encoded datetime")]),
    ({**GOOD, "at": "2024-05-01T08:30:00"}, [("at", "expected 'datetime' with a timezone component")]),
    ({**GOOD, "value": "12.5"}, [("value", "expected 'float', got 'str'")]),
    ({**GOOD, "value": 51}, [("value", "expected 'float' <= 50.0")]),
    ({**GOOD, "value": [1]}, [("value", "expected 'float', got 'array'")]),
    ({**GOOD, "kind": "fire"}, [("kind", "not one of air, water")]),
    ({**GOOD, "note": "x" * 101}, [("note", "expected 'str' of length <= 100")]),
    ({**GOOD, "count": 1.5}, [("count", "expected 'int', got 'float'")]),
    ({**GOOD, "count": 2**70}, [("count", "expected 'int' <= 9223372036854775807")]),
    ({**GOOD, "valeu": 3}, [("valeu", "no field of this feed; did you mean 'value'?")]),
    (3, [(None, "expected 'object', got 'int'")]),
    ([], [(None, "expected 'object', got 'array'")]),
]


@pytest.mark.parametrize(("record", "faults"), FAULTS, ids=[json.dumps(record)[:60] for record, _ in FAULTS])
def test_a_record_that_breaks_the_contract_is_told_field_by_field(record: Any, faults: list[tuple[str, str]]) -> None:
    batch = taken([GOOD, record])
    assert batch.accepted == 1
    (rejected,) = batch.rejected
    assert (rejected.index, json.loads(rejected.raw)) == (1, record)
    assert [(fault.field, fault.reason) for fault in rejected.faults] == faults


@pytest.mark.parametrize("given", [None, "air", "water"])
def test_what_is_optional_may_be_null_or_left_out(given: str | None) -> None:
    assert taken([{**GOOD, "kind": given}, {"at": GOOD["at"], "value": 0}]).accepted == 2


def test_a_field_given_twice_is_refused_and_quotes_in_a_text_are_not() -> None:
    body = b'{"feed":"capteurs","data":[{"at":"2024-05-01T08:30:00Z","value":1,"value":2},{"at":"2024-05-01T08:30:00Z",'
    body += b'"value" :1, "note":"he said \\"value\\":2"}]}'
    batch, _ = take(body, CONTRACTS, 0)
    assert batch.accepted == 1
    assert [(one.index, one.faults[0].reason) for one in batch.rejected] == [(0, "given more than once")]


@pytest.mark.parametrize("gap", [" ", "\n", "\t", "\r", "  \n"], ids=repr)
def test_a_field_given_twice_is_refused_whatever_stands_before_its_colon(gap: str) -> None:
    record = f'{{"at":"2024-05-01T08:30:00Z","value":1,"value"{gap}:2}}'
    batch, _ = take(f'{{"feed":"capteurs","data":[{record}]}}'.encode(), CONTRACTS, 0)
    assert [(one.faults[0].field, one.faults[0].reason) for one in batch.rejected] == [
        ("value", "given more than once")
    ]
    assert taken([{**GOOD, "note": f"Attention{gap}: verglas"}]).accepted == 1


def test_a_name_somebody_chose_is_told_short_and_without_what_a_database_refuses() -> None:
    batch = taken([{**GOOD, "a\0\u2028é": 1, "n" * 2_000_000: 1}])
    [odd, long] = [fault.field or "" for fault in batch.rejected[0].faults]
    assert odd == "a\\u0000\\u2028é"
    assert (len(long), long[-1]) == (126, "…")
    assert len(batch.rejected[0].raw) > 2_000_000, "the record itself is kept as it came"


def test_a_record_of_a_million_fields_is_told_in_a_hundred() -> None:
    batch = taken([{**GOOD, **{f"more_{number}": 1 for number in range(200_000)}}])
    faults = batch.rejected[0].faults
    assert len(faults) == 101
    assert (faults[-1].field, faults[-1].reason) == (None, "199,900 more fields that are none of this feed's")


def test_more_records_than_a_batch_may_hold_are_refused() -> None:
    body = b'{"feed":"capteurs","data":[%b]}' % b",".join([b"{}"] * (MOST_RECORDS + 1))
    with pytest.raises(PushRefused, match="100,001 records, and one push may 100,000") as refused:
        take(body, CONTRACTS, 0)
    assert refused.value.status == 413


NUMBERS = [
    ("1e999", "number out of range"),
    ("9" * 5000, "number out of range"),
    ("-" + "9" * 400, "number out of range"),
]


@pytest.mark.parametrize(("text", "reason"), NUMBERS, ids=[text[:8] for text, _ in NUMBERS])
def test_a_number_no_double_holds_is_refused_with_its_record(text: str, reason: str) -> None:
    body = f'{{"feed":"capteurs","data":[{json.dumps(GOOD)},{{"at":"2024-05-01T08:30:00Z","value":{text}}}]}}'
    batch, _ = take(body.encode(), CONTRACTS, 0)
    assert (batch.accepted, [fault.reason for fault in batch.rejected[0].faults]) == (1, [reason])


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", '"\\ud800"', '"\0"'])
def test_what_is_no_json_is_refused_with_its_place(text: str) -> None:
    body = f'{{"feed":"capteurs","data":[{{"at":"2024-05-01T08:30:00Z","value":1,"note":{text}}}]}}'
    with pytest.raises(PushRefused, match=r"no JSON: .* at line 1, column") as refused:
        take(body.encode(), CONTRACTS, 0)
    assert refused.value.status == 400


def test_a_record_keeps_its_bytes_on_one_line() -> None:
    body = b'{"feed":"capteurs","data":[{"value" : 1.50,\n\n "at":"2024-05-01T08:30:00.000Z"},'
    body += b'{"at":"2024-05-01T08:30:00Z","value":1e1}]}'
    batch, _ = take(body, CONTRACTS, 0)
    expected = b'{"value" : 1.50,   "at":"2024-05-01T08:30:00.000Z"}\n{"at":"2024-05-01T08:30:00Z","value":1e1}\n'
    assert batch.lines == expected


BODIES = [
    (b'{"feed":"capteurs",\n"data":[}', 400, "line 2, column 9 (byte 28)"),
    (b'{"feed":"capteurs","data":[{"at"', 400, "the JSON ends too soon, at line 1, column 33"),
    (b"", 400, "ends too soon"),
    (b"[]", 400, "Expected 'object', got 'array'"),
    (b'{"data":[]}', 400, "missing required field 'feed'"),
    (b'{"feed":"capteurs","data":{}}', 400, "Expected 'array', got 'object' - at 'data'"),
    (b'{"feed":"capteurs","data":[],"more":1}', 400, "unknown field 'more'"),
    (b'{"feed":"capteurs","data":[]}', 422, "holds no record"),
    (b'{"feed":"capteur","data":[{}]}', 422, "Did you mean 'capteurs'?"),
    (b'{"feed":"capteurs","data":' + b"[" * 100_000, 400, "nested too deep"),
    (b"\xff\xfe", 400, "invalid character"),
]


@pytest.mark.parametrize(("body", "status", "told"), BODIES, ids=[str(body[:30]) for body, *_ in BODIES])
def test_a_body_that_is_no_batch_is_refused_with_its_place(body: bytes, status: int, told: str) -> None:
    with pytest.raises(PushRefused) as refused:
        take(body, CONTRACTS, 0)
    assert refused.value.status == status
    assert told in str(refused.value)


@pytest.mark.parametrize("how", ["beside", "inside"])
def test_atomic_takes_all_or_none(how: str) -> None:
    body = {"feed": "capteurs", "data": [GOOD, {}, GOOD, 1], **({"atomic": True} if how == "inside" else {})}
    with pytest.raises(PushRefused, match="2 of 4 records are wrong") as refused:
        take(json.dumps(body).encode(), CONTRACTS, 0, atomic=True if how == "beside" else None)
    assert [one.index for one in refused.value.faults] == [1, 3]


def test_the_contract_is_a_json_schema() -> None:
    schema = CONTRACTS["capteurs"].json_schema()
    assert schema["required"] == ["at", "value"]
    assert schema["properties"]["at"] == {"type": "string", "format": "date-time", "description": "When."}
    assert schema["properties"]["kind"]["enum"] == ["air", "water", None]
    assert not schema["additionalProperties"]


TABLE = FEED["tables"][0]
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"source": {"dataset": "d", "push": {"fields": FIELDS}}}, "exactly one of"),
    ({"tables": [{**TABLE, "mode": "overwrite"}]}, "'mode' is append or upsert"),
    ({"tables": [{**TABLE, "columns": ["at"]}]}, "'columns' are the fields of 'push', in order: at, value, kind"),
    ({"tables": [{**TABLE, "resources": "."}]}, "'resources' is ^records$"),
    ({"tables": [TABLE, {**TABLE, "name": "two"}]}, "declares one table"),
    ({"source": {"push": {"fields": [FIELDS[0], FIELDS[0]]}}}, "two fields are named 'at'"),
    ({"source": {"push": {"fields": [{**FIELDS[0], "required": False}]}}}, "one field at least must be 'required'"),
    ({"source": {"push": {"fields": [{**FIELDS[0], "minimum": 1}]}}}, "are for integers and numbers"),
    ({"source": {"push": {"fields": [{**FIELDS[1], "minimum": 51}]}}}, "'minimum' is above 'maximum'"),
    ({"source": {"push": {"fields": [{**FIELDS[3], "pattern": "("}]}}}, "not a regular expression"),
    ({"source": {"push": {"fields": [{**FIELDS[2], "max_length": 3}]}}}, "'enum' already says"),
]


@pytest.mark.parametrize(("change", "told"), WRONG, ids=[told for _, told in WRONG])
def test_a_push_feed_that_contradicts_itself_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Feed.model_validate({**FEED, **change})
    assert told in str(refused.value)
