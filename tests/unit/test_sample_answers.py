"""The sample portal's JSON, without a server: moments, masks, filters."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ingestion.sample.answers import Publication, apply_mask, parse_mask, select_datasets, sort_datasets
from ingestion.sample.generator import write_sample
from ingestion.sample.listing import BAAC, IRVE, list_datasets

BASE = "https://portal.example"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, scale=0.01)
    return folder / "datasets"


@pytest.mark.parametrize(
    ("as_of", "titles"),
    [
        pytest.param(date(2019, 11, 4), [], id="the-day-before"),
        pytest.param(date(2019, 11, 5), ["2018"] * 4, id="the-very-day"),
        pytest.param(None, ["2018"] * 4 + ["2019"] * 4, id="newest"),
    ],
)
def test_publication_shows_what_was_out_at_that_date(as_of: date | None, titles: list[str], root: Path) -> None:
    shape = Publication(list_datasets(), root, as_of).dataset(BAAC, BASE)
    assert shape is not None
    years = [r["title"].partition("-")[2][:4] for r in shape["resources"] if r["type"] == "main"]
    assert years == titles


def test_publication_hides_a_dataset_before_its_first_resource(root: Path) -> None:
    assert Publication(list_datasets(), root, date(2018, 9, 16)).dataset(IRVE, BASE) is None


def test_publication_moves_the_url_and_keeps_the_id_of_a_new_version(root: Path) -> None:
    shapes = [Publication(list_datasets(), root, moment).dataset(IRVE, BASE) for moment in (date(2019, 1, 1), None)]
    old, new = (shape["resources"][0] for shape in shapes if shape)
    assert old["id"] == new["id"]
    assert old["url"] == f"{BASE}/resources/{IRVE}/20180917-080000/irve-2018.csv"
    assert new["url"] == f"{BASE}/resources/{IRVE}/20210906-080000/irve-2021.csv"
    assert old["checksum"] != new["checksum"]
    assert (old["schema"]["name"], new["schema"]["name"]) == (None, "etalab/schema-irve-statique")
    assert new["created_at"] == old["created_at"] < new["last_modified"]


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        pytest.param("", {}, id="empty"),
        pytest.param("id,title", {"id": {}, "title": {}}, id="flat"),
        pytest.param(
            "data{id,resources{id}},page", {"data": {"id": {}, "resources": {"id": {}}}, "page": {}}, id="deep"
        ),
        pytest.param("{id, title}", {"id": {}, "title": {}}, id="in-braces"),
        pytest.param("check:status", {"check:status": {}}, id="with-colon"),
    ],
)
def test_parse_mask_reads_nested_fields(text: str, mask: dict[str, Any]) -> None:
    assert parse_mask(text) == mask


@pytest.mark.parametrize("text", ["data{id", "id}", "a{b}}"])
def test_parse_mask_refuses_braces_that_do_not_match(text: str) -> None:
    with pytest.raises(ValueError, match="Mask parse error"):
        parse_mask(text)


def test_apply_mask_keeps_only_the_fields_named() -> None:
    data = {"data": [{"id": 1, "title": "a"}, {"id": 2}], "total": 2}
    assert apply_mask(data, {"data": {"title": {}}}) == {"data": [{"title": "a"}, {}]}
    assert apply_mask(data, {"data": {"id": {}}, "*": {}}) == {"data": [{"id": 1}, {"id": 2}], "total": 2}


@pytest.mark.parametrize(
    ("wanted", "slugs"),
    [
        pytest.param([("q", "ACCIDENTS routiere")], {BAAC}, id="words-without-accents"),
        pytest.param([("tag", "irve")], {IRVE}, id="tag"),
        pytest.param([("tag", "irve"), ("tag", "baac")], set(), id="two-tags"),
        pytest.param([("organization", "534fff91a3a7292c64a77f53")], {BAAC}, id="organization"),
        pytest.param([("format", "zip")], {BAAC}, id="format"),
        pytest.param([("q", "recharge accidents")], set(), id="every-word"),
    ],
)
def test_select_datasets_keeps_those_that_pass_every_filter(
    wanted: list[tuple[str, str]], slugs: set[str], root: Path
) -> None:
    shapes = Publication(list_datasets(), root).datasets(BASE)
    assert {shape["slug"] for shape in select_datasets(shapes, wanted, ("title", "tags"))} == slugs


def test_sort_datasets_reverses_with_a_minus(root: Path) -> None:
    shapes = Publication(list_datasets(), root).datasets(BASE)
    ascending = [shape["last_update"] for shape in sort_datasets(shapes, "last_update")]
    assert ascending == sorted(ascending)
    assert [shape["last_update"] for shape in sort_datasets(shapes, "-last_update")] == ascending[::-1]
