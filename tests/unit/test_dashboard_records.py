"""What the dashboard's charts are made of: values in, rows out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dashboards import figures, lineage_picture, markup, records
from dashboards.texts import Texts

ENGLISH = Texts("en")


def test_a_day_of_the_calendar_is_the_worst_of_its_files() -> None:
    rows = [
        {"extraction_date": "2026-11-28", "feed": "a", "stored": 2, "unchanged": 1, "failed": 1},
        {"extraction_date": "2026-11-29", "feed": "a", "stored": 1, "unchanged": 3, "failed": 0},
        {"extraction_date": "2026-11-29", "feed": "b", "stored": 0, "unchanged": 3, "failed": 0},
    ]
    assert [(cell["status"], cell["files"]) for cell in records.calendar(rows)] == [
        ("failed", 4),
        ("stored", 4),
        ("unchanged", 3),
    ]


def test_a_day_counts_tests_as_each_domains_last_run_ended() -> None:
    def row(run: str, moment: str, domain: str, status: str, tests: int) -> dict[str, Any]:
        return {
            "run_id": run, "tested_at": moment, "domain": domain, "severity": "error", "status": status, "tests": tests
        }  # fmt: skip

    history = [
        row("r1", "2026-11-29T06:00:00Z", "roads", "fail", 3),
        row("r1", "2026-11-29T06:00:01Z", "codes", "pass", 5),
        row("r2", "2026-11-29T09:00:00Z", "roads", "pass", 3),
        row("r2", "2026-11-29T09:00:01Z", "roads", "error", 1),
    ]
    assert [(one["status"], one["tests"]) for one in records.tests_by_day(history)] == [("fail", 1), ("pass", 8)]


def test_growth_carries_every_feed_through_every_day() -> None:
    rows = [
        {"extraction_date": "2026-11-01", "feed": "a", "bytes": 10},
        {"extraction_date": "2026-11-02", "feed": "b", "bytes": 1},
        {"extraction_date": "2026-11-03", "feed": "a", "bytes": 5},
    ]
    totals = {(row["day"], row["feed"]): row["total"] for row in records.growing(rows, "bytes")}
    assert totals == {
        ("2026-11-01", "a"): 10,
        ("2026-11-01", "b"): 0,
        ("2026-11-02", "a"): 10,
        ("2026-11-02", "b"): 1,
        ("2026-11-03", "a"): 15,
        ("2026-11-03", "b"): 1,
    }


def test_shifts_are_those_of_the_newest_snapshot_farthest_first() -> None:
    shifts = [
        {"as_of": "2026-10-01", "table": "t", "column": "a", "psi": 9.0, "ks": None},
        {"as_of": "2026-11-01", "table": "t", "column": "a", "psi": 0.1, "ks": None},
        {"as_of": "2026-11-01", "table": "t", "column": "b", "psi": 0.3, "ks": 0.2},
        {"as_of": "2026-09-01", "table": "u", "column": "c", "psi": 0.2, "ks": None},
    ]
    assert [(one["where"], one["psi"]) for one in records.newest_shifts(shifts)] == [
        ("t.b", 0.3),
        ("u.c", 0.2),
        ("t.a", 0.1),
    ]


def test_small_files_are_many_and_small() -> None:
    def table(name: str, files: int, size: int) -> dict[str, Any]:
        return {"layer": "bronze", "table": name, "files": files, "bytes": size, "rows": 1}

    found = records.storage_rows(
        [table("few", 2, 100), table("many", 40, 4_000_000), table("large", 40, 10**12), table("empty", 0, 0)]
    )
    assert [(row["name"], row["small"]) for row in found] == [
        ("bronze.large", False),
        ("bronze.many", True),
        ("bronze.few", False),
    ]


def test_measures_stand_at_the_centre_of_their_points_and_overseas_apart() -> None:
    measures = [
        {"departement_code": "75", "n": 5},
        {"departement_code": "974", "n": 7},
        {"departement_code": "2A", "n": 9},
        {"departement_code": "99", "n": 1},
        {"departement_code": "13", "n": None},
    ]
    centres = [
        {"departement_code": "75", "latitude__avg": 48.9, "longitude__avg": 2.3},
        {"departement_code": "974", "latitude__avg": -21.1, "longitude__avg": 55.5},
        {"departement_code": "2A", "latitude__avg": 41.9, "longitude__avg": 9.0},
        {"departement_code": "99", "latitude__avg": None, "longitude__avg": None},
    ]
    here, elsewhere = records.placed(measures, centres, "n")
    assert [row["departement_code"] for row in here] == ["2A", "75"]
    assert [row["departement_code"] for row in elsewhere] == ["974", "99"]


def test_points_of_a_statement_keep_to_the_mainland() -> None:
    answer = {
        "columns": [{"name": "latitude"}, {"name": "longitude"}, {"name": "points"}],
        "rows": [[48.9, 2.3, 4], [-21.1, 55.5, 1], [None, None, 9]],
    }
    assert records.points(answer) == [{"latitude": 48.9, "longitude": 2.3}]


@pytest.mark.parametrize(("values", "middle"), [([], None), ([3.0], 3.0), ([9.0, 1.0], 5.0), ([1.0, 100.0, 2.0], 2.0)])
def test_median(values: list[float], middle: float | None) -> None:
    assert records.median(values) == middle


def test_hours_since_a_moment() -> None:
    now = datetime(2026, 11, 29, 12, tzinfo=UTC)
    assert records.hours_since("2026-11-29T10:30:00+00:00", now) == 1.5
    assert records.hours_since(None, now) is None


def test_success_counts_runs_that_ended() -> None:
    assert records.success_rate([{"status": "running"}]) is None
    runs = [{"status": "succeeded"}, {"status": "failed"}, {"status": "running"}]
    assert records.success_rate(runs) == 0.5


def test_the_lineage_puts_tables_in_their_layers() -> None:
    edges = [
        {"source": "f__t", "target": "stg_f__t"},
        {"source": "stg_f__t", "target": "fct_t"},
        {"source": "fct_t", "target": "mart_t"},
    ]
    assert lineage_picture.columns_of(edges, ["f__t", "f__u"]) == {
        "bronze": ["f__t", "f__u"],
        "silver": ["stg_f__t"],
        "gold": ["fct_t", "mart_t"],
    }


def test_the_lineage_tells_a_screen_reader_what_it_is() -> None:
    told = dict.fromkeys(lineage_picture.LAYERS, "x") | {"title": 'What is made from "f"'}
    picture = lineage_picture.draw("<b>", "2 files", [{"source": "f__t", "target": "stg_f__t"}], ["f__t"], told)
    assert 'alt="What is made from &quot;f&quot;"' in picture
    assert "<b>" not in picture


def test_tables_escape_what_files_hold_and_keep_numbers_right() -> None:
    html = markup.table(["what", "n"], [["<script>", 1200], [markup.badge("fine", "a&b"), None]], 'c"', ENGLISH)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert '<td class="n">1,200</td>' in html
    assert "a&amp;b" in html
    assert 'aria-label="c&quot;"' in html


def test_a_link_leads_to_pages_only() -> None:
    assert "href" not in markup.link("javascript:alert(1)", "x")
    assert 'rel="noopener noreferrer"' in markup.link("https://example.org", "x")


def test_charts_ask_for_nothing_outside() -> None:
    row = {"day": "2026-11-01", "severity": "error", "status": "pass", "tests": 3}
    words = dict.fromkeys(("title", "day", "status", "tests", *figures.TESTS), "w")
    told = figures.tests_by_day([row], words).to_dict()
    assert told["description"] == "w"
    assert "url" not in str(told["data"])
