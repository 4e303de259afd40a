"""A gateway that runs while a person is erased: it stops showing her, and frees what it had open, without a restart."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import httpx
from api_lake import rows_of, serving_app
from fastapi import FastAPI
from lakes import odh
from test_erasure import DAYS, ERASE, FIRST, HER, SECOND, people

from api.app import create_app

TABLES = ("/staging/stg_people__lines", "/curated/fct_people", "/raw/people__lines")
CHANGES = ("/staging/stg_people__lines/changes", "/raw/people__lines/changes")
BETWEEN = {"from": DAYS[0].isoformat(), "to": DAYS[1].isoformat(), "page_size": 100}
FREED_SECONDS = 5


def open_files(folder: Path) -> set[str]:
    """Files below a folder that this process, and so the gateway in it, has open; removed ones too."""
    found = set()
    for one in Path("/proc/self/fd").iterdir():
        try:
            found.add(str(one.readlink()))
        except FileNotFoundError:
            continue
    return {path for path in found if path.startswith(str(folder))}


def seen(client: httpx.Client) -> list[str]:
    """Where the gateway shows her."""
    answers = [client.get(path, params={"page_size": 100}) for path in TABLES]
    answers += [client.get(path, params=BETWEEN) for path in CHANGES]
    assert [one.status_code for one in answers] == [200] * len(answers), [one.text for one in answers]
    return [str(one.url.path) for one in answers if HER in one.text or "Quatrebarbes" in one.text]


def read_until_copied(app: FastAPI, client: httpx.Client) -> None:
    for path in TABLES:
        assert client.get(path).status_code == 200
    app.state.tables.copies.wait()
    for path in TABLES:
        assert client.get(path).status_code == 200


def test_a_running_gateway_lets_go_of_a_person_who_is_erased(tmp_path: Path) -> None:
    tiny = people(tmp_path)
    with closing(tiny.lakehouse), closing(tiny.ledger):
        for day, content in zip(DAYS, (FIRST, SECOND), strict=False):
            tiny.load("people", day, content)
            assert [one.status for one in tiny.build(day, "people").domains] == ["built"]
    app = create_app(tiny.settings)
    with serving_app(app) as client:
        read_until_copied(app, client)
        held = open_files(tiny.settings.serving)
        assert len(held) == len(TABLES)
        assert len(seen(client)) == len(TABLES) + len(CHANGES)
        following = [client.get(path, params={"page_size": 1}).json()["links"]["next"] for path in TABLES]

        assert odh(tiny.settings, *ERASE).json["is_proven"] is True

        began = time.monotonic()
        while open_files(tiny.settings.serving) or app.state.comparisons._kept:  # nothing is asked of a table meanwhile
            assert client.get("/health/live").status_code == 200
            assert time.monotonic() - began < FREED_SECONDS, open_files(tiny.settings.serving)
        assert seen(client) == []
        for gone in map(client.get, following):
            assert (gone.status_code, "no longer kept" in gone.json()["detail"]) == (400, True), gone.text
        read_until_copied(app, client)
        assert len(open_files(tiny.settings.serving)) == len(TABLES), "what is left has copies again"
        assert len(rows_of(client, TABLES[0])) == 2
