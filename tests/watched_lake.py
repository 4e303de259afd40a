"""A real lake with a past worth watching: good and bad days, tests that warn and fail, rejects, drift, gold to draw.

Rows go in through the catalogue's writers, events through the ledger's own methods.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from api_lake import PEOPLE_FEED, LakeWriter

from catalog import schema
from catalog.origin import Origin

LAST = datetime.now(UTC).date()
DAYS = [LAST - timedelta(days=before) for before in (6, 5, 4, 3, 1, 0)]
BAD_DAY = DAYS[3]
DEPARTEMENTS = {  # where a few of them are, and how much happens there
    "75": ("Paris", 48.86, 2.35, 40),
    "13": ("Bouches-du-Rhône", 43.30, 5.40, 25),
    "69": ("Rhône", 45.75, 4.85, 20),
    "29": ("Finistère", 48.25, -4.05, 8),
    "2A": ("Corse-du-Sud", 41.86, 9.03, 3),
    "974": ("La Réunion", -21.11, 55.53, 5),
}


def write_watched_lake(folder: Path) -> LakeWriter:
    """Write the lake."""
    writer = LakeWriter(folder)
    feeds = writer.settings.lake / "feeds"
    feeds.mkdir()
    (feeds / "people.yml").write_text(PEOPLE_FEED, "utf-8")
    writer.load("accidents__lieux", [{"num_acc": "1", "voie": "Rue de la Paix"}], DAYS[0])
    for number, day in enumerate(DAYS):
        _run(writer, number, day)
    return writer


def _run(writer: LakeWriter, number: int, day: date) -> None:
    """One day: the feeds extracted and loaded, tests, and a release unless the portal was away."""
    ledger, is_bad = writer.ledger, day == BAD_DAY
    task = Origin("sync_feeds", "r1", "sync_feed", 0, 2, 3, "http://127.0.0.1:8080/dags/sync_feeds/runs/r1")
    run_id = ledger.start_run("run", ["accidents", "irve"], day, task if is_bad else None)
    began = datetime(day.year, day.month, day.day, 6, tzinfo=UTC) + timedelta(minutes=number)
    for feed, table in (("accidents", "lieux"), ("irve", "points_de_charge"), ("people", "t")):
        _extraction(writer, run_id, (feed, table), day, number, began)
    if is_bad:
        ledger.finish_run(run_id, "failed", "The portal gave no usable answer.\nIs it up? Try again later.")
    else:
        _tests(writer, run_id, number, began)
        if number in (0, len(DAYS) - 1):
            writer.release(day, _gold(number + 1), {"accident_count": "Accidents."})
        ledger.finish_run(run_id, "succeeded")
    with ledger.begin() as connection:  # the past: a run records that it begins now
        mine = schema.runs.c.run_id == run_id
        ended = began + timedelta(seconds=40 + 7 * number)
        connection.execute(schema.runs.update().where(mine).values(started_at=began, finished_at=ended))
        last = schema.releases.c.release_id == (1 if number == 0 else 2)
        connection.execute(schema.releases.update().where(last).values(run_id=run_id, published_at=ended))


def _extraction(
    writer: LakeWriter, run_id: str, table: tuple[str, str], day: date, number: int, began: datetime
) -> None:
    feed, name = table
    is_bad = day == BAD_DAY and feed != "people"
    place = {"feed": feed, "extraction_date": day, "resource_id": f"{feed}-1", "run_id": run_id}
    writer.ledger.record_extraction(
        **place,
        dataset_id=feed,
        title=f"{name}-2023.csv",
        table_name=name,
        status="failed" if is_bad else "stored",
        reason="No usable answer from the portal (503)." if is_bad else None,
        source_url=f"https://example.invalid/{name}.csv",
        file_name=f"{name}.csv",
        size_bytes=None if is_bad else 1_000_000 * (number + 1),
        started_at=began,
        finished_at=began + timedelta(seconds=3),
    )
    if is_bad:
        return
    load = {
        **place,
        "table_name": f"{feed}__{name}",
        "source_member": "",
        "source_file": f"{name}.csv",
        "source_sha256": "0",
        "rows_loaded": 4000 + 250 * number,
        "rows_rejected": 25 if feed == "accidents" and number > 3 else 0,
        "status": "loaded",
        "loaded_at": began,
    }
    same = {key: load[key] for key in ("feed", "table_name", "resource_id", "extraction_date", "source_file")}
    rejects = [
        {**same, "source_member": "", "source_line": line, "stage": "decode", "raw_text": f"a;b;{line}", "reason": why}
        for line in range(2, 2 + int(load["rows_rejected"]) if feed == "accidents" else 3)
        for why in ["3 fields, 18 expected"]
    ]
    change = {
        **{key: value for key, value in same.items() if key != "source_file"},
        "source_member": "",
        "column_name": "vma",
        "change": "missing" if number == 4 else "added",
        "class": "breaking" if number == 4 else "safe",
        "detail": "integer",
        "detected_at": began,
    }
    is_drifting = feed == "accidents" and number in (2, 4)
    writer.ledger.replace_loads([load], rejects, [change] if is_drifting else [])


def _tests(writer: LakeWriter, run_id: str, number: int, began: datetime) -> None:
    results: list[dict[str, Any]] = [
        {
            "run_id": run_id,
            "test_id": f"{domain}.{test}",
            "domain": domain,
            "test_name": f"{domain} test {test}",
            "table_name": table,
            "column_name": "accident_id",
            "severity": "warn" if test % 3 == 2 else "error",
            "status": _status(domain, test, number),
            "failures": 3 if _status(domain, test, number) != "pass" else 0,
            "message": None,
            "seconds": 0.1 * test,
            "tested_at": began + timedelta(seconds=20 + test),
        }
        for domain, table in (("road_safety", "fct_accident"), ("charging_points", "fct_charging_point"))
        for test in range(9)
    ]
    writer.ledger.record_quality(results)


def _status(domain: str, test: int, number: int) -> str:
    if domain == "road_safety" and test == 2 and number > 2:
        return "warn"
    return "fail" if domain == "charging_points" and test == 0 and number == 2 else "pass"


def _gold(scale: int) -> dict[tuple[str, str], pa.Table]:
    """The marts the Explore page draws, with the shapes their models give them, and the points they count."""
    codes = list(DEPARTEMENTS)
    names = [found[0] for found in DEPARTEMENTS.values()]
    counts = [found[3] * scale for found in DEPARTEMENTS.values()]
    points = [
        (f"{code}-{number}", code, place[1] + 0.05 * (number % 5 - 2), place[2] + 0.05 * (number % 3 - 1))
        for code, place in DEPARTEMENTS.items()
        for number in range(place[3])
    ]
    located = {
        "departement_code": [point[1] for point in points],
        "latitude": [point[2] for point in points],
        "longitude": [point[3] for point in points],
    }
    keys = [point[0] for point in points]
    months = [date(2022 + number // 12, number % 12 + 1, 1) for number in range(24)]
    by_year = {"departement_code": codes * 2, "departement_name": names * 2, "accident_year": [2022] * 6 + [2023] * 6}
    return {
        ("gold", "fct_accident"): pa.table({"accident_id": keys, **located}),
        ("gold", "fct_charging_point"): pa.table(
            {
                "charging_point_key": keys,
                **located,
                "commissioned_on": [months[number % 24] for number in range(len(keys))],
                "point_count": [1] * len(keys),
            }
        ),
        ("gold", "mart_accident_departement"): pa.table(
            {
                **by_year,
                "accident_count": [*counts, *[count + 2 for count in counts]],
                "killed_count": [count // 5 for count in counts] * 2,
                "accident_growth_ratio": [None] * 6 + [0.05] * 6,
                "accident_per_100000_inhabitants": [float(count) for count in counts] * 2,
            }
        ),
        ("gold", "mart_accident_month"): pa.table(
            {
                "month_start_date": months,
                "accident_count": [300 + 20 * (number % 12) for number in range(24)],
                "killed_count": [12 + number % 7 for number in range(24)],
            }
        ),
        ("gold", "mart_charging_point_departement"): pa.table(
            {
                "departement_code": codes,
                "departement_name": names,
                "charging_point_count": counts,
                "station_count": [count // 2 for count in counts],
                "total_power_kw": [count * 22.0 for count in counts],
                "charging_point_per_100000_inhabitants": [float(count) for count in counts],
            }
        ),
        ("gold", "mart_charging_point_power_class"): pa.table(
            {
                "power_class": ["slow", "normal", "fast"],
                "power_class_label": ["up to 7.4 kW", "7.4 to 22 kW", "above 22 kW"],
                "power_class_rank": [1, 2, 3],
                "charging_point_count": [10, 60, 30],
            }
        ),
    }
