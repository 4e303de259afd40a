"""Feed files: what is accepted, and how a mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.errors import InvalidFeed, UnknownName
from catalog.feed import Feed
from catalog.registry import FEEDS_FOLDER, Registry, load_registry, read_feed
from catalog.settings import Settings

GOOD = """\
feed: {name}
title: A feed
description: For tests.
owner: Us
license: lov2
domain: {domain}
depends_on: [{needs}]
source: {{dataset: some-dataset}}
tables:
  - name: rows
    description: Rows.
    resources: csv
    mode: overwrite
    keys: [id]
    columns: [id, label]
"""


def write(folder: Path, name: str, text: str = GOOD, domain: str = "things", needs: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yml"
    path.write_text(text.format(name=name, domain=domain, needs=needs))
    return path


def feed(tmp_path: Path, name: str, domain: str = "things", needs: str = "") -> Feed:
    return read_feed(write(tmp_path, name, domain=domain, needs=needs))


def test_every_shipped_feed_is_valid(settings: Settings) -> None:
    registry = load_registry(settings)
    assert {feed.feed for feed in registry} == {path.stem for path in FEEDS_FOLDER.glob("*.yml")}


@pytest.mark.parametrize(
    ("good", "bad", "line", "said"),
    [
        ("owner: Us", "owners: Us", 4, "owners: Extra inputs are not permitted"),
        ("mode: overwrite", "mode: sometimes", 13, "tables.0.mode"),
        ("keys: [id]", "keys: [idd]", 10, "keys \\['idd'\\] are not among its columns"),
        ("mode: overwrite\n    keys: [id]", "mode: upsert", 10, "mode 'upsert' needs 'keys'"),
        ("resources: csv", "resources: '('", 12, "not a regular expression"),
        ("{{dataset: some-dataset}}", "{{}}", 8, "exactly one of 'dataset', 'search' and 'push'"),
        ("{{dataset: some-dataset}}", "{{search: {{}}}}", 8, "at least one of 'query'"),
        ("name: rows", "name: Rows", 10, "tables.0.name"),
    ],
    ids=["unknown-field", "mode", "keys", "upsert", "regex", "source", "search", "name"],
)
def test_a_mistake_is_told_with_file_and_line(tmp_path: Path, good: str, bad: str, line: int, said: str) -> None:
    assert good in GOOD
    path = write(tmp_path, "one", GOOD.replace(good, bad))
    with pytest.raises(InvalidFeed, match=rf"one\.yml:{line}: .*{said}"):
        read_feed(path)


def test_broken_yaml_is_told(tmp_path: Path) -> None:
    path = tmp_path / "one.yml"
    path.write_text("feed: [")
    with pytest.raises(InvalidFeed, match="not valid YAML"):
        read_feed(path)


def test_a_feed_named_otherwise_than_its_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "one").rename(tmp_path / "two.yml")
    with pytest.raises(InvalidFeed, match="the file is named 'two'"):
        read_feed(path)


def test_a_name_declared_twice_is_refused(settings: Settings) -> None:
    write(settings.lake / "feeds", "accidents")
    with pytest.raises(InvalidFeed, match="already declared"):
        load_registry(settings)


def test_unknown_feed_names_the_nearest(settings: Settings) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'accidents'"):
        load_registry(settings).get("accident")


def test_a_circle_is_refused(tmp_path: Path) -> None:
    feeds = [feed(tmp_path, "one", needs="two"), feed(tmp_path, "two", needs="one")]
    with pytest.raises(InvalidFeed, match="one → two → one"):
        Registry(feeds)


def test_select_puts_whole_domains_before_what_needs_them(tmp_path: Path) -> None:
    registry = Registry(
        [
            feed(tmp_path, "facts", domain="facts", needs="codes"),
            feed(tmp_path, "codes", domain="shared"),
            feed(tmp_path, "days", domain="shared"),
            feed(tmp_path, "other", domain="other"),
        ]
    )
    assert [feed.feed for feed in registry.select(["facts"])] == ["codes", "days", "facts"]
    assert [feed.feed for feed in registry.select(["days"])] == ["days"]
    assert list(registry.domains()) == ["shared", "facts", "other"]


def test_a_domains_optional_feeds_come_when_named_or_with_all(tmp_path: Path) -> None:
    side = feed(tmp_path, "side", domain="shared", needs="codes").model_copy(update={"optional": True})
    codes, facts = feed(tmp_path, "codes", domain="shared"), feed(tmp_path, "facts", domain="facts", needs="codes")
    registry = Registry([side, codes, facts])
    assert [feed.feed for feed in registry.select(["facts"])] == ["codes", "facts"]
    assert [feed.feed for feed in registry.select(["side"])] == ["codes", "side"]
    assert [feed.feed for feed in registry.select()] == ["codes", "side", "facts"]


def test_a_domain_comes_after_what_any_of_its_feeds_needs(tmp_path: Path) -> None:
    first, second = feed(tmp_path, "first", domain="facts"), feed(tmp_path, "second", domain="facts", needs="codes")
    assert list(Registry([first, second, feed(tmp_path, "codes", domain="shared")]).domains()) == ["shared", "facts"]


def test_a_circle_of_domains_is_refused(tmp_path: Path) -> None:
    feeds = [
        feed(tmp_path, "a1", domain="a", needs="b1"),
        feed(tmp_path, "b1", domain="b"),
        feed(tmp_path, "b2", domain="b", needs="a2"),
        feed(tmp_path, "a2", domain="a"),
    ]
    with pytest.raises(InvalidFeed, match="a → b → a"):
        Registry(feeds)


@pytest.mark.parametrize(
    ("title", "table"),
    [
        ("caract-2023.csv", "caracteristiques"),
        ("carcteristiques-2021.csv", "caracteristiques"),
        ("caracteristiques_2016.csv", "caracteristiques"),
        ("lieux-2018.csv.gz", "lieux"),
        ("vehicules-2023.csv", "vehicules"),
        ("vehicules-immatricules-baac-2023.csv", None),
        ("usagers-2005.csv", "usagers"),
        ("Description des bases de données annuelles (PDF)", None),
    ],
)
def test_accidents_takes_the_portals_own_titles(settings: Settings, title: str, table: str | None) -> None:
    found = load_registry(settings).get("accidents").table_of(title, "x")
    assert (found.name if found else None) == table
