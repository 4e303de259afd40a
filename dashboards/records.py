"""What charts and tables show, made of the gateway's answers: values in, rows out, nothing drawn and nothing asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

Json = dict[str, Any]
SMALL_FILE_BYTES, MANY_FILES = 8_000_000, 20
MAINLAND = (41.0, 51.5, -5.5, 10.0)  # latitudes and longitudes of European France
STATUS_ORDER = ("failed", "stored", "unchanged")


def count_states(feeds: Iterable[Json]) -> Counter[str]:
    """How many feeds are in each state."""
    return Counter(feed["state"] for feed in feeds)


def calendar(extractions: Iterable[Json]) -> list[Json]:
    """One cell a feed and day: the worst that happened to its files."""
    return [
        {
            "day": row["extraction_date"],
            "feed": row["feed"],
            "status": next((status for status in STATUS_ORDER if row[status]), "unchanged"),
            "files": row["stored"] + row["unchanged"] + row["failed"],
            "failed": row["failed"],
        }
        for row in extractions
    ]


def long_timeline(timeline: Iterable[Json]) -> list[Json]:
    """Files of each day by how they ended."""
    return [
        {"day": day["extraction_date"], "status": status, "files": day[status]}
        for day in timeline
        for status in STATUS_ORDER
        if day[status]
    ]


def tests_by_day(history: Iterable[Json]) -> list[Json]:
    """Tests by day, severity and status; of a day each domain counts as its last run ended."""
    last: dict[tuple[str, str], tuple[str, str]] = {}
    for row in history:
        place = (row["tested_at"][:10], row["domain"])
        last[place] = max(last.get(place, ("", "")), (row["tested_at"], row["run_id"]))
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in history:
        day = row["tested_at"][:10]
        if last[(day, row["domain"])][1] == row["run_id"]:
            status = "fail" if row["status"] == "error" else row["status"]
            counts[(day, row["severity"], status)] += row["tests"]
    return [
        {"day": day, "severity": severity, "status": status, "tests": tests}
        for (day, severity, status), tests in sorted(counts.items())
    ]


def newest_shifts(shifts: Sequence[Json], most: int = 20) -> list[Json]:
    """How far each column moved in its table's newest snapshot, the farthest first."""
    newest: dict[str, str] = {}
    for shift in shifts:
        newest[shift["table"]] = max(newest.get(shift["table"], ""), shift["as_of"])
    found = [
        {**shift, "where": f"{shift['table']}.{shift['column']}"}
        for shift in shifts
        if shift["as_of"] == newest[shift["table"]]
    ]
    return sorted(found, key=lambda shift: (-shift["psi"], shift["where"]))[:most]


def changes_by_day(changes: Iterable[Json]) -> list[Json]:
    """Changes of shape by day and class."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in changes:
        counts[(row["extraction_date"], row["feed"], row["class"])] += row["changes"]
    return [
        {"day": day, "feed": feed, "class": class_, "changes": count}
        for (day, feed, class_), count in sorted(counts.items())
    ]


def growing(rows: Iterable[Json], value: str) -> list[Json]:
    """Running totals by feed, one row a feed and day, every feed on every day that brought something."""
    by_day: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        by_day[row["extraction_date"]][row["feed"]] += row[value]
    feeds = sorted({feed for day in by_day.values() for feed in day})
    totals: Counter[str] = Counter()
    found = []
    for day in sorted(by_day):
        totals.update(by_day[day])
        found += [{"day": day, "feed": feed, "total": totals[feed]} for feed in feeds]
    return found


def storage_rows(tables: Iterable[Json]) -> list[Json]:
    """Tables with their mean file size, the largest first; ``small`` where many small files want compaction."""
    found = []
    for table in tables:
        if not table["files"]:
            continue
        mean = table["bytes"] / table["files"]
        is_small = table["files"] >= MANY_FILES and mean < SMALL_FILE_BYTES
        found.append({**table, "mean_bytes": mean, "small": is_small, "name": f"{table['layer']}.{table['table']}"})
    return sorted(found, key=lambda table: (-table["bytes"], table["name"]))


def run_rows(runs: Iterable[Json]) -> list[Json]:
    """Runs that began, with the first line of their error."""
    return [
        {
            **run,
            "what": " ".join(run["feeds"]) or "*",
            "first_error": (run["error"] or "").strip().split("\n")[0],
        }
        for run in runs
    ]


def success_rate(runs: Sequence[Json]) -> float | None:
    """The share of ended runs that succeeded; None when none ended."""
    ended = [run for run in runs if run["status"] != "running"]
    return sum(run["status"] == "succeeded" for run in ended) / len(ended) if ended else None


def median(values: Iterable[float]) -> float | None:
    """The middle of some numbers; None of none."""
    ordered = sorted(values)
    if not ordered:
        return None
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


# Maps


def is_mainland(latitude: float, longitude: float) -> bool:
    """Whether a point is in European France."""
    south, north, west, east = MAINLAND
    return south <= latitude <= north and west <= longitude <= east


def placed(measures: Iterable[Json], centres: Iterable[Mapping[str, Any]], value: str) -> tuple[list[Json], list[Json]]:
    """The measures of départements at their centres: those of the mainland, and the others (overseas, or unplaced)."""
    where = {row["departement_code"]: (row["latitude__avg"], row["longitude__avg"]) for row in centres}
    here: list[Json] = []
    elsewhere: list[Json] = []
    for row in measures:
        if row.get(value) is None:
            continue
        latitude, longitude = where.get(row["departement_code"], (None, None))
        entry = {**row, "value": float(row[value]), "latitude": latitude, "longitude": longitude}
        is_here = latitude is not None and longitude is not None and is_mainland(latitude, longitude)
        (here if is_here else elsewhere).append(entry)
    return sorted(here, key=lambda row: -row["value"]), sorted(elsewhere, key=lambda row: -row["value"])


def rows_of(answer: Json) -> list[Json]:
    """What a statement found, each row by its columns' names."""
    names = [column["name"] for column in answer["columns"]]
    return [dict(zip(names, row, strict=True)) for row in answer["rows"]]


def points(answer: Json) -> list[Json]:
    """Places that a statement found, of the mainland."""
    return [
        {name: float(row[name]) for name in ("latitude", "longitude")}
        for row in rows_of(answer)
        if row["latitude"] is not None
        and row["longitude"] is not None
        and is_mainland(float(row["latitude"]), float(row["longitude"]))
    ]


def years(measures: Iterable[Json], name: str) -> list[int]:
    """The years there are, newest first."""
    return sorted({row[name] for row in measures if row.get(name) is not None}, reverse=True)


def hours_since(moment: str | None, now: datetime) -> float | None:
    """Hours since a moment; None where there was none."""
    return (now - datetime.fromisoformat(moment)) / timedelta(hours=1) if moment else None
