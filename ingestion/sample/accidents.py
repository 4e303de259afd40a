"""Invent accidents with their places, vehicles and people: numbers and codes, before any file layout.

Rows are drawn in whole columns, chunk by chunk. An accident's ``number`` is unique in its year and every other table
carries it, so integrity holds by construction. Codes are those of 2019 onwards; -1 means not given.
"""

from __future__ import annotations

from calendar import isleap
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from ingestion.sample import baac_codes as codes
from ingestion.sample.cog import load_places
from ingestion.sample.draws import Ints, Weights, draw, draw_by, rank_within
from ingestion.sample.streets import STREETS

DRIVER, PASSENGER, PEDESTRIAN = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some consecutive accidents of one year, and all that hangs on them."""

    accidents: pl.DataFrame
    places: pl.DataFrame
    vehicles: pl.DataFrame
    people: pl.DataFrame


def draw_chunk(rng: np.random.Generator, year: int, first: int, size: int, *, crossings: bool) -> Chunk:
    """Draw ``size`` accidents numbered from ``first``; with ``crossings`` an accident has one to three places."""
    accidents = draw_accidents(rng, year, first, size)
    vehicles = draw_vehicles(rng, accidents)
    people = draw_people(rng, accidents, vehicles)
    places = draw_places(rng, accidents, crossings=crossings)
    return Chunk(accidents, places, _with_pedestrians_hit(vehicles, people), people)


def draw_accidents(rng: np.random.Generator, year: int, first: int, size: int) -> pl.DataFrame:
    """Draw when, where and how; ``minute`` counts from midnight, 1 in 100 has no coordinates."""
    places = load_places()
    month, day, minute = _moments(rng, year, size)
    built_up, vehicles = draw(rng, size, codes.BUILT_UP), draw(rng, size, codes.VEHICLES)
    drawn = pl.DataFrame(
        {
            "number": np.arange(first, first + size),
            "month": month,
            "day": day,
            "minute": minute,
            "lum": _light(rng, month, minute, built_up),
            "agg": built_up,
            "int": draw(rng, size, codes.CROSSING),
            "atm": draw(rng, size, codes.WEATHER),
            "col": draw_by(rng, vehicles, codes.COLLISION),
            "vehicles": vehicles,
            "address": _addresses(rng, size),
            "is_located": rng.random(size) > 0.01,
        }
    )
    return drawn.hstack(places.near(rng, places.draw(rng, size)))


def _moments(rng: np.random.Generator, year: int, size: int) -> tuple[Ints, Ints, Ints]:
    """Draw month, day of month and minute of the day, after the seasons, the week and the hours of work."""
    days = [date.fromordinal(date(year, 1, 1).toordinal() + n) for n in range(365 + isleap(year))]
    weights = {n: codes.MONTH_SHARES[d.month - 1] * codes.WEEKDAY_SHARES[d.weekday()] for n, d in enumerate(days)}
    drawn = draw(rng, size, weights)
    is_weekend = np.array([d.weekday() > 4 for d in days])[drawn]
    hour = draw_by(rng, is_weekend, {False: codes.WORKDAY_HOURS, True: codes.WEEKEND_HOURS})
    exact, rounded = rng.integers(0, 60, size), rng.integers(0, 4, size) * 15  # the police round half of them
    minute = hour * 60 + np.where(rng.random(size) < 0.5, exact, rounded)
    return np.array([d.month for d in days])[drawn], np.array([d.day for d in days])[drawn], minute


def _light(rng: np.random.Generator, month: Ints, minute: Ints, built_up: Ints) -> Ints:
    hour = minute / 60
    rise, fall = np.array(codes.SUNRISE)[month - 1], np.array(codes.SUNSET)[month - 1]
    is_day, is_twilight = (hour > rise) & (hour < fall), np.minimum(abs(hour - rise), abs(hour - fall)) < 0.5
    light: Ints = np.select([is_twilight, is_day], [2, 1], draw_by(rng, built_up, codes.NIGHT_LIGHT))
    return light


def _addresses(rng: np.random.Generator, size: int) -> pl.Series:
    """Draw street names, one in three with a house number and a comma; 3 in 100 are missing."""
    street = pl.Series(STREETS).gather(rng.integers(0, len(STREETS), size))
    numbered = pl.Series(rng.integers(1, 200, size)).cast(pl.String) + ", " + street
    kind = pl.Series(draw(rng, size, {0: 64, 1: 33, 2: 3}))
    return street.zip_with(kind == 0, numbered.zip_with(kind == 1, pl.Series([None], dtype=pl.String)))


def draw_places(rng: np.random.Generator, accidents: pl.DataFrame, *, crossings: bool) -> pl.DataFrame:
    """Draw the roads of each accident; only at a crossing can there be more than one."""
    at_crossing = (accidents["int"] > 1).to_numpy() & crossings
    counts = draw_by(rng, at_crossing, {False: {1: 1}, True: {1: 22, 2: 76, 3: 2}})
    size, owner = int(counts.sum()), np.repeat(np.arange(len(accidents)), counts)
    road = draw_by(rng, accidents["agg"].to_numpy()[owner], codes.ROAD)
    is_wet = accidents["atm"].is_in([2, 3]).to_numpy()[owner]
    street = pl.Series(STREETS).gather(rng.integers(0, len(STREETS), size))
    return pl.DataFrame(
        {
            "number": accidents["number"].to_numpy()[owner],
            "catr": road,
            "road_number": np.where(road < 4, rng.integers(1, 400, size), -1),
            "street": street.zip_with(pl.Series(rng.random(size) > 0.1), pl.Series([None], dtype=pl.String)),
            "letter": draw(rng, size, {0: 92, 1: 1.5, 2: 0.3, 3: 0.2, 4: 6}),  # none, A, B, C, D
            **_draw_all(rng, size, codes.PLACE),
            "surf": draw_by(rng, is_wet, codes.WETNESS),
            "vma": draw_by(rng, road, codes.SPEED_LIMIT),
            "is_multiple": rng.random(size) < 0.001,  # where the export wrote #VALEURMULTI for the lanes
        }
    )


def _draw_all(rng: np.random.Generator, size: int, tables: dict[str, Weights]) -> dict[str, Ints]:
    return {name: draw(rng, size, weights) for name, weights in tables.items()}


def draw_vehicles(rng: np.random.Generator, accidents: pl.DataFrame) -> pl.DataFrame:
    """Draw one to three vehicles an accident; ``rank`` is 0 for vehicle A01, 1 for B01, 2 for C01."""
    counts = accidents["vehicles"].to_numpy()
    size = int(counts.sum())
    drawn = pl.DataFrame(
        {
            "number": np.repeat(accidents["number"].to_numpy(), counts),
            "rank": rank_within(counts),
            "agg": np.repeat(accidents["agg"].to_numpy(), counts),
            **_draw_all(rng, size, codes.VEHICLE),
            "occutc": rng.integers(1, 60, size),
        }
    )
    is_public = pl.col("catv").is_in(codes.PUBLIC_TRANSPORT)
    kind = pl.when(pl.col("catv").is_in(codes.TWO_WHEELERS)).then(1).when(is_public).then(2).otherwise(0)
    return drawn.with_columns(kind=kind.cast(pl.Int64), occutc=pl.when(is_public).then("occutc"))


def _with_pedestrians_hit(vehicles: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    walked = people.filter(pl.col("catu") == PEDESTRIAN)["number"].implode()
    has_hit = pl.col("number").is_in(walked) & (pl.col("rank") == 0)
    return vehicles.with_columns(obsm=pl.when(has_hit).then(pl.lit(1, pl.Int64)).otherwise("obsm"))


def draw_people(rng: np.random.Generator, accidents: pl.DataFrame, vehicles: pl.DataFrame) -> pl.DataFrame:
    """Draw a driver a vehicle, passengers, and pedestrians (written under the vehicle that hit them, A01).

    At least one person of each accident is hurt: else it would not be in these files.
    """
    aboard = 1 + draw_by(rng, vehicles["kind"].to_numpy(), codes.PASSENGERS)
    seat = rank_within(aboard)
    riders = _repeat(vehicles.select("number", "rank", "agg", "kind"), aboard).with_columns(
        place=pl.Series(1 + seat), catu=pl.Series(np.where(seat == 0, DRIVER, PASSENGER))
    )
    walkers = _repeat(
        accidents.select("number", rank=pl.lit(0), agg="agg", kind=pl.lit(3)),
        draw_by(rng, accidents["vehicles"].to_numpy(), codes.PEDESTRIANS),
    ).with_columns(place=pl.lit(10), catu=pl.lit(PEDESTRIAN))
    people = pl.concat([riders, walkers], how="vertical_relaxed").sort("number", "rank", "place", maintain_order=True)
    return _with_someone_hurt(people.hstack(_traits(rng, people)))


def _repeat(frame: pl.DataFrame, counts: Ints) -> pl.DataFrame:
    return frame[np.repeat(np.arange(len(frame)), counts)]


def _traits(rng: np.random.Generator, people: pl.DataFrame) -> pl.DataFrame:
    size, role = len(people), people["catu"].to_numpy()
    is_walking = pl.Series(role == PEDESTRIAN)
    youngest = np.where(role == DRIVER, 15, 1)
    on_foot = {
        name: pl.Series(draw(rng, size, weights)).zip_with(is_walking, pl.Series([-1]))
        for name, weights in codes.PEDESTRIAN.items()
    }
    return pl.DataFrame(
        {
            "grav": draw_by(rng, people["agg"].to_numpy() * 10 + role, codes.INJURY),
            "sexe": draw_by(rng, role, codes.SEX),
            "age": np.minimum(youngest + rng.gamma(2.2, 11, size).astype(np.int64), 98),
            "has_birth_year": rng.random(size) > 0.02,
            **_draw_all(rng, size, codes.PERSON),
            "secu1": draw_by(rng, people["kind"].to_numpy(), codes.EQUIPMENT),
            **on_foot,
        }
    )


def _with_someone_hurt(people: pl.DataFrame) -> pl.DataFrame:
    nobody_hurt = (pl.col("grav") > 1).any().over("number").not_()
    ranked = people.with_columns(person=pl.int_range(pl.len()).over("number"))
    return ranked.with_columns(
        grav=pl.when(nobody_hurt & (pl.col("person") == 0)).then(pl.lit(4)).otherwise("grav").cast(pl.Int64)
    )
