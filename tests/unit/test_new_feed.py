"""What discovery makes of a dataset: the name, the words and the file of its feed, switched and archived."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from listed_datasets import BASE, GOOD, body, put

from catalog.errors import InvalidFeed, UnknownName, UsageError
from catalog.feed import Feed
from catalog.feed_files import archive, archived_feeds, switch, write_new
from catalog.registry import FEEDS_FOLDER, load_registry, read_feed
from catalog.settings import Settings
from ingestion.listing import read_listed
from ingestion.new_feed import feed_name, feed_text, first_sentence, is_document, make_feed, schedule_of
from ingestion.portal import read_resource

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
