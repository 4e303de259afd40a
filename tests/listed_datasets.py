"""Datasets as the portal lists them, for tests of discovery."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from catalog.feed_files import lake_feeds
from catalog.settings import Settings

BASE = "https://portal.example"
CSV = {"id": "r1", "title": "rows", "url": "https://x.example/rows.csv", "format": "csv"}


def body(number: int = 1, slug: str = "un-jeu", **more: Any) -> dict[str, Any]:
    return {"id": f"{number:024x}", "slug": slug, "title": "Un jeu", "resources": [CSV], **more}


def lake_files(settings: Settings) -> dict[str, str]:
    return {path.stem: path.read_text("utf-8") for path in lake_feeds(settings).glob("*.yml")}


GOOD: dict[str, Any] = {
    "title": "t",
    "description": "d",
    "owner": "o",
    "license": "l",
    "source": {"dataset": "x"},
    "tables": "auto",
}


def put(settings: Settings, text: str, name: str = "mine") -> Path:
    path = lake_feeds(settings) / f"{name}.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path
