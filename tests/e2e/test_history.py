"""Four datasets as the portal had them on successive dates: each day released, read again as of it, and compared.

The portal deletes a file when it is replaced, so this history exists in the lake only. Three logical days stand for
the dates of each dataset.
"""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from conftest import lake_settings
from lakes import sql
from shared_portal import DATA, requires_shared, shared_portal

from catalog.build import Builder, DomainResult
from catalog.contracts.store import read_contracts, write_contract
from catalog.feed import Feed
from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.registry import Registry
from catalog.session import open_duckdb, open_session
from catalog.settings import REPOSITORY, Settings
from catalog.table_changes import ChangeFinder, TableChanges
from ingestion.sync import Syncer

pytestmark = [requires_shared, pytest.mark.real]
DAYS = FIRST, SECOND, THIRD = date(2024, 10, 1), date(2024, 10, 2), date(2024, 10, 3)
PORTAL = {  # as it was, on each of the three days
    "covoiturage": ("2021-10-01", "2022-02-17", "2024-09-18"),
    "hopital": ("2020-05-10T20:00:00+00:00", "2020-05-11T20:00:00+00:00", "2020-05-11T20:00:00+00:00"),
    "departement": ("2019-02-01", "2022-12-20", "2024-08-01"),
    "essence": ("2023-11-23T00:00:00+00:00", "2023-11-23T12:00:00+00:00", "2023-11-23T12:00:00+00:00"),
}
SITES, HOSPITALS, COUNCILLORS = "stg_covoiturage__lieux", "stg_hopital__jours", "stg_departement__conseillers"
PRICES = "stg_essence__instantane__prix"
FEW_SITES = """
{{ config(severity='warn') }}
select row_count from (select count(*) as row_count from {{ ref('stg_covoiturage__lieux') }}) where row_count < 5000
"""


def followed(name: str, dataset: str, tables: Any, **more: Any) -> Feed:
    """A feed in a domain of its own."""
    said = {"title": name, "description": name, "owner": "tests", "license": "lov2", "domain": name}
    return Feed.model_validate({"feed": name, **said, "source": {"dataset": dataset}, "tables": tables, **more})


def table(name: str, resources: str, *keys: str) -> list[dict[str, Any]]:
    return [{"name": name, "description": name, "resources": resources, "keys": keys}]


FEEDS = [
    followed("covoiturage", "base-nationale-des-lieux-de-covoiturage", table("lieux", ".", "id_lieu")),
    followed("hopital", "donnees-hospitalieres-covid19", table("jours", ".", "dep", "sexe", "jour")),
    followed("departement", "repertoire-national-des-elus-1", table("conseillers", "cd|conseiller"), history=False),
    followed("essence", "prix-des-carburants-en-france-flux-instantane", "auto", history=False),
]


