"""``odh discover`` and ``odh feeds add`` against the stand-in portal and the sample portal, well and ill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import structlog
from conftest import lake_settings
from shared_portal import DATA, ControlledPortal, requires_shared
from typer.testing import CliRunner, Result

import odh
from catalog.errors import PermanentError, PortalUnavailable, Refused, UsageError
from catalog.feed import Feed
from catalog.feed_files import lake_feeds
from catalog.registry import FEEDS_FOLDER, load_registry, read_feed
from catalog.settings import Settings
from catalog.terminal import console
from ingestion.discover import Discovery
from ingestion.listing import Terms

INSEE = "institut-national-de-la-statistique-et-des-etudes-economiques-insee"
FORMER = "base-de-donnees-accidents-corporels-de-la-circulation"
real = [requires_shared, pytest.mark.real]


@pytest.fixture
def lake(tmp_path: Path, portal: ControlledPortal) -> Settings:
    return lake_settings(tmp_path / "lake", portal_url=portal.url)


def entries() -> list[dict[str, Any]]:
    return list(json.loads((DATA / "portal.json").read_text("utf-8"))["datasets"])


def run(settings: Settings, *words: str, width: int = 80) -> Result:
    """The command in this process, as on a terminal of ``width`` columns."""
    before, console.width = console.width, width
    try:
        return CliRunner().invoke(odh.app, list(words), env=settings.as_environment())
    finally:
        console.width = before
        structlog.reset_defaults()  # the command logged to a stream that is closed now


def shipped() -> list[Feed]:
    return [read_feed(path) for path in FEEDS_FOLDER.glob("*.yml")]


def content(settings: Settings) -> dict[str, tuple[str, int]]:
    files = lake_feeds(settings).glob("*.yml")
    return {path.stem: (path.read_text("utf-8"), path.stat().st_mtime_ns) for path in files}


@pytest.mark.usefixtures("portal")
class TestStandIn:
    pytestmark = real

    def test_every_dataset_there_becomes_a_feed_or_has_one(self, lake: Settings) -> None:
        alive = {entry["id"] for entry in entries() if not entry.get("deleted")}
        lake_feeds(lake).mkdir(parents=True)
        (lake_feeds(lake) / "unites_legales.yml").write_text(
            "feed: unites_legales\ntitle: t\ndescription: d\nowner: o\nlicense: l\ndomain: d\n"
            "source: {dataset: base-sirene-extrait}\n"
            "tables: [{name: stock, description: d, resources: StockUniteLegale}]\n"
        )
        added = run(lake, "discover", "--all", "--add", "--json")
        assert added.exit_code == 0, added.output
        answer = json.loads(added.stdout)
        assert {one["id"] for one in answer["datasets"]} == alive
        assert answer["found"] == answer["total"] == len(alive)
        assert answer["added"] + answer["followed"] == len(alive)
        registry = load_registry(lake)
        made = [registry.get(name) for name in content(lake) if name != "unites_legales"]
        assert len(made) == answer["added"] > 10
        assert all(feed.is_auto and feed.domain == feed.feed and len(feed.feed) <= 40 for feed in made)
        rest = {feed.feed: feed.source.leave_to for feed in made if feed.source.leave_to}
        assert rest == {"base_sirene_extrait": ["unites_legales"]}, "the other file of the dataset is in no table"
        followed = {one["followed_by"][0] for one in answer["datasets"] if not one["added"]}
        there = {entry[name] for entry in entries() for name in ("id", "slug")}
        assert followed == {feed.feed for feed in shipped() if feed.source.dataset in there}

        before = content(lake)
        again = run(lake, "discover", "--all", "--add", "--json")
        assert json.loads(again.stdout)["added"] == 0
        assert content(lake) == before
        assert run(lake, "feeds", "validate").exit_code == 0

    def test_feeds_are_the_same_whatever_the_order(self, tmp_path: Path, portal: ControlledPortal) -> None:
        oldest_first, newest_first = (
            lake_settings(tmp_path / name, portal_url=portal.url) for name in ("oldest", "newest")
        )
        assert run(oldest_first, "discover", "--all", "--add").exit_code == 0
        assert run(newest_first, "discover", "--limit", "100", "--add").exit_code == 0
        texts = [{name: text for name, (text, _) in content(one).items()} for one in (oldest_first, newest_first)]
        assert texts[0] == texts[1]

    def test_a_renamed_dataset_is_known_by_its_former_slug(self, lake: Settings) -> None:
        lake_feeds(lake).mkdir(parents=True)
        text = (
            "feed: ours\ntitle: t\ndescription: d\nowner: o\nlicense: l\ndomain: ours\n"
            "source: {dataset: donnees-du-repertoire-national-des-elus}\ntables: auto\n"
        )
        (lake_feeds(lake) / "ours.yml").write_text(text)
        found = run(lake, "feeds", "add", "repertoire-national-des-elus-1")
        assert found.exit_code == 0
        assert "followed by elus, ours" in found.stdout

    def test_a_list_fits_the_terminal_and_says_what_it_leaves_out(self, lake: Settings) -> None:
        shown = run(lake, "discover", "--limit", "3")
        assert shown.exit_code == 0
        assert max(map(len, shown.stdout.splitlines())) <= 80
        assert "3 of 28 datasets; more with --limit N or --all." in shown.stdout
        assert "licence lov2" in shown.stdout
        assert "1 file: csv" in shown.stdout
        assert not lake_feeds(lake).exists()

    def test_terms_narrow_the_list(self, lake: Settings, portal: ControlledPortal) -> None:
        words = json.loads(run(lake, "discover", "corporels", "circulation", "--json").stdout)
        assert [one["followed_by"] for one in words["datasets"]] == [["accidents"]]
        assert words["datasets"][0]["formats"] == ["csv", "csv.gz", "pdf"]
        tagged = json.loads(run(lake, "discover", "--tag", "velo", "--format", "pdf", "--all", "--json").stdout)
        assert [one["id"] for one in tagged["datasets"]] == ["53698f4ca3a729239d2036df"]
        organization = next(entry["organization"] for entry in entries() if entry["slug"] == "communes-nouvelles")
        for key in ("id", "slug"):
            mine = json.loads(run(lake, "discover", "--organization", organization[key], "--all", "--json").stdout)
            assert {one["organization"] for one in mine["datasets"]} == {organization["name"]}
        assert len(portal.requests("/organizations/")) == 1, "an id is not looked up"

    def test_a_walk_without_words_costs_a_request_a_page(self, lake: Settings, portal: ControlledPortal) -> None:
        assert run(lake, "discover", "--all", "--add").exit_code == 0
        paths = [request["path"] for request in portal.requests()]
        assert len([path for path in paths if path.startswith("/api/1/datasets/?")]) == 1
        ids = {entry["id"] for entry in entries()}
        slugs = sorted({feed.source.dataset for feed in shipped() if feed.source.dataset} - ids)
        assert sorted(paths[1:]) == [f"/api/2/datasets/{slug}/" for slug in slugs], "feeds that name a slug"

    @pytest.mark.parametrize(
        ("fault", "error", "said"),
        [
            ({"kind": "status", "status": 500}, PortalUnavailable, "HTTP 500"),
            ({"kind": "status", "status": 429, "retry_after": 0}, PortalUnavailable, "HTTP 429"),
            ({"kind": "loop"}, Refused, "redirects more than"),
            ({"kind": "drop"}, PortalUnavailable, "gave no usable answer"),
            ({"kind": "redirect"}, PermanentError, "redirects to"),
        ],
        ids=["500", "429", "loop", "drop", "redirect"],
    )
    def test_a_failing_portal_leaves_what_was_added(
        self,
        lake: Settings,
        portal: ControlledPortal,
        monkeypatch: pytest.MonkeyPatch,
        fault: dict[str, Any],
        error: type[Exception],
        said: str,
    ) -> None:
        monkeypatch.setattr("ingestion.discover.PAGE_SIZE", 10)
        portal.break_with({"match": "page=2", **fault})
        stopped = run(lake, "discover", "--all", "--add")
        assert isinstance(stopped.exception, error)
        assert said in str(stopped.exception)
        assert "Stopped before the end" in stopped.stdout
        kept = content(lake)
        assert 0 < len(kept) <= 10
        portal.break_with()
        assert run(lake, "discover", "--all", "--add").exit_code == 0
        after = content(lake)
        assert len(after) > 10
        assert {name: after[name] for name in kept} == kept

    def test_a_passing_fault_is_waited_out(self, lake: Settings, portal: ControlledPortal) -> None:
        portal.break_with({"match": "/api/1/datasets/", "kind": "status", "times": 2})
        assert len(list(Discovery(lake, load_registry(lake)).find(Terms(), None))) == 28

    def test_a_failure_is_in_the_json_too(
        self, lake: Settings, portal: ControlledPortal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ingestion.discover.PAGE_SIZE", 10)
        portal.break_with({"match": "page=2", "kind": "status"})
        stopped = run(lake, "discover", "--all", "--json")
        answer = json.loads(stopped.stdout)
        assert (len(answer["datasets"]), answer["error"]) == (10, str(stopped.exception))
        portal.break_with({"match": "/api/1/datasets/", "kind": "status"})
        failed = run(lake, "discover", "--all", "--json")
        assert isinstance(failed.exception, PortalUnavailable)
        assert failed.stdout == "", "as every command that could do nothing"

    @pytest.mark.parametrize(
        "text", ["contours-administratifs", "https://www.data.gouv.fr/fr/datasets/contours-administratifs/#/resources"]
    )
    def test_one_dataset_is_added_once(self, lake: Settings, text: str) -> None:
        added = run(lake, "feeds", "add", text)
        assert added.exit_code == 0
        assert "Added contours_administratifs" in added.stdout
        assert "odh run contours_administratifs" in added.stdout
        before = content(lake)
        again = run(lake, "feeds", "add", text)
        assert "Nothing to add: followed by contours_administratifs." in again.stdout
        assert content(lake) == before

    def test_the_accidents_have_their_feed_under_every_name(self, lake: Settings) -> None:
        for key in ("53698f4ca3a729239d2036df", FORMER):
            assert json.loads(run(lake, "feeds", "add", key, "--json").stdout)["followed_by"] == ["accidents"]

    @pytest.mark.parametrize("key", ["nothing-here", "lieux-de-covoiturage-jeu-retire"], ids=["unknown", "deleted"])
    def test_a_dataset_that_is_not_there_is_misuse(self, lake: Settings, key: str) -> None:
        refused = run(lake, "feeds", "add", key)
        assert isinstance(refused.exception, UsageError)
        assert f"no dataset '{key}'" in str(refused.exception)
        assert not lake_feeds(lake).exists()

    def test_an_unknown_organization_is_misuse(self, lake: Settings) -> None:
        refused = run(lake, "discover", "--organization", "nobody")
        assert isinstance(refused.exception, UsageError)

    def test_a_feed_is_switched_archived_and_not_found_again(self, lake: Settings) -> None:
        assert run(lake, "feeds", "add", "contours-administratifs").exit_code == 0
        assert "contours_administratifs is disabled" in run(lake, "feeds", "disable", "contours_administratifs").stdout
        assert not load_registry(lake).get("contours_administratifs").enabled
        listed = run(lake, "feeds", "list", "--domain", "contours_administratifs").stdout
        assert "disabled" in listed
        assert "1 feed, 1 disabled" in listed
        assert "already" in run(lake, "feeds", "disable", "contours_administratifs").stdout
        archived = run(lake, "feeds", "archive", "contours_administratifs").stdout
        assert "Kept: its raw files" in archived
        found = run(lake, "discover", "contours", "administratifs", "--add")
        assert "contours_administratifs (archived)" in found.stdout
        assert content(lake) == {}


def test_all_and_limit_exclude_each_other(settings: Settings) -> None:
    refused = run(settings, "discover", "--all", "--limit", "3")
    assert isinstance(refused.exception, UsageError)
    assert "not both" in str(refused.exception)


def test_a_table_with_a_model_of_its_own_is_not_adopted(settings: Settings) -> None:
    refused = run(settings, "feeds", "adopt", "cog.communes")
    assert isinstance(refused.exception, UsageError)
    assert "stg_cog__communes.sql" in str(refused.exception)


def test_a_thousand_feeds_are_listed_in_one_line_each(settings: Settings) -> None:
    lake_feeds(settings).mkdir(parents=True)
    names = [f"un_producteur_de_donnees_publiques_{number:05}" for number in range(1000)]
    for name in names:
        text = f"feed: {name}\ntitle: {'Un titre ' * 9}\ndescription: d\nowner: o\nlicense: l\ndomain: {name}\n"
        (lake_feeds(settings) / f"{name}.yml").write_text(f"{text}source: {{dataset: {name}}}\ntables: auto\n")
    lines = run(settings, "feeds", "list").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if " auto " in line] == names
    assert lines[-1] == f"{1000 + len(shipped()):,} feeds"


def test_the_sample_portal_is_discovered_too(settings: Settings, sample_url: str) -> None:
    mine = settings.model_copy(update={"portal_url": sample_url})
    answer = json.loads(run(mine, "discover", "--all", "--add", "--json").stdout)
    assert answer["total"] == answer["found"] == len(answer["datasets"]) >= 4
    assert {name for one in answer["datasets"] for name in one["followed_by"]} == {
        "accidents", "cog", "irve", "jours_feries", "points_communes",
    }  # fmt: skip
    assert len(json.loads(run(mine, "discover", "accidents", "--json").stdout)["datasets"]) == 1
