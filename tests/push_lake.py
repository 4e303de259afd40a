"""A lake with one push feed, and a dbt project small enough to build in a test: its silver and its gold."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any

import yaml
from conftest import lake_settings
from tiny_warehouse import write_project

from catalog.feed import Feed
from catalog.iceberg import Lakehouse
from catalog.ledger import Ledger
from catalog.push.batch import Batch, take
from catalog.push.contract import Contract
from catalog.push.log import PushLog
from catalog.registry import load_registry
from catalog.settings import Settings
from ingestion.drain_watch import flush

FIELDS = [
    {"name": "at", "type": "datetime", "description": "When.", "required": True},
    {"name": "value", "type": "number", "description": "How much.", "required": True, "minimum": -50, "maximum": 50},
    {"name": "kind", "type": "text", "description": "What.", "enum": ["air", "water"]},
    {"name": "note", "type": "text", "description": "Free text.", "max_length": 100},
    {"name": "count", "type": "integer", "description": "How many.", "minimum": 0},
]
FEED: dict[str, Any] = {
    "feed": "capteurs",
    "title": "Capteurs",
    "description": "Measures that sensors push.",
    "owner": "tests",
    "license": "lov2",
    "domain": "capteurs",
    "source": {"push": {"fields": FIELDS}},
    "tables": [
        {
            "name": "mesures",
            "description": "One measure.",
            "resources": "^records$",
            "mode": "append",
            "columns": [field["name"] for field in FIELDS],
        }
    ],
}
MODELS = {
    "silver/stg_capteurs__mesures.sql": """
        {{ config(tags='capteurs') }}
        select try_cast("at" as timestamptz) as measured_at, try_cast("value" as double) as measure,
            nullif(kind, '') as kind, nullif(note, '') as note, try_cast("count" as integer) as how_many
        from ({{ current_rows(source('push', 'capteurs__mesures'), mode='append') }}) as rows
    """,
    "gold/fct_mesure.sql": """
        {{ config(tags='capteurs') }}
        select kind, count(*) as measures, sum(measure) as total from {{ ref('stg_capteurs__mesures') }} group by kind
    """,
    "push.yml": "sources: [{name: push, schema: bronze, tables: [{name: capteurs__mesures}]}]",
}
GOOD = {"at": "2024-05-01T08:30:00Z", "value": 12.5, "kind": "air"}


class PushLake:
    """A lake to push to."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.project = folder / "project"
        defaults: dict[str, Any] = {"dbt_project": self.project, "threads": 1, "push_flusher": False}
        self.settings: Settings = lake_settings(folder / "lake", **{**defaults, **settings})
        self.log = PushLog(self.settings.push_log)
        write_project(self.project)
        for name, text in MODELS.items():
            path = self.project / "models" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), "utf-8")
        feeds = self.settings.lake / "feeds"
        feeds.mkdir(parents=True)
        (feeds / "capteurs.yml").write_text(yaml.safe_dump(FEED), "utf-8")
        self.contracts = {"capteurs": Contract(load_registry(self.settings).get("capteurs"))}

    def push(self, records: Iterable[Any], key: str | None = None, feed: str = "capteurs") -> str:
        """Put one batch into the log, as the gateway does, and return its receipt."""
        body = json.dumps({"feed": feed, "data": list(records)}).encode()
        _, payload = take(body, self.contracts, time.time_ns() // 1000, key=key)
        return self.log.append([payload])[0]

    def drain(self) -> bool:
        """Drain and release, as ``odh drain`` does."""
        with closing(Ledger(self.settings)) as ledger, closing(Lakehouse(self.settings)) as lakehouse:
            return flush(self.settings, ledger, lakehouse)


def taken(records: Iterable[Any], **more: Any) -> Batch:
    """A batch as the gateway makes it."""
    contracts = {"capteurs": Contract(Feed.model_validate(FEED))}
    return take(json.dumps({"feed": "capteurs", "data": list(records)}).encode(), contracts, 0, **more)[0]
