"""Reports of road hazards from HTTP to gold: pushed both ways to a running gateway, drained by its own process.

What the pipeline makes of them is computed again here, in another way: the nearest commune by looking at every point of
the published file, the SIRET digit by digit.
"""

from __future__ import annotations

import csv
import json
import math
import random
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import lake_settings
from lakes import odh
from served import served

from catalog.api_keys import create_key
from catalog.clock import utc_now
from catalog.ledger import Ledger
from catalog.scopes import Scope
from catalog.settings import Settings
from ingestion.sample.listing import COG, COMMUNE_POINTS

Report = dict[str, Any]
WAIT_SECONDS = 120
KINDS = ("ice", "fog", "pothole", "animal")
SIRETS = {  # Luhn's sum, and La Poste's own; the third and fourth with a wrong last digit
    "73282932000074": True,
    "35600000000048": True,
    "73282932000075": False,
    "35600000000049": False,
    None: None,
}
WRONG = (
    ({"longitude": 181}, "longitude: expected 'float' <= 180.0"),
    ({"hazard_kind": "dragon"}, "hazard_kind: not one of pothole, object"),
    ({"observed_at": "2024-05-01 10:30"}, "observed_at: "),
    ({"reporter_siret": "732 829 320 00074"}, r"reporter_siret: does not match \d{14}"),
    ({"place": "Lyon"}, "place: no field of this feed"),
)
FAR = (-40.0, 45.0)  # in the Atlantic


@dataclass
class Road:
    """A gateway over a lake with the points of the communes, what was pushed to it, and its answers."""

    client: httpx.Client
    stranger: httpx.Client
    sample: Path
    receipts: dict[str, Report] = field(default_factory=dict)
    sent: dict[str, list[Report]] = field(default_factory=dict)

    def push(self, name: str, path: str, reports: list[Report], **headers: str) -> httpx.Response:
        """Push a batch and keep its receipt under a name."""
        answer = self.client.post(path, json={"feed": "signalements", "data": reports}, headers=headers)
        assert answer.status_code in (200, 202), answer.text
        self.receipts[name], self.sent[name] = answer.json(), reports
        return answer

    def finished(self, name: str) -> Report:
        """The receipt of a batch once it is released."""
        deadline = time.monotonic() + WAIT_SECONDS
        while (told := self.client.get(f"/ingest/{self.receipts[name]['receipt']}").json())["status"] != "curated":
            assert told["status"] in ("accepted", "bronze"), told
            assert time.monotonic() < deadline, told
        return dict(told)

    def rows(self, table: str, name: str) -> list[Report]:
        """The rows of a table that came from a batch, in its order, each with the report it was made from."""
        told = self.finished(name)
        asked = {"format": "ndjson", "_resource_id__exact": told["resource_id"], "_source_line__sort": "asc"}
        answer = self.client.get(table, params=asked).raise_for_status()
        first, last = told["first_line"], told["first_line"] + told["records"] - 1
        found = [json.loads(line) for line in answer.text.splitlines()]
        return [row for row in found if first <= int(row["_source_line"]) <= last]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, sample_url: str) -> Settings:
    """A lake that has loaded the published points of the communes."""
    settings = lake_settings(
        tmp_path_factory.mktemp("road") / "lake", portal_url=sample_url, api_access="keys", api_rate=0
    )
    odh(settings, "run", "points_communes")
    return settings


@pytest.fixture(scope="module")
def road(lake: Settings, sample_folder: Path) -> Iterator[Road]:
    with closing(Ledger(lake)) as ledger:
        scopes = {Scope.INGEST_WRITE, Scope.RAW_READ, Scope.RESTRICTED_READ, Scope.ADMIN_READ}
        keys = [create_key(ledger, str(of), of, utc_now(), None)[1] for of in (scopes, {Scope.RAW_READ})]
    with served(lake) as here:
        made = [
            httpx.Client(base_url=here.client.base_url, headers={"X-API-Key": key}, timeout=WAIT_SECONDS)
            for key in keys
        ]
        with made[0], made[1]:
            yield _push_all(Road(made[0], made[1], sample_folder))