class Story:
    """A lake over three days, and what its readers saw on each."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.registry = settings, Registry(FEEDS)
        self.ledger, self.lakehouse = Ledger(settings), Lakehouse(settings)
        self.results: dict[tuple[date, str], DomainResult] = {}
        self.seen: dict[date, dict[str, Any]] = {}

    def sync(self, feed: Feed, day: date) -> None:
        syncer = Syncer(self.settings, self.ledger, self.lakehouse, f"sync-{day}", registry=self.registry)
        assert syncer.sync(feed, day, lambda *_: None).errors == []

    def build(self, day: date) -> None:
        builder = Builder(self.settings, self.registry, self.ledger, self.lakehouse, f"build-{day}")
        self.results.update({(day, one.domain): one for one in builder.build(FEEDS, day, lambda *_: None).domains})

    def content(self, day: date | None) -> dict[str, Any]:
        """Rows of every silver table as of a day, and a hash of them all, lineage included."""
        with open_session(self.settings, day) as session:
            names = session.tables()["silver"]
            hashes = [f"select '{name}', count(*), sum(hash(row)::hugeint) from silver.{name} as row" for name in names]
            return {name: rest for name, *rest in session.execute(" union all ".join(hashes)).fetchall()}

    def read(self, day: date, query: str) -> list[tuple[Any, ...]]:
        with open_session(self.settings, day) as session:
            return session.execute(query).fetchall()

    def limit_discharges(self, most: float | None) -> None:
        """Say by hand what the hospitals' column ``rad`` holds at most."""
        if known := read_contracts(self.settings, "hopital").get("hopital__jours"):
            said = {"maximum": most, "decided": "hand"}
            columns = [one.model_copy(update=said) if one.name == "rad" else one for one in known.columns]
            write_contract(self.settings, known.model_copy(update={"columns": columns}))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Each day every feed is synced from its portal of the day, and all are built.

    The second day the hospitals' contract forbids what their file tells; the third day it does no longer.
    """
    folder = tmp_path_factory.mktemp("history")
    with shared_portal() as portal:
        more = {"dbt_project": bare_project(folder / "project"), "schemas_url": f"{portal.url}/none"}
        made = Story(lake_settings(folder / "lake", portal_url=portal.url, **more))
        with closing(made.ledger), closing(made.lakehouse):
            for number, day in enumerate(DAYS):
                for feed in FEEDS:
                    portal.control(as_of=PORTAL[feed.feed][number])
                    made.sync(feed, day)
                made.limit_discharges(4700 if day == SECOND else None)
                made.build(day)
                made.seen[day] = made.content(None)
            yield made


def bare_project(folder: Path) -> Path:
    """The dbt project without its models, and with a test of severity ``warn``."""
    real = REPOSITORY / "dbt_project"
    for name in ("plugins", "macros", "tests/generic"):
        shutil.copytree(real / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dbt_project.yml", "profiles.yml", "runner.py"):
        shutil.copyfile(real / name, folder / name)
    (folder / "tests" / "few_sites.sql").write_text(FEW_SITES, "utf-8")
    return folder


@pytest.fixture(scope="module")
def compared(story: Story) -> dict[tuple[str, date], TableChanges]:
    """What became of every table from one day to the next."""
    found = {}
    for old, new in ((FIRST, SECOND), (SECOND, THIRD)):
        for name in story.seen[new]:
            with closing(open_duckdb(story.settings)) as connection:
                finder = ChangeFinder(connection, story.ledger, story.lakehouse, story.registry)
                found[name, new] = finder.between(name, old, new)
    return found


def test_as_of_each_day_every_table_is_what_it_was(story: Story) -> None:
    assert {day: story.content(day) for day in DAYS} == story.seen
    rows = {name: [story.seen[day][name][0] for day in DAYS] for name in (SITES, HOSPITALS, COUNCILLORS, PRICES)}
    assert rows == {
        SITES: [7844, 8077, 3182],
        HOSPITALS: [16365, 16365, 16668],  # the second day they kept their release
        COUNCILLORS: [4026, 4054, 4055],
        PRICES: [33435, 33438, 33438],
    }


@pytest.mark.parametrize(
    ("day", "name", "file", "columns"),
    [
        (FIRST, SITES, "base-nationale-des-lieux-de-covoiturage/2021-09-30/bnlc-.csv", ["id_lieu", "com_lieu"]),
        (SECOND, SITES, "base-nationale-des-lieux-de-covoiturage/2022-02-16/bnlc-.csv", ["id_lieu", "com_lieu"]),
        (SECOND, HOSPITALS, "donnees-hospitalieres-covid19/covid_hospit_2020-05-10.csv", ["dep", "jour", "rad"]),
        (THIRD, HOSPITALS, "donnees-hospitalieres-covid19/covid_hospit_2020-05-11.csv", ["dep", "jour", "rad"]),
    ],
)
def test_as_of_a_day_the_rows_are_those_of_its_file(
    story: Story, day: date, name: str, file: str, columns: list[str]
) -> None:
    with (DATA / "datasets" / file).open(encoding="utf-8") as stream:
        separator = ";" if name == HOSPITALS else ","
        rows = csv.DictReader(stream, delimiter=separator)
        published = [tuple(row[column].strip() or None for column in columns) for row in rows]
    texts = ", ".join(f"{column}::varchar" for column in columns)
    assert Counter(story.read(day, f"select {texts} from silver.{name}")) == Counter(published)


def test_changes_add_up_for_every_table_and_day(story: Story, compared: dict[tuple[str, date], TableChanges]) -> None:
    for (name, new), found in compared.items():
        counts = found.changes.counts
        old = {SECOND: FIRST, THIRD: SECOND}[new]
        before = story.seen[old].get(name, [0])[0]  # a table of history comes with the second version
        assert (counts.old, counts.new) == (before, story.seen[new][name][0]), name
        assert counts.old + counts.inserted - counts.deleted == counts.new, name


def test_changes_by_key_tell_a_column_that_came_and_sites_that_went(
    compared: dict[tuple[str, date], TableChanges],
) -> None:
    added, fewer = compared[SITES, SECOND].changes, compared[SITES, THIRD].changes
    assert (added.how.keys, added.how.came) == (("id_lieu",), ("id_local",))
    assert (added.counts.inserted, added.counts.updated, added.counts.deleted) == (310, 563, 77)
    assert (fewer.counts.inserted, fewer.counts.updated, fewer.counts.deleted) == (954, 2181, 5849)
    days = compared[HOSPITALS, THIRD].changes
    assert (days.how.keys, days.counts.inserted, days.counts.updated) == (("dep", "sexe", "jour"), 303, 0)


def test_changes_by_content_tell_new_prices(compared: dict[tuple[str, date], TableChanges]) -> None:
    prices = compared[PRICES, SECOND].changes
    assert (prices.how.by_content, prices.counts.updated) == ("no key is known", 0)
    assert prices.counts.inserted - prices.counts.deleted == 3
    assert compared[PRICES, THIRD].changes.counts.inserted == 0


def test_a_hard_failure_keeps_the_release_of_its_domain_and_blocks_no_other(story: Story) -> None:
    failed = story.results[SECOND, "hopital"]
    assert (failed.status, failed.tests_failed) == ("failed", 1)
    assert story.seen[SECOND][HOSPITALS] == story.seen[FIRST][HOSPITALS]
    others = {domain: one.status for (day, domain), one in story.results.items() if day == SECOND and one != failed}
    assert others == {"covoiturage": "built", "departement": "built", "essence": "built"}
    assert story.results[THIRD, "hopital"].status == "built"


def test_a_soft_failure_is_recorded_and_released(story: Story) -> None:
    assert (story.results[THIRD, "covoiturage"].status, story.results[THIRD, "covoiturage"].tests_warned) == (
        "built",
        1,
    )
    asked = (
        "select run_id, severity, status, failures from ops.quality_results where test_name = 'few_sites' order by 1"
    )
    assert sql(story.settings, asked) == [
        (f"build-{FIRST}", "warn", "pass", 0),
        (f"build-{SECOND}", "warn", "pass", 0),
        (f"build-{THIRD}", "warn", "warn", 1),
    ]


def test_a_day_on_which_a_file_did_not_change_writes_no_table(story: Story) -> None:
    assert story.results[THIRD, "essence"].status == "unchanged"
    assert story.seen[THIRD][PRICES] == story.seen[SECOND][PRICES]
