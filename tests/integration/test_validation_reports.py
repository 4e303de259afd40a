"""The gate and the report of every build: a warning goes on, an error stops, and both show the rows they found.

One tiny lake lives through a story, as in ``test_build.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from lakes import odh
from tiny_warehouse import TinyWarehouse

from catalog.build import BuildResult
from catalog.errors import UnknownName
from catalog.iceberg import GOLD
from catalog.quality.report import find_report
from catalog.quality.snapshots import SnapshotTaker
from catalog.quality.training import Features, make_training_set
from catalog.releases import current_release
from catalog.session import open_session

DAYS = [date(2024, 1, day) for day in range(1, 5)]
HOSTILE = "<script>alert('x')</script>"
NOT_TOO_MUCH = """
    {{ config(tags='up') }}
    select code, amount, amounts from {{ ref('fct_up') }} where amount > 100
"""


@dataclass(frozen=True)
class Told:
    """What one build did, its report, and where main and the tags of a table stood after it."""

    result: BuildResult
    report: dict[str, Any]
    page: str
    refs: dict[str, int]

    def check(self, word: str) -> dict[str, Any]:
        """The one check with a word in its name."""
        [found] = [check for check in self.report["checks"] if word in check["name"]]
        return found

    def table(self, name: str) -> dict[str, Any]:
        """Statistics of one table."""
        [found] = [table for table in self.report["tables"] if table["name"] == name]
        return found["statistics"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyWarehouse]:
    made = TinyWarehouse(tmp_path_factory.mktemp("reports"))
    kept = "description: One code a row.\n    config: {meta: {snapshot: {keys: [code]}}}"
    made.edit("models.yml", "description: One code a row.", kept)
    yield made
    made.lakehouse.close()
    made.ledger.close()


@pytest.fixture(scope="module")
def story(tiny: TinyWarehouse) -> dict[str, Told]:
    (tiny.project / "tests").mkdir()
    (tiny.project / "tests/not_too_much.sql").write_text(NOT_TOO_MUCH)
    told: dict[str, Told] = {}

    def build(title: str, day: date) -> None:
        result = tiny.build(day)
        path = tiny.settings.reports / f"build-{tiny.runs}.json"
        refs = {name: ref.snapshot_id for name, ref in tiny.lakehouse.table(GOLD, "fct_up").metadata.refs.items()}
        page = path.with_suffix(".html").read_text("utf-8")
        told[title] = Told(result, json.loads(path.read_text("utf-8")), page, refs)

    tiny.load("up", DAYS[0], "code;amount\na;1\na;2\nb;nothing\n")
    tiny.load("down", DAYS[0], f"code;label\na;{HOSTILE}\nb;only this\n")
    build("a warning", DAYS[0])
    build("nothing changed", DAYS[1])
    tiny.load("up", DAYS[2], "code;amount\na;7\nc;5000\n")
    build("an error", DAYS[2])
    tiny.load("up", DAYS[3], "code;amount\na;99\n")
    build("a correction", DAYS[3])
    return told


def test_a_warning_is_recorded_and_goes_on(story: dict[str, Told], tiny: TinyWarehouse) -> None:
    warned = story["a warning"]
    assert (warned.report["outcome"], warned.report["release_id"]) == ("warned", 1)
    check = warned.check("accepted_values")
    assert (check["severity"], check["status"], check["failures"]) == ("warn", "warn", 1)
    release = current_release(tiny.ledger, DAYS[0])
    table = release.table(GOLD, "fct_down") if release else None
    assert table is not None
    assert table.rows == 2


def test_an_error_stops_before_history_is_touched(story: dict[str, Told], tiny: TinyWarehouse) -> None:
    failed = story["an error"]
    assert failed.report["outcome"] == "failed"
    check = failed.check("not_too_much")
    assert (check["severity"], check["status"], check["failures"]) == ("error", "fail", 1)
    assert failed.refs == story["a warning"].refs
    now = current_release(tiny.ledger, DAYS[2])
    assert now is not None
    assert (now.release_id, story["an error"].result.release_id) == (1, None)


def test_the_rows_a_test_found_are_shown_as_it_saw_them(story: dict[str, Told]) -> None:
    warned, failed = story["a warning"].check("accepted_values"), story["an error"].check("not_too_much")
    assert warned["offending"] == {"columns": ["value_field", "n_records"], "rows": [[HOSTILE, 1]], "note": None}
    # what the failing build made has given way to the released tables, which have no such row
    assert failed["offending"]["columns"] == ["code", "amount", "amounts"]
    assert failed["offending"]["rows"] == [["c", 5000, "[5000]"]]


def test_tests_that_hold_are_in_the_report_too(story: dict[str, Told]) -> None:
    statuses = {check["name"]: check["status"] for check in story["a warning"].report["checks"]}
    assert (statuses["unique_fct_up_code"], statuses["not_null_fct_up_code"], len(statuses)) == ("pass", "pass", 4)


def test_changed_tables_have_statistics_and_others_none(story: dict[str, Told]) -> None:
    warned, failed = story["a warning"], story["an error"]
    amount = next(column for column in warned.table("fct_up")["columns"] if column["name"] == "amount")
    assert (warned.table("fct_up")["rows"], amount["nulls"], amount["maximum"], amount["mean"]) == (2, 1, "3", 3.0)
    assert {table["name"] for table in warned.report["tables"]} == {
        "stg_up__lines", "fct_up", "stg_down__lines", "fct_down", "mart_nothing"
    }  # fmt: skip
    assert failed.report["tables"] == []


def test_a_domain_that_waits_says_why(story: dict[str, Told]) -> None:
    [bare] = [one for one in story["a warning"].report["domains"] if one["domain"] == "bare"]
    assert (bare["status"], bare["reason"]) == ("waiting", "nothing is loaded yet; run: odh sync bare")


def test_a_run_in_which_nothing_changed_leaves_a_report_and_no_more(story: dict[str, Told]) -> None:
    again = story["nothing changed"]
    assert (again.report["outcome"], again.report["release_id"]) == ("unchanged", None)
    assert (again.report["checks"], again.report["tables"]) == ([], [])
    assert again.refs == story["a warning"].refs


class _Page(HTMLParser):
    """What a page asks of others, and what a screen reader finds."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.tags: list[str] = []
        self.unnamed_pictures = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.tags.append(tag)
        self.asked += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset")]
        self.unnamed_pictures += tag == "svg" and not (told.get("role") == "img" and told.get("aria-label"))