def _push_all(road: Road) -> Road:
    """Push everything before anything is looked at: the drain takes it as it comes."""
    reports = _scattered(road.sample)
    half = len(reports) // 2
    seen = reports[0] | {"longitude": 5.0, "latitude": 46.0, "hazard_kind": "object"}
    metres = 1 / 111_195  # of latitude
    wrong = [{**reports[0], **change} for change, _ in WRONG]
    road.push("fast", "/ingest_fast", reports[:half])
    road.push("mixed", "/ingest_fast", [seen, *wrong])
    road.push("once", "/ingest_fast", [{**seen, "hazard_kind": "ice"}], **{"Idempotency-Key": "once"})
    road.push("again", "/ingest_fast", [{**seen, "hazard_kind": "ice"}], **{"Idempotency-Key": "once"})
    road.push("whole", "/ingest", reports[half:])
    road.push("repeated", "/ingest", [{**seen, "latitude": 46 + 40 * metres}, {**seen, "latitude": 46 - 60 * metres}])
    return road


def _scattered(sample: Path) -> list[Report]:
    """Reports near and far from communes, no two of them within fifteen minutes."""
    chance, now = random.Random(5), datetime.now(UTC).replace(microsecond=0)
    places = [chance.choice(_points(sample))[1:] for _ in range(118)] + [FAR, (177.0, 0.0)]
    return [
        {
            "observed_at": (now - timedelta(minutes=20 * number)).isoformat(),
            "longitude": round(longitude + chance.gauss(0, 0.15), 6),
            "latitude": round(latitude + chance.gauss(0, 0.15), 6),
            "hazard_kind": chance.choice(KINDS),
            "description": f"Vu par Jeanne Untel, {number}",
            "reporter_siret": list(SIRETS)[number % len(SIRETS)],
        }
        for number, (longitude, latitude) in enumerate(places, start=1)
    ]


def _points(sample: Path) -> list[tuple[str, float, float]]:
    """Code, longitude and latitude of every line of the published file."""
    file = sample / "datasets" / COMMUNE_POINTS / "communes-departement-region.csv"
    with file.open(encoding="utf-8", newline="") as stream:
        read = csv.DictReader(stream)
        return [(row["code_commune_INSEE"].zfill(5), float(row["longitude"]), float(row["latitude"])) for row in read]


def _metres(east: float, north: float, other_east: float, other_north: float) -> float:
    """Along the great circle, by the haversine formula."""
    a, b = math.radians(north), math.radians(other_north)
    half = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(other_east - east) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(half))


def test_raw_holds_the_reports_as_sent_for_those_who_may_read_them(road: Road) -> None:
    rows = road.rows("/raw/signalements__signalements", "fast")
    assert [row["description"] for row in rows] == [report["description"] for report in road.sent["fast"]]
    assert [float(row["longitude"]) for row in rows] == [report["longitude"] for report in road.sent["fast"]]
    assert road.stranger.get("/raw/signalements__signalements").status_code == 403
    told = road.finished("fast")
    path = f"/raw/files/signalements/{told['extraction_date']}/{told['resource_id']}/records.ndjson"
    lines = road.client.get(path).raise_for_status().content.splitlines()
    assert [json.loads(line) for line in lines[: told["records"]]] == road.sent["fast"]
    assert road.stranger.get(path).status_code == 403


def test_silver_types_them_without_their_words_and_checks_each_siret(road: Road) -> None:
    for name in ("fast", "whole"):
        rows = road.rows("/staging/stg_signalements__signalements", name)
        assert [row["reporter_siret"] for row in rows] == [one["reporter_siret"] for one in road.sent[name]]
        assert [row["is_reporter_siret_valid"] for row in rows] == [SIRETS[row["reporter_siret"]] for row in rows]
        assert {row["description"] for row in rows} == {row["_invalid_columns"] for row in rows} == {None}
        moments = [datetime.fromisoformat(row["observed_at"]) for row in rows]
        assert moments == [datetime.fromisoformat(one["observed_at"]) for one in road.sent[name]]


