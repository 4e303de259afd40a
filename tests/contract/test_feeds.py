"""Feeds, their page, and their dbt models never drift; what needs a build of dbt is in ``test_dbt_project.py``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from documents import ROOT

from catalog.feed import Bounds, Feed, FeedTable, Retention, Search, Source
from catalog.push.fields import Push, PushField
from catalog.registry import FEEDS_FOLDER, Registry, read_feed

PROJECT = ROOT / "dbt_project"
SILVER, GOLD = PROJECT / "models" / "silver", PROJECT / "models" / "gold"
REGISTRY = Registry(read_feed(path) for path in sorted(FEEDS_FOLDER.glob("*.yml")))
TABLES = [pytest.param(feed, table, id=f"{feed.feed}.{table.name}") for feed in REGISTRY for table in feed.declared]
PAGE = (ROOT / "docs" / "feeds.md").read_text("utf-8")
PARTS = {
    "": Feed,
    "source.": Source,
    "source.search.": Search,
    "source.push.": Push,
    "source.push.fields.": PushField,
    "tables.": FeedTable,
    "retention.": Retention,
    "bounds.": Bounds,
}


def sources() -> list[tuple[str, str, str, dict[str, Any]]]:
    """Every source table: domain folder, source, table and its entry."""
    return [
        (path.parent.name, source["name"], table["name"], table)
        for path in SILVER.rglob("_sources.yml")
        for source in yaml.safe_load(path.read_text("utf-8"))["sources"]
        for table in source["tables"]
    ]


@pytest.mark.parametrize(("feed", "table"), TABLES)
def test_a_feed_table_has_one_silver_model_that_reads_its_columns(feed: Feed, table: FeedTable) -> None:
    models = list(SILVER.rglob(f"stg_{feed.feed}__{table.name}.sql"))
    assert [path.parent.name for path in models] == [feed.domain]
    bases = list(SILVER.rglob(f"base_{feed.feed}__{table.name}.sql"))  # the model and its history may read this in turn
    text = "".join(path.read_text("utf-8") for path in [*models, *bases])
    assert re.findall(r"source\('(\w+)', '(\w+)'\)", text) == [(feed.feed, table.name)]
    assert set(table.columns) - set(re.findall(r"\w+", text)) == set(), "columns no model reads; drop them in the feed"


@pytest.mark.parametrize(("feed", "table"), TABLES)
def test_a_feed_table_has_one_source_entry(feed: Feed, table: FeedTable) -> None:
    entries = [entry for entry in sources() if entry[1:3] == (feed.feed, table.name)]
    assert [(entry[0], entry[3]["identifier"]) for entry in entries] == [
        (feed.domain, f"{feed.feed}__{table.name}"),
    ]


def test_no_model_and_no_source_is_without_its_feed() -> None:
    declared = {(feed.feed, table.name) for feed in REGISTRY for table in feed.declared}
    stems = [path.stem for path in SILVER.rglob("*.sql")]
    modelled = {tuple(re.sub("^(stg|base)_|__history$", "", stem).split("__")) for stem in stems}
    assert modelled == {entry[1:3] for entry in sources()} == declared


def test_domains_are_the_folders_and_tags_of_dbt() -> None:
    domains = set(REGISTRY.domains())
    project = yaml.safe_load((PROJECT / "dbt_project.yml").read_text("utf-8"))["models"]["opendatahub"]
    for folder in (SILVER, GOLD):
        tags = {
            name: part["+tags"]
            for name, part in project[folder.name].items()
            if isinstance(part, dict) and "+tags" in part
        }
        assert {path.name for path in folder.iterdir() if path.is_dir()} == domains
        assert tags == {domain: [domain] for domain in domains}


@pytest.mark.parametrize("domain", REGISTRY.domains())
def test_a_domain_joins_only_those_its_feeds_depend_on(domain: str) -> None:
    homes = {path.stem: path.parent.name for path in (*SILVER.rglob("*.sql"), *GOLD.rglob("*.sql"))}
    homes |= {path.stem: path.parent.name for path in (PROJECT / "seeds").rglob("*.csv")}
    mine = [path for folder in ("models", "tests") for path in (PROJECT / folder).rglob("*.sql")]
    text = "".join(path.read_text("utf-8") for path in mine if path.parent.name == domain)
    joined = {homes[name] for name in re.findall(r"ref\('(\w+)'\)", text)} - {domain}
    needed = {REGISTRY.feeds[name].domain for feed in REGISTRY.domains()[domain] for name in feed.depends_on} - {domain}
    assert joined == needed, "depends_on of the domain's feeds must name a feed of each domain its models join"


def test_the_page_explains_every_field() -> None:
    fields = {prefix + name for prefix, model in PARTS.items() for name in model.model_fields}
    explained = re.findall(r"^\| `([a-z_.]+)` \|", PAGE, re.M)
    assert sorted(explained) == sorted(fields)


def test_the_page_tells_defaults_and_what_is_required() -> None:
    told = dict(re.findall(r"^\| `([a-z_.]+)` \| (.*?) \|", PAGE, re.M))
    for prefix, model in PARTS.items():
        for name, field in model.model_fields.items():
            assert (told[prefix + name] == "required") == field.is_required(), prefix + name
    assert told["schedule"] == f"`{Feed.model_fields['schedule'].default}`"
    assert told["tables.mode"] == f"`{FeedTable.model_fields['mode'].default}`"
    assert told["enabled"] == f"`{str(Feed.model_fields['enabled'].default).lower()}`"


def test_the_pages_example_is_a_valid_feed(tmp_path: Path) -> None:
    for text in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S):
        path = tmp_path / f"{yaml.safe_load(text)['feed']}.yml"
        path.write_text(text, "utf-8")
        assert read_feed(path).tables
