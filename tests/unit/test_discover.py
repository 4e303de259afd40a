"""What discovery makes of a dataset, which datasets it leaves, and how it walks a portal: without a portal."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import lake_settings
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from scripted_http import Answer, scripted_session

from catalog.errors import InvalidFeed, PortalUnavailable, UnknownName, UsageError
from catalog.feed import Feed
from catalog.feed_files import archive, archived_feeds, lake_feeds, switch, write_new
from catalog.registry import FEEDS_FOLDER, Registry, load_registry, read_feed
from catalog.settings import Settings
from ingestion.discover import Discovery, Follows
from ingestion.listing import SEARCH_WINDOW, Terms, dataset_key, read_listed
from ingestion.new_feed import feed_name, feed_text, first_sentence, is_document, make_feed, schedule_of
from ingestion.portal import PortalClient, read_resource

BASE = "https://portal.example"
CSV = {"id": "r1", "title": "rows", "url": "https://x.example/rows.csv", "format": "csv"}


def body(number: int = 1, slug: str = "un-jeu", **more: Any) -> dict[str, Any]:
    return {"id": f"{number:024x}", "slug": slug, "title": "Un jeu", "resources": [CSV], **more}


def page(*bodies: dict[str, Any], total: int | None = None, following: str | None = None) -> Answer:
    answer = {"data": list(bodies), "total": len(bodies) if total is None else total, "next_page": following}
    return Answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})


def discovery(settings: Settings, *answers: Answer | Exception, feeds: list[Feed] | None = None) -> tuple[Any, Any]:
    session, asked = scripted_session(*answers)
    portal = PortalClient(settings.model_copy(update={"portal_url": BASE}), session, sleep=lambda _: None)
    return Discovery(settings, Registry(feeds or []), portal), asked


def lake_files(settings: Settings) -> dict[str, str]:
    return {path.stem: path.read_text("utf-8") for path in lake_feeds(settings).glob("*.yml")}


# Names


@pytest.mark.parametrize(
    ("slug", "name"),
    [
        pytest.param("communes-nouvelles", "communes_nouvelles", id="plain"),
        pytest.param("2022-elections", "c_2022_elections", id="digit-first"),
        pytest.param("Évènements--à_Nantes", "evenements_a_nantes", id="accents-and-runs"),
        pytest.param("x" * 40, "x" * 40, id="forty"),
        pytest.param("", "dataset", id="nothing"),
    ],
)
def test_a_feed_is_named_after_the_slug(slug: str, name: str) -> None:
    assert feed_name(slug, "5" * 24, lambda _: False) == name


def test_a_long_slug_is_cut_and_told_apart_by_its_id() -> None:
    slug = "donnees-essentielles-de-la-commande-publique"
    names = {feed_name(slug, identifier * 24, lambda _: False) for identifier in "ab"}
    assert names == {
        f"donnees_essentielles_de_la_comman_{digest('a')}",
        f"donnees_essentielles_de_la_comman_{digest('b')}",
    }
    assert {len(name) for name in names} == {40}


def digest(identifier: str) -> str:
    return hashlib.sha256((identifier * 24).encode()).hexdigest()[:6]


@examples(deadline=None)
@given(st.text(max_size=80), st.text("0123456789abcdef", min_size=24, max_size=24), st.booleans())
def test_any_slug_gives_a_valid_short_name(slug: str, identifier: str, is_taken: bool) -> None:
    name = feed_name(
        slug, identifier, {feed_name(slug, identifier, lambda _: False)}.__contains__ if is_taken else bool
    )
    assert len(name) <= 40
    assert Feed.model_validate({**GOOD, "feed": name, "domain": name}).feed == name


GOOD: dict[str, Any] = {
    "title": "t",
    "description": "d",
    "owner": "o",
    "license": "l",
    "source": {"dataset": "x"},
    "tables": "auto",
}


def test_a_taken_name_gets_the_hash_and_a_taken_hash_a_longer_one() -> None:
    first = feed_name("a-b", "a" * 24, {"a_b"}.__contains__)
    assert first == f"a_b_{digest('a')}"
    second = feed_name("a-b", "a" * 24, {"a_b", first}.__contains__)
    assert second.startswith(first)
    assert len(second) == len(first) + 6


# Words


@pytest.mark.parametrize(
    ("description", "sentence"),
    [
        ("", ""),
        (
            "# Contexte\n\nLes communes de **France**, au 1er janvier de l'année. Depuis 1943.",
            "Les communes de France, au 1er janvier de l'année.",
        ),
        ("<p>Liste des <b>gares</b>&nbsp;: code&nbsp;UIC &amp; nom</p>", "Liste des gares : code UIC & nom"),
        ("Voir [la notice](https://x.example/a_b?c=1). ![logo](x.png)", "Voir la notice. logo"),
        ("* code_insee : le code\n* nom", "code_insee : le code"),
        (
            "M. Dupont publie la liste des marchés de la ville. Elle change.",
            "M. Dupont publie la liste des marchés de la ville.",
        ),
        ("Une ligne\nqui continue\tici\x00\u200b.", "Une ligne qui continue ici."),
        ("a < b et c > d sont comparés dans ce fichier", "a < b et c > d sont comparés dans ce fichier"),
    ],
    ids=["none", "heading", "html", "links", "list", "abbreviation", "controls", "not-a-tag"],
)
def test_the_first_sentence_of_a_description_is_plain_text(description: str, sentence: str) -> None:
    assert first_sentence(description) == sentence


def test_a_sentence_without_end_is_cut_between_words() -> None:
    cut = first_sentence("mot " * 200)
    assert 290 < len(cut) <= 300
    assert cut.endswith("mot…")


@pytest.mark.parametrize(
    ("frequency", "schedule"),
    [
        ("hourly", "@daily"),
        ("daily", "@daily"),
        ("weekly", "@weekly"),
        ("semimonthly", "@weekly"),
        ("monthly", "@monthly"),
        ("quarterly", "@monthly"),
        ("semiannual", "@monthly"),
        ("ANNUAL", "@yearly"),
        ("ANNUAL_2", "@monthly"),
        ("unknown", "@weekly"),
        ("punctual", "@weekly"),
        ("", "@weekly"),
    ],
)
def test_a_frequency_gives_a_schedule(frequency: str, schedule: str) -> None:
    assert schedule_of(frequency) == schedule


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ({"format": "pdf", "url": "https://x.example/notice.pdf"}, True),
        ({"format": "HTML", "url": "https://x.example/page"}, True),
        ({"url": "https://x.example/notice.docx"}, True),
        ({"format": "csv", "url": "https://x.example/a.csv", "type": "documentation"}, True),
        ({"format": "html", "url": "https://x.example/a.csv"}, False),
        ({"format": "csv", "url": "https://x.example/export?format=pdf"}, False),
        ({"url": "https://x.example/data.geojson.gz"}, False),
        ({"url": "https://x.example/export"}, False),
    ],
)
def test_a_document_is_told_from_what_may_be_data(resource: dict[str, Any], expected: bool) -> None:
    assert is_document(read_resource({"id": "r", **resource})) is expected


# Files


TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


@examples(deadline=None)
@given(
    title=TEXT,
    description=TEXT,
    owner=TEXT,
    slug=TEXT,
    identifier=st.text("0123456789abcdef", min_size=24, max_size=24),
)
@example(title="", description="", owner="", slug="a\x85b", identifier="1" * 24)
def test_the_file_of_a_feed_says_what_the_feed_is(
    title: str, description: str, owner: str, slug: str, identifier: str
) -> None:
    given_body = body(slug=slug, title=title, description=description, organization={"name": owner}, license="lov2")
    feed = make_feed(read_listed({**given_body, "id": identifier}), "un_jeu", ("autre",))
    assert Feed.model_validate(yaml.safe_load(feed_text(feed, slug, BASE))) == feed


def test_the_file_of_a_feed_reads_well() -> None:
    listed = read_listed(
        body(3, title="Élus", license=None, frequency="annual", owner={"first_name": "Zoé", "last_name": "É."})
    )
    text = feed_text(make_feed(listed, "un_jeu"), "un-jeu", BASE)
    head, rest = text.split("feed: un_jeu\n")
    assert all(line.startswith("# ") for line in head.splitlines())
    assert f"{BASE}/datasets/un-jeu/" in head
    assert rest.splitlines() == [
        "title: Élus",
        "description: Élus",
        "owner: Zoé É.",
        "license: notspecified",
        "domain: un_jeu",
        "schedule: '@yearly'",
        "source:",
        f"  dataset: '{3:024}'  # un-jeu; the id is the stable one",
        "tables: auto  # one of each file, archive member and sheet that holds a table",
        "enabled: true",
    ]


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "feeds" / "a.yml"
    assert write_new(path, "mine")
    assert not write_new(path, "theirs")
    assert path.read_text() == "mine"
    assert [one.name for one in path.parent.iterdir()] == ["a.yml"]


def put(settings: Settings, text: str, name: str = "mine") -> Path:
    path = lake_feeds(settings) / f"{name}.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


MINE = yaml.safe_dump({"feed": "mine", "domain": "mine", **GOOD})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"# top\n{MINE}enabled:   true   # for now\n# end", f"# top\n{MINE}enabled:   false   # for now\n# end"),
        (f"enabled: yes\n{MINE}", f"enabled: false\n{MINE}"),
        (f"{MINE}# end", f"{MINE}# end\nenabled: false\n"),
        (MINE.replace("\n", "\r\n"), MINE.replace("\n", "\r\n") + "enabled: false\r\n"),
        (f"{MINE}# enabled: true\n", f"{MINE}# enabled: true\nenabled: false\n"),
    ],
    ids=["comment-kept", "first-line", "absent", "windows", "in-a-comment"],
)
def test_disabling_changes_one_line(settings: Settings, before: str, after: str) -> None:
    path = put(settings, before)
    assert switch(settings, "mine", enabled=False)
    assert path.read_bytes().decode() == after
    assert not switch(settings, "mine", enabled=False)
    assert switch(settings, "mine", enabled=True)
    assert read_feed(path).enabled
    assert [one.name for one in path.parent.iterdir()] == ["mine.yml"]


def test_a_file_of_a_form_that_cannot_be_switched_is_left_alone(settings: Settings) -> None:
    flow = json.dumps({"feed": "mine", "domain": "mine", **GOOD})
    path = put(settings, flow)
    with pytest.raises(InvalidFeed, match="write 'enabled: false' there"):
        switch(settings, "mine", enabled=False)
    assert path.read_text() == flow
    assert len(list(path.parent.iterdir())) == 1


def test_a_feed_of_the_project_is_not_a_lakes_to_switch(settings: Settings) -> None:
    before = (FEEDS_FOLDER / "irve.yml").read_bytes()
    with pytest.raises(UsageError, match="shipped with the project"):
        switch(settings, "irve", enabled=False)
    with pytest.raises(UsageError, match="shipped with the project"):
        archive(settings, load_registry(settings), "irve")
    with pytest.raises(UnknownName, match="Did you mean 'irve'"):
        switch(settings, "irv", enabled=False)
    assert (FEEDS_FOLDER / "irve.yml").read_bytes() == before


def test_an_archived_feed_is_out_of_the_registry_and_can_come_back(settings: Settings) -> None:
    path = put(settings, MINE)
    target = archive(settings, load_registry(settings), "mine")
    assert target == archived_feeds(settings) / "mine.yml"
    assert "mine" not in load_registry(settings).feeds
    with pytest.raises(UsageError, match=r"is archived\. Move"):
        switch(settings, "mine", enabled=True)
    put(settings, MINE)
    with pytest.raises(UsageError, match="from an earlier time"):
        archive(settings, load_registry(settings), "mine")
    target.replace(path)
    assert "mine" in load_registry(settings).feeds


@pytest.mark.parametrize("field", ["depends_on: [mine]", "source: {dataset: x, leave_to: [mine]}"])
def test_a_feed_that_others_name_is_not_archived(settings: Settings, field: str) -> None:
    path = put(settings, MINE)
    others = {**GOOD, "feed": "other", "domain": "other", **yaml.safe_load(field)}
    put(settings, yaml.safe_dump(others), "other")
    with pytest.raises(UsageError, match="named by other"):
        archive(settings, load_registry(settings), "mine")
    assert path.exists()


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
