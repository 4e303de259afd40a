"""What of a column of personal data enters silver, and which policies are refused."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import lake_settings
from tiny_warehouse import feed

from catalog.errors import BuildFailed, InvalidFeed
from catalog.personal_data import masked_rows, masked_select, masking_mark, put_masked
from catalog.policies import Policy
from catalog.registry import check_feeds, load_registry
from catalog.settings import Settings

SECRET = "a secret of enough characters"
FEED = """\
feed: {name}
title: A feed
description: For tests.
owner: Us
license: lov2
domain: {name}
depends_on: [{needs}]
source: {{dataset: some-dataset}}
tables:
  - name: people
    description: People.
    resources: csv
    keys: [id]
    columns: [id, nom]
    personal_data:
      {policy}
"""


def masked(connection: duckdb.DuckDBPyConnection, policy: Policy, value: str | None) -> Any:
    select = masked_select("select ?::varchar as a, 'kept' as b", {"a": policy}, SECRET.encode())
    [(found, other)] = connection.execute(select, [value]).fetchall()
    assert other == "kept"
    return found


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("12/05/1980", "1980"),
        ("1980-05-12", "1980"),
        ("75011", "75"),
        ("97411", "974"),
        ("2A004", "2A"),
        ("20090", "20"),
        ("dupont", "D"),
        (" Élodie", "É"),
        ("0612345678", "0"),
        ("", None),
        (None, None),
    ],
)
def test_generalise_leaves_the_year_the_departement_or_the_first_letter(
    connection: duckdb.DuckDBPyConnection, value: str | None, left: str | None
) -> None:
    assert masked(connection, Policy.GENERALISE, value) == left


def test_hash_is_keyed_and_equal_for_equal_values(connection: duckdb.DuckDBPyConnection) -> None:
    expected = hmac.new(SECRET.encode(), "Élodie O'Brien".encode(), "sha256").hexdigest()[:32]
    assert masked(connection, Policy.HASH, "Élodie O'Brien") == expected
    assert masked(connection, Policy.HASH, "  Élodie O'Brien ") == expected
    assert [masked(connection, Policy.HASH, value) for value in ("", None)] == ["", None]
    other = masked_select("select 'Élodie O''Brien' as a", {"a": Policy.HASH}, b"another secret, as long as that")
    assert connection.execute(other).fetchall() != [(expected,)]


def test_drop_leaves_an_empty_column_and_keep_all(connection: duckdb.DuckDBPyConnection) -> None:
    assert masked(connection, Policy.DROP, "x") is None
    assert masked(connection, Policy.KEEP, "x") == "x"


def test_no_masked_relation_holds_the_key(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("create or replace view main.people as select 'x' as a")
    put_masked(connection, "main", "people", masked_select("select 'Dupont' as a", {"a": Policy.HASH}, SECRET.encode()))
    assert connection.execute("select table_type from information_schema.tables where table_name = 'people'").fetchall()
    texts = connection.execute("select coalesce(sql, '') from duckdb_views() union all select sql from duckdb_tables()")
    padded = SECRET.encode().ljust(64, b"\0")
    inner = bytes(byte ^ 0x36 for byte in padded).hex()
    assert not [sql for (sql,) in texts.fetchall() if inner[:20] in sql or SECRET in sql]


def declared(**policies: str) -> Any:
    table = {"name": "t", "description": "d", "resources": ".", "columns": ["id", "nom"], "personal_data": policies}
    return feed("f", tables=[table])


def test_a_hash_without_its_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="f__t hashes personal data: set ODH_PERSONAL_DATA_KEY"):
        masked_rows(lake_settings(tmp_path), declared(nom="hash"), "f__t", {"id": "Id", "nom": "Nom"}, "select 1")
    settings = lake_settings(tmp_path, personal_data_key=SECRET)
    assert masked_rows(settings, declared(nom="keep"), "f__t", {"id": "Id", "nom": "Nom"}, "select 1") is None


def test_a_column_that_no_file_has_is_refused_at_the_build(tmp_path: Path) -> None:
    settings = lake_settings(tmp_path)
    headers = {"id": "Id", "nom": "", "noms": "Noms"}  # declared, so it is in bronze, and empty in every row
    with pytest.raises(BuildFailed, match="'nom', which no file of the table has; its columns are id, noms"):
        masked_rows(settings, declared(nom="drop"), "f__t", headers, "select 1")
    headers = {"id": "", "nom": ""}  # a file of no headers tells nothing
    assert masked_rows(settings, declared(nom="drop"), "f__t", headers, "select 1")


def test_another_policy_or_key_is_another_build(tmp_path: Path) -> None:
    keys = (None, SECRET, SECRET + "!")
    given = [lake_settings(tmp_path, personal_data_key=key) for key in keys]
    marks = {masking_mark(settings, declared(nom=p)) for settings in given for p in ("hash", "drop")}
    assert len(marks) == 6
    assert masking_mark(given[1], declared(nom="keep")) == masking_mark(given[2], feed("f")) == ""


@pytest.mark.parametrize(
    ("policy", "line", "said"),
    [
        ("nome: drop", 15, "unknown column 'nome'"),
        ("id: generalise", 15, "'id' is a key, and generalise would make rows one; hash or keep it"),
        ("id: drop", 15, "'id' is a key"),
        ("nom: encrypt", 16, "tables.0.personal_data.nom: Input should be 'keep', 'hash', 'generalise' or 'drop'"),
    ],
)
def test_a_wrong_policy_is_told_with_file_and_line(
    settings: Settings, tmp_path: Path, policy: str, line: int, said: str
) -> None:
    path = tmp_path / "one.yml"
    path.write_text(FEED.format(name="one", needs="", policy=policy))
    with pytest.raises(InvalidFeed, match=rf"one\.yml:{line}: .*{said}"):
        check_feeds(settings, [path])


def test_a_key_may_be_hashed(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "one.yml"
    path.write_text(FEED.format(name="one", needs="", policy="id: hash"))
    check_feeds(settings, [path])


def test_a_circle_of_feeds_is_told_with_file_and_line(settings: Settings) -> None:
    folder = settings.lake / "feeds"
    folder.mkdir(parents=True)
    for name, needs in (("one", "two"), ("two", "one")):
        (folder / f"{name}.yml").write_text(FEED.format(name=name, needs=needs, policy="nom: drop"))
    with pytest.raises(InvalidFeed, match=r"two\.yml:7: .*circle: one → two → one"):
        load_registry(settings)
    with pytest.raises(InvalidFeed, match=r"\.yml:7: .*circle"):
        check_feeds(settings, [folder / "one.yml"])
    (folder / "two.yml").write_text(FEED.format(name="two", needs="thre", policy="nom: drop"))
    with pytest.raises(InvalidFeed, match=r"two\.yml:7: Feed 'two', depends_on: There is no feed named 'thre'"):
        check_feeds(settings, [folder / "two.yml"])


@pytest.mark.parametrize(
    ("more", "expected"),
    [({}, True), ({"restricted": False}, False), ({"restricted": True}, True)],
    ids=["by default", "open", "said so"],
)
def test_a_feed_with_masked_columns_is_restricted_unless_it_says_otherwise(
    more: dict[str, Any], expected: bool
) -> None:
    table = {"name": "t", "description": "d", "resources": ".", "columns": ["nom"], "personal_data": {"nom": "drop"}}
    assert feed("f", tables=[table], **more).is_restricted is expected
    assert feed("f").is_restricted is False