def test_gold_places_each_in_the_nearest_commune_of_all(road: Road) -> None:
    with (road.sample / "datasets" / COG / "communes.csv").open(encoding="utf-8", newline="") as stream:
        parents = {row["COM"]: row["COMPARENT"] or row["COM"] for row in csv.DictReader(stream)}
    points, unplaced = _points(road.sample), 0
    for name in ("fast", "whole"):
        rows = road.rows("/curated/fct_road_hazard", name)
        assert len(rows) == len(road.sent[name]), "no two of them tell of one hazard"
        for row, report in zip(rows, road.sent[name], strict=True):
            place = (report["longitude"], report["latitude"])
            metres, code = min((_metres(*place, *there), code) for code, *there in points)
            if metres > 30_000:
                unplaced += 1
                assert (row["commune_key"], row["commune_distance_m"]) == ("00000", None)
                continue
            assert row["commune_key"] == parents[code]
            assert row["commune_distance_m"] == pytest.approx(metres, abs=0.01)
            departement = code[:3] if code.startswith("97") else code[:2]
            assert row["departement_code"] == departement
    assert 2 <= unplaced < 20, "or one of the two ways would not be seen"


def test_a_hazard_reported_again_over_the_other_road_is_one(road: Road) -> None:
    assert len(road.rows("/staging/stg_signalements__signalements", "repeated")) == 2
    [first] = road.rows("/curated/fct_road_hazard", "mixed")
    assert first["repetition_count"] == 1, "40 metres away; 60 metres is another hazard"
    [other] = road.rows("/curated/fct_road_hazard", "repeated")
    assert (other["repetition_count"], other["latitude"] < 46) == (0, True)


def test_a_batch_sent_twice_under_one_key_is_one(road: Road) -> None:
    assert road.receipts["once"] == road.receipts["again"]
    assert len(road.rows("/raw/signalements__signalements", "once")) == 1
    [only] = road.rows("/curated/fct_road_hazard", "once")
    assert only["repetition_count"] == 0


def test_what_breaks_the_contract_is_told_at_once_and_kept_from_readers(road: Road) -> None:
    answered, told = road.receipts["mixed"], road.finished("mixed")
    assert (answered["accepted"], answered["rejected"]) == (told["records"], told["rejected"]) == (1, len(WRONG))
    assert answered["errors"] == told["errors"]
    reasons = [f"{error['field']}: {error['reason']}" for error in told["errors"]]
    assert [error["index"] for error in told["errors"]] == list(range(1, len(WRONG) + 1))
    kept = road.client.get("/feeds/signalements/rejects", params={"page_size": 200}).raise_for_status().json()["data"]
    listed = sorted(kept, key=lambda one: one["source_line"])
    assert [one["reason"] for one in listed] == reasons
    assert all(reason.startswith(wanted) for reason, (_, wanted) in zip(reasons, WRONG, strict=True)), reasons
    assert {one["stage"] for one in listed} == {"contract"}
    assert not any("Jeanne" in one["raw_text"] for one in listed)
    assert road.stranger.get("/feeds/signalements/rejects").status_code == 403


def test_receipts_tell_the_release_and_the_one_that_waited_had_it_in_its_answer(road: Road) -> None:
    assert road.receipts["whole"]["status"] == "curated"
    for name in road.receipts:
        told = road.finished(name)
        assert told["received_at"] <= told["bronze_at"] <= told["curated_at"]
        assert told["records"] == len(road.sent[name]) - told["rejected"]
    assert road.receipts["whole"]["release_id"] <= road.finished("repeated")["release_id"]