@pytest.mark.parametrize("title", ["a warning", "nothing changed", "an error"])
def test_the_page_asks_nothing_of_any_server_and_can_be_read_aloud(story: dict[str, Told], title: str) -> None:
    page = story[title].page
    found = _Page(page)
    assert found.asked == []
    assert re.findall(r"@import|url\(", page) == []
    assert {"script", "link", "img", "iframe"} & set(found.tags) == set()
    assert '<html lang="en">' in page
    assert found.tags.count("h1") == 1
    assert found.unnamed_pictures == 0
    assert "prefers-color-scheme: dark" in page


def test_the_page_shows_offending_rows_and_pictures_as_text(story: dict[str, Told]) -> None:
    page = story["a warning"].page
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert "<svg" in page
    assert "5000" in story["an error"].page


def test_odh_report_tells_of_a_run_and_copies_its_page(
    story: dict[str, Told], tiny: TinyWarehouse, tmp_path: Path
) -> None:
    failed = story["an error"]
    named = odh(tiny.settings, "report", failed.report["run_id"])
    assert "Failed" in named.out
    assert "not_too_much" in named.out
    copied = odh(tiny.settings, "report", failed.report["run_id"], "--html", "--output", str(tmp_path / "page.html"))
    assert copied.out.strip() == str(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8") == failed.page


def test_a_run_without_a_report_is_told_as_misuse(tiny: TinyWarehouse, story: dict[str, Told]) -> None:
    assert find_report(tiny.settings).stem == story["a correction"].report["run_id"]
    with pytest.raises(UnknownName, match="There is no report named 'build-99'"):
        find_report(tiny.settings, "build-99")


def test_a_snapshot_taken_after_a_correction_says_what_was_known_then(
    story: dict[str, Told], tiny: TinyWarehouse, tmp_path: Path
) -> None:
    assert story["a correction"].result.release_id == 2
    taker = SnapshotTaker(tiny.settings, tiny.registry, tiny.ledger, tiny.lakehouse, "snapshots", date(2024, 6, 1))
    for day in (DAYS[3], DAYS[2]):  # the earlier day last: both when the correction is released
        taken = taker.take(day)
        assert [(one.status, one.reason) for one in taken] == [("published", None)]
    labels = f"select 'a' as code, unnest([date '{DAYS[3]}', date '{DAYS[3]}' + 1]) as seen order by seen"
    features = [Features.parse("fct_up:amount")]
    with open_session(tiny.settings) as session:
        make_training_set(session, labels, ["code"], "seen", features, tmp_path / "set.csv")
    assert (tmp_path / "set.csv").read_text("utf-8").splitlines()[1:] == [
        "a,2024-01-04,2024-01-03,3",
        "a,2024-01-05,2024-01-04,99",
    ]
