"""One asset a feed: its bronze tables, as far as other DAGs need to know. Defines no DAG."""

from __future__ import annotations

from datetime import date
from typing import Any

from airflow.sdk import Asset, AssetAlias

from catalog.registry import Registry
from catalog.settings import load_settings
from catalog.survey import survey_feeds

PREFIX = "bronze_"
CHANGED_BRONZE = AssetAlias("changed_bronze")  # stands for the assets of the feeds a task has news of


def read_registry() -> Registry:
    """The feeds whose files are sound; the others get an alert, and no DAG stops for them."""
    return survey_feeds(load_settings()).registry


def bronze_asset(feed: str) -> Asset:
    """The asset of a feed."""
    return Asset(name=f"{PREFIX}{feed}", uri=f"x-odh://bronze/{feed}", group="bronze")


def feed_of(asset: Any) -> str:
    """The feed of an asset."""
    return str(asset.name).removeprefix(PREFIX)


def announce(outlet_events: Any, feed: str, day: date) -> None:
    """Tell those who wait for a feed's asset that it changed, and of which day the news is."""
    outlet_events[CHANGED_BRONZE].add(bronze_asset(feed), extra={"extraction_date": day.isoformat()})
