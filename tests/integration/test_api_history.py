"""The past of a table over HTTP: the states it had, and what changed between two of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx
import pyarrow as pa
import pytest
from api_lake import LakeWriter, serving

from catalog.table_keys import PROPERTY

TABLE = "/curated/dim_station"
DAYS = [date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31)]


def stations(*rows: tuple[str, str | None, int]) -> pa.Table:
    names = ("code", "name", "places")
    return pa.Table.from_pylist(
        [dict(zip(names, row, strict=True)) for row in rows],
        pa.schema([("code", pa.string()), ("name", pa.string()), ("places", pa.int64())]),
    )


STATES = [
    stations(("a", "Nord", 1), ("b", "Sud", 2), ("c", None, 3)),
    stations(("a", "Nord", 1), ("b", "Midi", 2), ("d", "Est", 4)),
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LakeWriter:
    writer = LakeWriter(tmp_path_factory.mktemp("history"))
    writer.load("accidents__lieux", [{"numero": "1", "voie": "rue"}, {"numero": "2", "voie": "rue"}], DAYS[0])
    writer.load("accidents__lieux", [{"numero": "1", "voie": "quai"}], DAYS[1])
    other = pa.table({"x": [1]})
    writer.release(DAYS[0], {("gold", "mart_x"): other}, {})
    writer.release(DAYS[0], {("gold", "dim_station"): STATES[0]}, {})
    writer.release(DAYS[1], {("gold", "dim_station"): STATES[1]}, {})
    with writer.lakehouse.table("gold", "dim_station").transaction() as transaction:
        transaction.set_properties({PROPERTY: '["code"]'})
    return writer


@pytest.fixture(scope="module")
def client(lake: LakeWriter) -> Iterator[httpx.Client]:
    with serving(lake.settings) as client:
        yield client


def changes(client: httpx.Client, path: str = TABLE, **parameters: Any) -> dict[str, Any]:
    answer = client.get(f"{path}/changes", params=parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def refusal(client: httpx.Client, path: str, status: int) -> str:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    return str(answer.json()["detail"])


def test_history_lists_the_releases_of_a_table_and_whether_it_changed(client: httpx.Client) -> None:
    found = client.get(f"{TABLE}/history").json()
    assert (found["name"], found["layer"], found["meta"]) == ("dim_station", "curated", {"total": 2})
    told = [(one["release_id"], one["extraction_date"], one["rows"], one["rows_before"]) for one in found["data"]]
    assert told == [(3, "2024-02-29", 3, 3), (2, "2024-01-31", 3, None)]
    assert all(one["is_changed"] and one["published_at"] and one["snapshot_id"] for one in found["data"])


def test_a_release_that_carries_a_table_over_has_not_changed_it(lake: LakeWriter, client: httpx.Client) -> None:
    from catalog import releases

    current = releases.current_release(lake.ledger)
    assert current
    again = releases.stage(lake.ledger, "test", DAYS[2], current.tables, {"domain": "mark"})
    releases.publish(lake.ledger, lake.lakehouse, again)
    newest, *_ = client.get(f"{TABLE}/history").json()["data"]
    assert (newest["release_id"], newest["is_changed"], newest["rows_before"]) == (again.release_id, False, 3)
    nothing = changes(client, **{"from": "3", "to": str(again.release_id)})
    assert (nothing["inserted"], nothing["updated"], nothing["deleted"], nothing["rows_to"]) == (0, 0, 0, 3)


def test_history_as_of_a_day_ends_there(client: httpx.Client) -> None:
    found = client.get(f"{TABLE}/history", params={"as_of": "2024-02-01"}).json()
    assert [one["release_id"] for one in found["data"]] == [2]


def test_history_of_raw_lists_its_extractions(client: httpx.Client) -> None:
    found = client.get("/raw/accidents__lieux/history").json()
    told = [(one["extraction_date"], one["rows"], one["rejects"], one["is_changed"]) for one in found["data"]]
    assert told == [("2024-02-29", 1, 1, True), ("2024-01-31", 2, 1, True)]


def test_changes_tell_old_and_new_values_by_key(client: httpx.Client) -> None:
    found = changes(client, **{"from": "2024-01-31", "to": "2024-02-29"})
    assert found["table"] == "curated.dim_station"
    assert found["from"] == {"release_id": 2, "extraction_date": "2024-01-31"}
    assert found["to"] == {"release_id": 3, "extraction_date": "2024-02-29"}
    assert (found["keys"], found["rows_from"], found["rows_to"]) == (["code"], 3, 3)
    assert (found["inserted"], found["updated"], found["deleted"]) == (1, 1, 1)
    new = {"code": "d", "name": "Est", "places": 4}
    old = {"code": "c", "name": None, "places": 3}
    assert found["data"] == [
        {"change": "updated", "key": {"code": "b"}, "old": {"name": "Sud"}, "new": {"name": "Midi"}},
        {"change": "deleted", "key": {"code": "c"}, "old": old, "new": None},
        {"change": "inserted", "key": {"code": "d"}, "old": None, "new": new},
    ]


def test_changes_are_paged_and_release_numbers_name_states_too(client: httpx.Client) -> None:
    first = changes(client, **{"from": "2", "to": "3", "page_size": 2})
    assert first["meta"] == {"page": 1, "page_size": 2, "total": 3}
    second = client.get(first["links"]["next"]).json()
    assert [row["change"] for row in first["data"] + second["data"]] == ["updated", "deleted", "inserted"]
    assert second["links"]["next"] is None
    counted = changes(client, **{"from": "2", "to": "3", "page_size": 0})
    assert (counted["data"], counted["updated"]) == ([], 1)


def test_changes_go_backwards_too_and_up_to_today(client: httpx.Client) -> None:
    back = changes(client, **{"from": "3", "to": "2"})
    assert back["data"][0]["new"] == {"name": "Sud"}
    assert changes(client, **{"from": "2024-02-01"})["to"]["extraction_date"] >= "2024-02-29"


def test_changes_of_raw_are_between_extractions(client: httpx.Client) -> None:
    for _ in range(2):  # the second comes from what was kept
        found = changes(client, "/raw/accidents__lieux", **{"from": "2024-02-01", "to": "2024-03-01"})
        assert (found["rows_from"], found["rows_to"], found["from"]["release_id"]) == (2, 1, None)
        assert found["inserted"] == 1


def test_many_comparisons_stay_right_one_beside_the_other(client: httpx.Client) -> None:
    pairs = [("2", "3"), ("3", "2"), ("2", "2"), ("3", "3"), ("2024-01-31", "3"), ("2", "2024-02-29")]
    for start, end in pairs * 2:
        found = changes(client, **{"from": start, "to": end})
        assert found["updated"] == (0 if start == end else 1)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (f"{TABLE}/changes", 400, "from"),
        (f"{TABLE}/changes?from=soon", 400, "'soon' is no day"),
        (f"{TABLE}/changes?from=99", 404, "There is no release named '99'"),
        (f"{TABLE}/changes?from=2020-01-01", 400, "Nothing had been released by 2020-01-01"),
        (f"{TABLE}/changes?from=2&page_size=201", 400, "page_size"),
        (f"{TABLE}/changes?from=2&until=3", 400, "There is no parameter named 'until'"),
        ("/curated/dim_statio/changes?from=2", 404, "Did you mean 'dim_station'?"),
        ("/curated/dim_statio/history", 404, "Did you mean 'dim_station'?"),
        ("/raw/accidents__lieu/history", 404, "Did you mean 'accidents__lieux'?"),
        ("/raw/accidents__lieu/changes?from=2024-01-01", 404, "accidents__lieu"),
        (f"{TABLE}/history?page=2", 400, "Known: as_of"),
    ],
)
def test_what_cannot_be_told_is_refused(client: httpx.Client, path: str, status: int, words: str) -> None:
    assert words in refusal(client, path, status)
