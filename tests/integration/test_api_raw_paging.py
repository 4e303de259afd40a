"""Pages of raw tables, from their native copies and from Iceberg: what is copied, and for whom."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import httpx
import pytest
from api_lake import SECRETS_FEED, LakeWriter, serving, serving_app
from push_lake import GOOD, PushLake
from test_api_paging import every_page

from api.app import create_app
from api.tables import Layer, Tables
from catalog.registry import load_registry

RAW = "/raw/f__stops"


def load_stops(writer: LakeWriter, day: int) -> None:
    rows: list[dict[str, str | None]] = [{"a": f"{day}-{n}", "b": str(n % 3)} for n in range(40)]
    writer.load("f__stops", rows, date(2024, 3, day))


def has_copy(tables: Tables, path: str) -> bool:
    """Whether the present state of a raw table is read from a copy, once all that were asked for are made."""
    table = tables.get(Layer.RAW, path.rpartition("/")[2], None)
    tables.copies.wait()
    return tables.relation(table).row is not None


@pytest.mark.parametrize(
    "parameters",
    [{}, {"b__exact": "1"}, {"b__sort": "desc"}, {"as_of": "2024-03-02"}, {"as_of": "2024-03-02", "b__sort": "asc"}],
    ids=str,
)
def test_raw_pages_begun_on_iceberg_go_on_from_the_copy_while_files_are_loaded(
    tmp_path: Path, parameters: dict[str, str]
) -> None:
    writer = LakeWriter(tmp_path)
    for day in (1, 2, 3):
        load_stops(writer, day)
    app = create_app(writer.settings)
    with serving_app(app) as client:
        asked = {**parameters, "page_size": 7}
        whole = client.get(RAW, params={**parameters, "page_size": 200}).json()["data"]
        page = client.get(RAW, params=asked).json()
        assert has_copy(app.state.tables, RAW)
        load_stops(writer, 4)
        rows = page["data"]
        while page["links"]["next"]:
            page = client.get(page["links"]["next"]).json()
            rows += page["data"]
        assert rows == whole
        assert has_copy(app.state.tables, RAW), "a new state is copied where the one before was"
        whole = client.get(RAW, params={**parameters, "page_size": 200}).json()["data"]
        assert every_page(client, RAW, **asked) == whole


def test_a_raw_table_that_records_are_pushed_into_is_not_copied(tmp_path: Path) -> None:
    lake = PushLake(tmp_path)
    lake.push([GOOD])
    assert lake.drain()
    with Tables(lake.settings, load_registry(lake.settings)) as tables:
        name = next(iter(tables.of_layer(Layer.RAW, None))).pin.name
        assert not has_copy(tables, name)
        assert not has_copy(tables, name)
    assert not lake.settings.serving.exists()


def test_the_copy_of_a_restricted_raw_table_is_for_those_who_may_read_it(tmp_path: Path) -> None:
    writer = LakeWriter(tmp_path)
    feeds = writer.settings.lake / "feeds"
    feeds.mkdir(parents=True)
    (feeds / "secrets.yml").write_text(SECRETS_FEED, encoding="utf-8")
    writer.load("secrets__lines", [{"a": "1"}, {"a": "2"}], date(2024, 3, 1))
    path, served = "/raw/secrets__lines", writer.settings.model_copy(update={"serve_restricted": True})
    app = create_app(served)
    with serving_app(app) as client:
        following = client.get(path, params={"page_size": 1}).json()["links"]["next"]
        assert has_copy(app.state.tables, path)
    with serving(writer.settings) as client:
        for address in (path, httpx.URL(following).raw_path.decode()):
            assert client.get(address).json()["type"] == "urn:problem-type:odh:restricted"
