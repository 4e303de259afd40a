"""A warehouse of two domains small enough to build in a test: ``down``'s gold reads ``up``'s.

The dbt project is written anew from what is here and from the real project's runner, profile, plugins and macros.
"""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from textwrap import dedent
from typing import Any

from conftest import lake_settings
from raw_files import put_raw

from catalog.build import Builder, BuildResult
from catalog.feed import Feed
from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.registry import Registry
from catalog.settings import REPOSITORY, Settings
from catalog.storage import raw_store
from ingestion.bronze import BronzeLoader
from ingestion.raw import RawZone

REAL = REPOSITORY / "dbt_project"
PARSED: dict[str, Path] = {}  # by the text of a dbt_project.yml, the first project that had it
PROJECT = """
name: opendatahub
version: "1.0.0"
profile: opendatahub
flags: {send_anonymous_usage_stats: false, require_generic_test_arguments_property: true}
models:
  opendatahub:
    +materialized: table
    silver: {+schema: silver}
    gold: {+schema: gold}
"""
MODELS = {
    "silver/stg_up__lines.sql": """
        {{ config(tags='up') }}
        select code, try_cast(amount as integer) as amount
        from ({{ latest_extraction(source('feeds', 'up__lines')) }}) as newest
    """,
    "gold/fct_up.sql": """
        {{ config(tags='up') }}
        select code, sum(amount) as amount, list(amount order by amount) as amounts from {{ ref('stg_up__lines') }}
        group by code
    """,
    "silver/stg_down__lines.sql": """
        {{ config(tags='down') }}
        select code, label from ({{ latest_extraction(source('feeds', 'down__lines')) }}) as newest
    """,
    "gold/fct_down.sql": """
        {{ config(tags='down') }}
        select label as t, amount from {{ ref('stg_down__lines') }} inner join {{ ref('fct_up') }} using (code)
    """,
    "gold/mart_nothing.sql": "{{ config(tags='down') }} select t as label from {{ ref('fct_down') }} where false",
    "models.yml": """
        sources:
          - name: feeds
            schema: bronze
            tables: [{name: up__lines}, {name: down__lines}]
        models:
          - name: fct_up
            description: One code a row.
            columns:
              - name: code
                description: The code.
                data_tests: [not_null, unique]
          - name: fct_down
            columns:
              - name: t  # a short name, to stand in the way of any alias in the builder's SQL
                data_tests:
                  - accepted_values: {arguments: {values: [only this]}, config: {severity: warn}}
    """,
}


class TinyWarehouse:
    """A lake, two feeds with a row each, and their dbt project."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.project = folder / "project"
        self.settings: Settings = lake_settings(folder / "lake", dbt_project=self.project, threads=1, **settings)
        self.ledger, self.lakehouse = Ledger(self.settings), Lakehouse(self.settings)
        self.registry = Registry([feed("up"), feed("down", depends_on=["up"]), feed("bare")])
        self.runs = 0
        write_project(self.project)

    def load(self, name: str, day: date, content: str) -> None:
        """Bring one file into the bronze table of a feed."""
        self.runs += 1
        of = self.registry.get(name)
        manifest = put_raw(self.settings, name, day, "lines.csv", content.encode())
        raw = RawZone(raw_store(self.settings))
        loader = BronzeLoader(self.ledger, self.lakehouse, raw, self.settings.scratch, f"load-{self.runs}")
        loader.load(of, [manifest])

    def build(self, day: date, *feeds: str) -> BuildResult:
        """Build the domains of some feeds."""
        self.runs += 1
        run_id = f"build-{self.runs}"
        share_parse(self.project)
        builder = Builder(self.settings, self.registry, self.ledger, self.lakehouse, run_id)
        return builder.build(self.registry.select(feeds), day, lambda *_: None)

    def edit(self, model: str, old: str, new: str) -> None:
        """Change a model's code."""
        path = self.project / "models" / model
        text = path.read_text("utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {model}"
        path.write_text(text.replace(old, new), "utf-8")


def feed(name: str, **more: Any) -> Feed:
    """A feed of one table, in a domain of its own name."""
    told: dict[str, Any] = {
        "feed": name,
        "title": name,
        "description": name,
        "owner": "tests",
        "license": "lov2",
        "domain": name,
        "source": {"dataset": name},
        "tables": [{"name": "lines", "description": "One line.", "resources": "."}],
    }
    return Feed.model_validate(told | more)


def write_project(folder: Path) -> None:
    """Write the dbt project."""
    for name in ("profiles.yml", "runner.py", "plugins", "macros/generate_schema_name.sql"):
        _copy(REAL / name, folder / name)
    for name in ("current_rows.sql", "history_rows.sql", "invalid_columns.sql"):
        _copy(REAL / "macros" / name, folder / "macros" / name)
    (folder / "dbt_project.yml").write_text(PROJECT, "utf-8")
    for name, text in MODELS.items():
        path = folder / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), "utf-8")


def share_parse(project: Path) -> None:
    """Let dbt begin with what it parsed of the first project of the same settings: it reads again what differs."""
    settings = project / "dbt_project.yml"
    first = PARSED.setdefault(settings.read_text("utf-8"), project) if settings.exists() else project
    if first != project and (first / "target").exists() and not (project / "target").exists():
        shutil.copytree(first / "target", project / "target")


def generate_silver(folder: Path) -> None:
    """Let a project take the generated models of its lake, with the tests they bring."""
    project = folder / "dbt_project.yml"
    project.write_text(project.read_text("utf-8") + "model-paths: [models, generated]\n", "utf-8")
    for name in ("macros", "tests/generic"):
        shutil.copytree(REAL / name, folder / name, dirs_exist_ok=True)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)
