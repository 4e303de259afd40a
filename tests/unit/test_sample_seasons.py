"""The invented accidents follow the year, the week and the hour, and the holidays are those of the calendar."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ingestion.sample.accidents import draw_chunk
from ingestion.sample.holidays import holidays_of, write_holidays

REAL = Path(__file__).parents[2].parent / "shared" / "datagouv" / "datasets" / "jours-feries-en-france"


@pytest.fixture(scope="module")
def accidents() -> pl.DataFrame:
    return draw_chunk(np.random.default_rng(7), 2019, 0, 20_000, crossings=True).accidents


def test_accidents_are_more_on_fridays_than_on_sundays(accidents: pl.DataFrame) -> None:
    days = accidents.select(day=pl.date(2019, "month", "day").dt.weekday())["day"].value_counts().sort("day")["count"]
    assert days[4] == days.max()
    assert days[6] == days.min()


def test_accidents_are_more_in_june_than_in_february(accidents: pl.DataFrame) -> None:
    months = dict(accidents["month"].value_counts().rows())
    assert months[6] > 1.25 * months[2]


def test_accidents_peak_at_the_end_of_the_afternoon(accidents: pl.DataFrame) -> None:
    hours = dict(accidents.select(hour=pl.col("minute") // 60)["hour"].value_counts().rows())
    assert max(hours, key=lambda hour: hours[hour]) in {17, 18}
    assert hours[18] > 5 * hours[3]


def test_it_is_day_at_noon_and_night_at_midnight(accidents: pl.DataFrame) -> None:
    light = accidents.with_columns(hour=pl.col("minute") // 60)
    assert set(light.filter(pl.col("hour") == 12)["lum"]) == {1}
    assert set(light.filter(pl.col("hour") == 0)["lum"]) == {3, 4, 5}


def test_a_collision_of_two_needs_two_vehicles(accidents: pl.DataFrame) -> None:
    between_two = accidents.filter(pl.col("col").is_in([1, 2, 3]))
    assert set(between_two["vehicles"]) == {2}
    assert set(accidents.filter(pl.col("col").is_in([4, 5]))["vehicles"]) == {3}


def test_pedestrians_are_written_under_the_vehicle_that_hit_them() -> None:
    chunk = draw_chunk(np.random.default_rng(7), 2018, 0, 2_000, crossings=False)
    walkers = chunk.people.filter(pl.col("catu") == 3).select("number", "rank").unique()
    hitters = chunk.vehicles.filter(pl.col("obsm") == 1).select("number", "rank")
    assert walkers.sort("number").equals(hitters.sort("number"))


@pytest.mark.parametrize(
    ("day", "name"),
    [
        pytest.param(date(2024, 4, 1), "Lundi de Pâques", id="early-easter"),
        pytest.param(date(2011, 4, 25), "Lundi de Pâques", id="late-easter"),
        pytest.param(date(2008, 5, 1), "Ascension", id="ascension-on-labour-day"),
        pytest.param(date(2030, 6, 10), "Lundi de Pentecôte", id="last-year"),
    ],
)
def test_moving_holidays_follow_easter(day: date, name: str) -> None:
    assert (day, name) in [(when, what) for when, what, _ in holidays_of(day.year)]


def test_alsace_moselle_has_two_days_of_its_own() -> None:
    own = [(day, name) for day, name, zones in holidays_of(2024) if zones == "Alsace-Moselle"]
    assert own == [(date(2024, 3, 29), "Vendredi Saint"), (date(2024, 12, 26), "Saint Étienne")]


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="the real list of holidays is not beside the repository, in ../shared")
def test_holidays_equal_the_published_list(tmp_path: Path) -> None:
    write_holidays(tmp_path)
    with (tmp_path / "jours-feries.csv").open(encoding="utf-8", newline="") as ours:
        header, *made = csv.reader(ours)
    with (REAL / "jours_feries_71866.csv").open(encoding="utf-8", newline="") as theirs:
        published_header, *published = csv.reader(theirs)
    assert header == published_header
    assert sorted(row for row in made if row[0] < "2026") == sorted(published)
