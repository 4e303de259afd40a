"""Training sets never tell a label what was not known before it, however late a correction came."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from gold_lake import GoldLake
from lakes import odh

from catalog.errors import UnknownName, UsageError
from catalog.quality.training import Features, TrainingSet, make_training_set
from catalog.session import Session, open_session

FIRST = date(2024, 1, 11)
CORRECTED = date(2024, 1, 14)  # the day a later extraction said another value for 01
TAKEN = [FIRST, date(2024, 1, 12), CORRECTED, date(2024, 1, 17)]
# what each snapshot says of each key; 2A is gone from the last one, 03 is new in it
VALUES = {
    FIRST: {"01": 1.0, "2A": 10.0},
    date(2024, 1, 12): {"01": 1.0, "2A": 10.0},
    CORRECTED: {"01": 99.0, "2A": 10.0},
    date(2024, 1, 17): {"01": 99.0, "03": 30.0},
}


def select(values: dict[str, float]) -> str:
    rows = ", ".join(f"('{code}', {value}::double, 'about {code}')" for code, value in values.items())
    return f"select * from (values {rows}) as t(code, value, about)"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoldLake]:
    made = GoldLake(tmp_path_factory.mktemp("training"))
    for day in TAKEN:
        if day != date(2024, 1, 12):  # nothing was extracted that day
            made.put(day, select(VALUES[day]))
        assert made.take_one(day).reason is None
    yield made
    made.close()


@pytest.fixture(scope="module")
def session(lake: GoldLake) -> Iterator[Session]:
    with open_session(lake.settings) as opened:
        yield opened


def labels_file(folder: Path, *labels: tuple[str, str]) -> str:
    path = folder / "labels.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("code", "seen", "y"), *((*label, n) for n, label in enumerate(labels))])
    return str(path)


def made(session: Session, labels: str, folder: Path, *features: str, time: str = "seen") -> list[tuple[Any, ...]]:
    file = folder / "set.parquet"
    wanted = [Features.parse(one) for one in features or ("mart_01:value",)]
    make_training_set(session, labels, ["code"], time, wanted, file)
    with duckdb.connect() as reading:
        return reading.execute("select * from read_parquet(?)", [str(file)]).fetchall()


def test_a_correction_of_a_later_extraction_reaches_no_label_before_it(session: Session, tmp_path: Path) -> None:
    labels = labels_file(tmp_path, ("01", "2024-01-13"), ("01", "2024-01-14"), ("01", "2024-01-15"))
    found = {row[1]: (row[3], row[4]) for row in made(session, labels, tmp_path)}
    assert found == {
        date(2024, 1, 13): (date(2024, 1, 12), 1.0),
        date(2024, 1, 14): (date(2024, 1, 12), 1.0),  # of the day itself: the snapshot may be younger than the label
        date(2024, 1, 15): (CORRECTED, 99.0),
    }


def test_a_moment_counts_as_its_day(session: Session, tmp_path: Path) -> None:
    labels = labels_file(tmp_path, ("01", "2024-01-14 23:59:59"), ("01", "2024-01-15 00:00:00"))
    assert [row[4] for row in made(session, labels, tmp_path)] == [1.0, 99.0]


def test_a_label_before_every_snapshot_has_no_features(session: Session, tmp_path: Path) -> None:
    labels = labels_file(tmp_path, ("01", str(FIRST)), ("01", "1999-01-01"))
    assert [row[3:] for row in made(session, labels, tmp_path)] == [(None, None), (None, None)]


def test_a_key_gone_from_the_newest_snapshot_takes_nothing_of_older_ones(session: Session, tmp_path: Path) -> None:
    labels = labels_file(tmp_path, ("2A", "2024-01-16"), ("2A", "2024-01-20"), ("03", "2024-01-16"))
    assert [row[3:] for row in made(session, labels, tmp_path)] == [
        (CORRECTED, 10.0), (date(2024, 1, 17), None), (CORRECTED, None)
    ]  # fmt: skip


def test_every_label_gets_what_a_reader_of_that_day_could_know(session: Session, tmp_path: Path) -> None:
    draw = random.Random(3)
    drawn = [
        (draw.choice(["01", "2A", "03", "zz"]), str(FIRST + timedelta(draw.randrange(-2, 12)))) for _ in range(300)
    ]
    rows = made(session, labels_file(tmp_path, *drawn), tmp_path)
    assert [row[2] for row in rows] == list(range(300))  # one row a label, in their order
    for (code, seen), row in zip(drawn, rows, strict=True):
        before = [day for day in TAKEN if day < date.fromisoformat(seen)]
        assert row[3] == (before[-1] if before else None)
        assert row[4] == (VALUES[before[-1]].get(code) if before else None)


def test_labels_come_from_sql_too_and_features_keep_the_tables_name(session: Session, tmp_path: Path) -> None:
    statement = "select code, as_of + 1 as seen from gold.mart_01_snapshots where code = '01' and value > 50"
    file = tmp_path / "set.csv"
    done = make_training_set(session, statement, ["code"], "seen", [Features.parse("gold.mart_01")], file)
    assert done == TrainingSet(
        file, 2, ["code", "seen", "mart_01__as_of", "mart_01__value", "mart_01__about"], {"mart_01_snapshots": 2}
    )
    text = file.read_text("utf-8").splitlines()
    assert text[0] == "code,seen,mart_01__as_of,mart_01__value,mart_01__about"
    assert sorted(text[1:])[0] == "01,2024-01-15,2024-01-14,99.0,about 01"


def test_codes_of_a_parquet_file_and_of_a_csv_are_texts(session: Session, tmp_path: Path) -> None:
    file = tmp_path / "labels.parquet"
    with duckdb.connect() as writing:
        writing.execute(f"copy (select '01' as code, timestamp '2024-01-15 10:00' as seen) to '{file}'")
    assert made(session, str(file), tmp_path) == [("01", datetime(2024, 1, 15, 10), CORRECTED, 99.0)]  # noqa: DTZ001


MISUSES = [
    pytest.param({"labels": "select 1 as code, 5 as seen"}, "seen is INTEGER, no day and no moment", id="no time"),
    pytest.param({"labels": "select '01' as code, null::date as seen"}, "1 labels have no seen", id="missing time"),
    pytest.param({"labels": "select '01' as code, 'soon' as seen"}, "such as 'soon'", id="unread time"),
    pytest.param({"labels": "select '01' as cod, date '2024-01-01' as seen"}, "mean 'cod'", id="key not in labels"),
    pytest.param({"labels": "labels_of_nobody.csv"}, "There is no file labels_of_nobody.csv", id="no file"),
    pytest.param({"labels": "drop table x"}, "is no query", id="not a query"),
    pytest.param({"features": "mart_02"}, "table of snapshots named 'mart_02_snapshots'", id="no such table"),
    pytest.param({"features": "mart_01:valu"}, "Did you mean 'value'", id="no such column"),
    pytest.param({"file": "set.xlsx"}, "written as .csv or .parquet", id="other kind of file"),
    pytest.param({"file": "nowhere/set.csv"}, "There is no folder", id="no folder"),
]


@pytest.mark.parametrize(("given", "told"), MISUSES)
def test_misuse_is_told_and_nothing_is_written(
    session: Session, tmp_path: Path, given: dict[str, str], told: str
) -> None:
    labels = given.get("labels", "select '01' as code, date '2024-01-15' as seen")
    features = [Features.parse(given.get("features", "mart_01"))]
    with pytest.raises(UsageError, match=told):
        make_training_set(session, labels, ["code"], "seen", features, tmp_path / given.get("file", "set.csv"))
    assert list(tmp_path.iterdir()) == []


def test_keys_that_do_not_tell_rows_apart_are_refused_rather_than_multiply_labels(
    session: Session, tmp_path: Path
) -> None:
    labels = "select 1.0::double as flat, date '2024-01-12' as seen union all select 10.0, date '2024-01-18'"
    with pytest.raises(UnknownName, match="flat"):
        make_training_set(session, labels, ["flat"], "seen", [Features.parse("mart_01")], tmp_path / "set.csv")
    both = "select 'x' as as_of_label, date '2024-01-12' as as_of, date '2024-01-18' as seen"
    with pytest.raises(UsageError, match="do not tell the rows of a snapshot apart"):
        make_training_set(session, both.replace("as as_of,", "as as_of,").replace("01-12", "01-17"), ["as_of"], "seen",
                          [Features.parse("mart_01")], tmp_path / "set.csv")  # fmt: skip


def test_the_command_writes_a_file_and_tells_how_many_matched(lake: GoldLake, tmp_path: Path) -> None:
    file = tmp_path / "set.csv"
    labels = labels_file(tmp_path, ("01", "2024-01-15"), ("zz", "2024-01-15"))
    options = ("--labels", labels, "--key", "code", "--time", "seen", "--features", "mart_01:value", "--json")
    answer = odh(lake.settings, "training-set", str(file), *options)
    assert (answer.json["rows"], answer.json["matched"]) == (2, {"mart_01_snapshots": 1})
    assert file.read_text("utf-8").splitlines()[1] == "01,2024-01-15,0,2024-01-14,99.0"
