"""Contracts as files: written once, read back the same, every mistake told with its place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from documents import ROOT, code_blocks
from written_contracts import contract, put_rows

from catalog.contracts.contract import ColumnContract, Contract, Profile
from catalog.contracts.models import model_sql, typed_select
from catalog.contracts.store import (
    check_columns,
    contract_path,
    read_contract,
    read_contracts,
    render_contract,
    write_contract,
)
from catalog.errors import InvalidContract
from catalog.functions import install_functions
from catalog.settings import Settings

DOCUMENT = (ROOT / "docs/contracts.md").read_text("utf-8")
STATIONS = contract(
    "velos__stations",
    {
        "code": {"type": "text", "header": "Code station", "nullable": False, "unique": True, "pattern": r"^\d{5}$"},
        "taux": {"type": "percentage", "unit": "%", "markers": ["nd", "no", "1e5", " "], "minimum": 0, "maximum": 99.5},
        "sens": {"type": "text", "values": ["oui", "null", "", "1", "l'été", "a: b # c"], "decided": "hand"},
    },
    description="Stations, one a row: « été », 10 % de plus.\nSecond line.",
    profile=Profile(snapshot="42", rows=3, failing={"taux": 1}),
)


def test_a_contract_is_read_back_as_it_was_written(settings: Settings) -> None:
    path = write_contract(settings, STATIONS)
    assert path == settings.contracts / "velos" / "stations.yml" == contract_path(settings, "velos__stations")
    assert read_contracts(settings, "velos") == {"velos__stations": STATIONS}
    assert read_contracts(settings, "other") == {}
    assert list(path.parent.iterdir()) == [path]  # nothing half-written beside it


@pytest.mark.parametrize(
    "text", ["", " ", "\t", "a\nb", "\u00a0", "\u2028x", "\ufeff", "😀", "{{ x }}", "- a", "'", '"', "~"]
)
def test_any_text_is_read_back_as_it_was_written(settings: Settings, text: str) -> None:
    odd = contract("a__b", {"c": {"type": "text", "header": text, "markers": [text], "values": [text]}})
    assert read_contract(write_contract(settings, odd)) == odd


def test_what_is_as_ever_is_not_written() -> None:
    text = render_contract(contract("velos__bornes", {"n": {"type": "integer", "maximum": 10}}))
    told = [line for line in text.splitlines() if not line.startswith("#")]
    assert told == [
        "feed: velos",
        "domain: transport",
        "table: velos__bornes",
        "columns:",
        "  - name: n",
        "    type: integer",
        "    maximum: 10",
        "profile:",
        "  snapshot: '1'",
        "  rows: 0",
    ]


def test_an_equal_contract_is_not_written_again(settings: Settings) -> None:
    path = write_contract(settings, STATIONS)
    path.write_text(path.read_text("utf-8") + "# a person's last word\n", "utf-8")
    before = path.stat().st_mtime_ns
    write_contract(settings, STATIONS)
    assert path.stat().st_mtime_ns == before


def test_comments_outlive_a_new_profile_but_not_new_columns(settings: Settings) -> None:
    path = write_contract(settings, STATIONS)
    path.write_text(
        path.read_text("utf-8").replace("  - name: taux", "  # asked of the office\n  - name: taux"), "utf-8"
    )
    seen_again = STATIONS.model_copy(update={"profile": Profile(snapshot="43", rows=4)})
    write_contract(settings, seen_again)
    assert "# asked of the office" in path.read_text("utf-8")
    assert read_contract(path) == seen_again
    fewer = STATIONS.model_copy(update={"columns": STATIONS.columns[:1]})
    write_contract(settings, fewer)
    assert path.read_text("utf-8") == render_contract(fewer)


def test_a_profile_that_people_moved_is_written_with_the_rest(settings: Settings) -> None:
    path = write_contract(settings, STATIONS)
    head, profile, tail = path.read_text("utf-8").partition("profile:\n")
    path.write_text(profile + tail + head, "utf-8")
    seen_again = STATIONS.model_copy(update={"profile": Profile(snapshot="43", rows=4)})
    write_contract(settings, seen_again)
    assert path.read_text("utf-8") == render_contract(seen_again)


MISTAKES = {
    "type": ("    type: percentage", "    type: percent", "18: columns.1.type", "Did you mean 'percentage'?"),
    "field": ("    unit: '%'", "    unti: '%'", "19: columns.1.unti", "Extra inputs are not permitted"),
    "yaml": ("columns:\n", "columns: [\n", "", "not YAML"),
    "twice": ("  - name: taux", "  - name: code", "4: the file", "columns ['code'] stand there twice"),
    "moved": ("table: velos__stations", "table: velos__lines", "6: ", "make them equal"),
    "other": ("table: velos__stations", "table: lines", "4: the file", "must begin with 'velos__'"),
    "nothing": ("feed: velos\n", "", "feed", "Field required"),
    "endless": ("    minimum: 0", "    minimum: .inf", "minimum", "finite number"),
    "latin-1": ("Code station", "Code \udce9t\udce9", "byte", "save the file as UTF-8"),
}


@pytest.mark.parametrize(("old", "new", "place", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_place(settings: Settings, old: str, new: str, place: str, told: str) -> None:
    path = write_contract(settings, STATIONS)
    text = path.read_text("utf-8")
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidContract) as raised:
        read_contracts(settings, "velos")
    assert str(raised.value).startswith(str(path))
    assert place in str(raised.value)
    assert told in str(raised.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidContract, match="cannot be read"):
        read_contract(tmp_path)


def test_a_column_may_end_with_an_underscore() -> None:
    """A long header is cut at 63 characters, wherever that is."""
    name = "a" * 62 + "_"
    assert isinstance(contract("a__b", {name: "text"}), Contract)


def test_a_column_that_bronze_does_not_have_is_told_with_its_place(settings: Settings) -> None:
    path = write_contract(settings, STATIONS)
    check_columns(settings, STATIONS, ["code", "taux", "sens", "more"])
    with pytest.raises(InvalidContract) as raised:
        check_columns(settings, STATIONS, ["code", "taux_brut", "sens"])
    assert str(raised.value).startswith(f"{path}:17: columns.1.name: There is no column named 'taux'.")
    assert "Did you mean 'taux_brut'?" in str(raised.value)


# docs/contracts.md


def test_the_document_tells_every_field() -> None:
    rows = re.findall(
        r"^\| ((?:`[a-z_]+`(?:, )?)+) \| (?:required|none|`)", DOCUMENT.partition("## The table")[2], re.M
    )
    told = {name for row in rows for name in re.findall("[a-z_]+", row)}
    assert told == {*Contract.model_fields, *ColumnContract.model_fields, *Profile.model_fields}


def test_the_documents_example_is_a_contract_and_its_model(tmp_path: Path) -> None:
    blocks = code_blocks(DOCUMENT)
    path = tmp_path / "bornes" / "stations.yml"
    path.parent.mkdir()
    path.write_text(next(block for block in blocks if block.startswith("feed: bornes")), "utf-8")
    example = read_contract(path)
    assert path.read_text("utf-8") == render_contract(example).partition("column changes.\n")[2]
    assert model_sql(example) in blocks


def test_the_documents_rows_are_what_the_example_makes_of_them() -> None:
    example = Contract.model_validate(
        yaml.safe_load(next(block for block in code_blocks(DOCUMENT) if block.startswith("feed: bornes")))
    )
    tables = [part for part in DOCUMENT.split("\n\n") if part.startswith("| `nom`")]
    given, made = ([[cell.strip() for cell in row.split("|")[1:-1]] for row in one.splitlines()[2:]] for one in tables)
    with duckdb.connect() as connection:
        install_functions(connection)
        name = put_rows(connection, example, [[cell.strip("`") for cell in row] for row in given])
        columns = "nom, puissance_kw, puissance_kw_reason, ouverture, _rejected"
        found = connection.execute(f"select {columns} from ({typed_select(example, name)})").fetchall()
    assert [[as_told(value) for value in row] for row in found] == made


def as_told(value: Any) -> str:
    """A value as the document writes it."""
    if value is None:
        return "NULL"
    return f"`[{', '.join(value)}]`" if isinstance(value, list) else f"`{value}`"
