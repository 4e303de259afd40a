"""What discovery follows, which datasets it leaves, and how it walks a portal: without a portal."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from conftest import lake_settings
from listed_datasets import BASE, CSV, GOOD, body, lake_files, put
from scripted_http import Answer, scripted_session

from catalog.errors import PortalUnavailable, UsageError
from catalog.feed import Feed
from catalog.feed_files import archive, lake_feeds
from catalog.registry import Registry, load_registry, read_feed
from catalog.settings import Settings
from ingestion.discover import Discovery, Follows
from ingestion.listing import SEARCH_WINDOW, Terms, dataset_key, read_listed
from ingestion.new_feed import feed_text, make_feed
from ingestion.portal import PortalClient


def page(*bodies: dict[str, Any], total: int | None = None, following: str | None = None) -> Answer:
    answer = {"data": list(bodies), "total": len(bodies) if total is None else total, "next_page": following}
    return Answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})


def discovery(settings: Settings, *answers: Answer | Exception, feeds: list[Feed] | None = None) -> tuple[Any, Any]:
    session, asked = scripted_session(*answers)
    portal = PortalClient(settings.model_copy(update={"portal_url": BASE}), session, sleep=lambda _: None)
    return Discovery(settings, Registry(feeds or []), portal), asked


# What is followed


def declared(name: str, dataset: str, pattern: str = "rows", domain: str = "") -> Feed:
    tables = [{"name": "t", "description": "d", "resources": pattern}]
    return Feed.model_validate(
        {**GOOD, "feed": name, "domain": domain or name, "source": {"dataset": dataset}, "tables": tables}
    )


@pytest.mark.parametrize("key", [f"{1:024x}", "un-jeu", "ancien-nom"], ids=["id", "slug", "former-slug"])
def test_a_dataset_is_followed_under_any_of_its_names(key: str) -> None:
    asked: list[str] = []

    def find_id(slug: str) -> str | None:
        asked.append(slug)
        return f"{1:024x}" if slug in ("un-jeu", "ancien-nom") else None

    follows = Follows([declared("one", key), declared("other", "disparu")], [], find_id)
    listed = read_listed(body(1))
    assert [feed.feed for feed in follows.of(listed)] == ["one"]
    assert [feed.feed for feed in follows.of(listed)] == ["one"]
    assert follows.of(read_listed(body(2, "deux"))) == []
    assert sorted(asked) == sorted({key, "disparu"} - {f"{1:024x}"}), "each slug is asked once, an id never"


@pytest.mark.parametrize(
    ("resources", "added"),
    [
        pytest.param([CSV], False, id="all-taken"),
        pytest.param(
            [CSV, {"id": "r2", "title": "notice", "url": "https://x.example/n.pdf"}], False, id="a-document-left"
        ),
        pytest.param([CSV, {"id": "r2", "title": "2018", "url": "https://x.example/a.zip"}], True, id="data-left"),
        pytest.param([], False, id="nothing-there"),
    ],
)
def test_an_auto_feed_takes_the_data_that_declared_tables_leave(
    settings: Settings, resources: list[dict[str, Any]], added: bool
) -> None:
    found = body(1, resources=resources)
    walk, _ = discovery(settings, page(found), feeds=[declared("one", found["id"])])
    outcome = next(walk.find(Terms(), None, adds=True))
    assert outcome.followed_by == ("one",)
    assert outcome.added == ("un_jeu" if added else None)
    assert set(lake_files(settings)) == ({"un_jeu"} if added else set())
    if added:
        made = read_feed(lake_feeds(settings) / "un_jeu.yml")
        assert (made.source.leave_to, made.is_auto) == (["one"], True)


def test_an_auto_or_archived_follower_leaves_nothing(settings: Settings) -> None:
    auto = Feed.model_validate({**GOOD, "feed": "one", "domain": "one", "source": {"dataset": f"{1:024x}"}})
    walk, _ = discovery(settings, page(body(1)), feeds=[auto])
    assert [(o.followed_by, o.added) for o in walk.find(Terms(), None, adds=True)] == [(("one",), None)]
    put(settings, json.dumps(declared("mine", f"{1:024x}", pattern="nothing there").model_dump(mode="json")))
    archive(settings, load_registry(settings), "mine")
    walk, _ = discovery(settings, page(body(1)))
    assert [(o.followed_by, o.added) for o in walk.find(Terms(), None, adds=True)] == [(("mine (archived)",), None)]


def test_names_and_domains_of_other_feeds_are_taken(settings: Settings) -> None:
    feeds = [declared("un_jeu", "5" * 24), declared("x", "6" * 24, domain="deux")]
    walk, _ = discovery(settings, page(body(1), body(2, "deux"), body(3, "trois"), body(4, "TROIS")), feeds=feeds)
    names = [outcome.added for outcome in walk.find(Terms(), None, adds=True)]
    hashes = [hashlib.sha256(f"{number:024x}".encode()).hexdigest()[:6] for number in (1, 2, 4)]
    assert names == [f"un_jeu_{hashes[0]}", f"deux_{hashes[1]}", "trois", f"trois_{hashes[2]}"]


# The walk


def test_names_do_not_depend_on_the_order(tmp_path: Path) -> None:
    bodies = [body(number, f"jeu-{number}-{'long-' * (number % 9)}fin") for number in range(60)]
    seen = []
    for seed in (1, 2):
        settings = lake_settings(tmp_path / str(seed))
        shuffled = random.Random(seed).sample(bodies, len(bodies))
        walk, _ = discovery(settings, page(*shuffled))
        assert len(list(walk.find(Terms(), None, adds=True))) == 60
        seen.append(lake_files(settings))
    assert seen[0] == seen[1]
    assert len(seen[0]) == 60


def test_adding_twice_rewrites_nothing(settings: Settings) -> None:
    for expected in ("added", "followed"):
        feeds = [read_feed(path) for path in sorted(lake_feeds(settings).glob("*.yml"))]
        walk, _ = discovery(settings, page(body(1), body(2, "deux")), feeds=feeds)
        list(walk.find(Terms(), None, adds=True))
        assert walk.tally == {"found": 2, expected: 2}
        if expected == "added":
            put(settings, lake_files(settings)["deux"] + "# by hand\n", "deux")
            before = {path: path.stat().st_mtime_ns for path in lake_feeds(settings).iterdir()}
    assert {path: path.stat().st_mtime_ns for path in lake_feeds(settings).iterdir()} == before


def test_a_feed_written_meanwhile_is_kept(settings: Settings) -> None:
    walk, _ = discovery(settings, page(body(1), body(2, "deux")))
    mine = put(settings, feed_text(make_feed(read_listed(body(1)), "un_jeu"), "un-jeu", BASE) + "# mine\n", "un_jeu")
    other = put(settings, feed_text(make_feed(read_listed(body(9)), "deux"), "neuf", BASE), "deux")
    before = mine.read_text(), other.read_text()
    first, second = walk.find(Terms(), None, adds=True)
    assert (first.followed_by, first.added) == (("un_jeu",), None)
    assert second.added == f"deux_{hashlib.sha256(f'{2:024x}'.encode()).hexdigest()[:6]}"
    assert (mine.read_text(), other.read_text()) == before


def test_a_dataset_shown_twice_is_added_once(settings: Settings) -> None:
    walk, _ = discovery(settings, page(body(1), following=f"{BASE}/api/1/datasets/?page=2"), page(body(1)))
    assert [outcome.added for outcome in walk.find(Terms(), None, adds=True)] == ["un_jeu", None]


def test_each_page_is_dealt_with_before_the_next_is_asked_for(settings: Settings) -> None:
    broken = Answer(500, b"oh")
    walk, asked = discovery(settings, page(body(1), total=2, following=f"{BASE}/api/1/datasets/?page=2"), broken)
    outcomes = walk.find(Terms(), None, adds=True)
    assert next(outcomes).added == "un_jeu"
    assert len(asked) == 1
    with pytest.raises(PortalUnavailable, match="HTTP 500"):
        next(outcomes)
    assert set(lake_files(settings)) == {"un_jeu"}


@pytest.mark.parametrize("word", ["private", "archived", "deleted"])
def test_what_is_not_for_everyone_is_left_out_and_counted(settings: Settings, word: str) -> None:
    value = True if word == "private" else "2022-06-30T08:00:00+00:00"
    walk, _ = discovery(settings, page(body(1, **{word: value}), body(2, "deux")))
    assert [outcome.added for outcome in walk.find(Terms(), None, adds=True)] == ["deux"]
    assert walk.tally == {"withdrawn": 1, "found": 1, "added": 1}


def test_without_words_the_list_that_has_no_end_is_asked(settings: Settings) -> None:
    walk, asked = discovery(settings, page(body(1), total=60_000))
    assert len(list(walk.find(Terms(tag="velo", format="csv"), None))) == 1
    assert asked[0].url == f"{BASE}/api/1/datasets/?tag=velo&format=csv&sort=created&page_size=100"
    assert "resources{id,title," in asked[0].headers["X-Fields"]
    assert walk.total == 60_000
    walk, asked = discovery(settings, page(body(1), body(2)))
    assert len(list(walk.find(Terms(), 1))) == 1
    assert asked[0].url == f"{BASE}/api/1/datasets/?sort=-created&page_size=1"


def found(number: int) -> dict[str, Any]:
    return {**body(number, f"jeu-{number}"), "resources": {"rel": "subsection", "total": 7}}


def test_a_search_stops_where_the_portal_shows_no_more(settings: Settings) -> None:
    pages = [
        page(found(number), total=12_345, following=f"{BASE}/api/2/datasets/search/?q=a&page={number + 1}")
        for number in range(1, SEARCH_WINDOW // 100 + 2)
    ]
    walk, asked = discovery(settings, *pages)
    outcomes = list(walk.find(Terms(query="a"), None))
    assert len(outcomes) == len(asked) == SEARCH_WINDOW // 100
    assert walk.total == 12_345
    assert (outcomes[0].listed.resource_count, outcomes[0].listed.formats) == (7, None)


def test_a_short_search_asks_each_dataset_for_its_formats(settings: Settings) -> None:
    one = Answer(200, json.dumps(body(1, resources=[CSV, {**CSV, "format": "ZIP"}])).encode())
    walk, asked = discovery(settings, page(found(1)), one)
    (outcome,) = walk.find(Terms(query="a b"), 20)
    assert (outcome.listed.resource_count, outcome.listed.formats) == (2, ["csv", "zip"])
    assert [request.url for request in asked] == [
        f"{BASE}/api/2/datasets/search/?q=a+b&page_size=20",
        f"{BASE}/api/1/datasets/{1:024x}/",
    ]


def test_a_html_page_in_place_of_the_list_is_told(settings: Settings) -> None:
    walk, _ = discovery(settings, Answer(200, b"<html>Request Rejected</html>", {"Content-Type": "text/html"}))
    with pytest.raises(PortalUnavailable, match="gave no usable answer"):
        next(walk.find(Terms(), None, adds=True))
    assert lake_files(settings) == {}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("un-jeu", "un-jeu"),
        ("https://www.data.gouv.fr/datasets/un-jeu/", "un-jeu"),
        ("https://www.data.gouv.fr/fr/datasets/un-jeu/#/resources/abc", "un-jeu"),
        ("http://127.0.0.1:8080/api/1/datasets/un-jeu/?page=1", "un-jeu"),
        (" https://www.data.gouv.fr/datasets/53698f4ca3a729239d2036df ", "53698f4ca3a729239d2036df"),
    ],
)
def test_a_dataset_is_named_by_slug_id_or_address(text: str, key: str) -> None:
    assert dataset_key(text) == key


@pytest.mark.parametrize(
    "text", ["", " ", "https://x.example/", "https://www.data.gouv.fr/api/1/datasets/r/abc", "http://[x"]
)
def test_what_names_no_dataset_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="names no dataset"):
        dataset_key(text)
