"""The BAAC layout since 2019: full year, INSEE codes, decimal commas, and an identifier for vehicles and people."""

from __future__ import annotations

import polars as pl

from ingestion.sample.accidents import Chunk

NO_BREAK_SPACE = "\u00a0"  # between thousands of identifiers, as in the published files
MOST_VEHICLES, MOST_PEOPLE = 4, 64  # of one accident, so that its number gives unique identifiers to each


def tables(chunk: Chunk) -> dict[str, pl.DataFrame]:
    """Return the four files' columns, in the published order, as text."""
    return {
        "caracteristiques": caracteristiques(chunk.accidents),
        "lieux": lieux(chunk.places),
        "vehicules": vehicules(chunk.vehicles),
        "usagers": usagers(chunk.people),
    }


def _number() -> pl.Expr:
    return (pl.col("number") + 2019_0000_0001).cast(pl.String).alias("Num_Acc")


def _codes(*names: str) -> list[pl.Expr]:
    return [pl.col(name).cast(pl.String) for name in names]


def _coordinate(name: str) -> pl.Expr:
    text = pl.col(name).cast(pl.Decimal(12, 8)).cast(pl.String).str.replace(".", ",", literal=True)
    return pl.when("is_located").then(text).otherwise(pl.lit(""))


def _grouped(number: pl.Expr) -> pl.Expr:
    """Nine digits in three groups."""
    groups = (number // 1_000_000, number // 1_000 % 1_000, number % 1_000)
    return pl.concat_str([group.cast(pl.String).str.zfill(3) for group in groups], separator=NO_BREAK_SPACE)


def _vehicle() -> list[pl.Expr]:
    identifier = _grouped(155_000_000 + pl.col("number") * MOST_VEHICLES + pl.col("rank"))
    letter = pl.col("rank").replace_strict({0: "A01", 1: "B01", 2: "C01"}, return_dtype=pl.String)
    return [identifier.alias("id_vehicule"), letter.alias("num_veh")]


def caracteristiques(accidents: pl.DataFrame) -> pl.DataFrame:
    """One row an accident."""
    hour, minute = pl.col("minute") // 60, pl.col("minute") % 60
    return accidents.select(
        _number(),
        pl.col("day").cast(pl.String).alias("jour"),
        pl.col("month").cast(pl.String).str.zfill(2).alias("mois"),
        pl.lit("2019").alias("an"),
        (hour.cast(pl.String).str.zfill(2) + ":" + minute.cast(pl.String).str.zfill(2)).alias("hrmn"),
        *_codes("lum", "dep", "com", "agg", "int", "atm", "col"),
        pl.col("address").fill_null("N/A").alias("adr"),
        _coordinate("latitude").alias("lat"),
        _coordinate("longitude").alias("long"),
    )


def lieux(places: pl.DataFrame) -> pl.DataFrame:
    """One row a road: several for an accident at a crossing."""
    road = pl.when(pl.col("road_number") >= 0).then(pl.col("road_number").cast(pl.String)).otherwise("street")
    letter = pl.col("letter").replace_strict({1: "A", 2: "B", 3: "C", 4: "D"}, default="N/A", return_dtype=pl.String)
    metres = (pl.col("larrout") // 10).cast(pl.String) + "," + (pl.col("larrout") % 10).cast(pl.String)
    width = pl.when(pl.col("larrout") > 0).then(metres.str.strip_suffix(",0")).otherwise(pl.lit("-1"))
    return places.select(
        _number(),
        *_codes("catr"),
        road.fill_null("N/A").alias("voie"),
        pl.lit("0").alias("v1"),
        letter.alias("v2"),
        *_codes("circ"),
        pl.when("is_multiple").then(pl.lit("#VALEURMULTI")).otherwise(pl.col("nbv").cast(pl.String)).alias("nbv"),
        *_codes("vosp", "prof", "pr", "pr1", "plan"),
        pl.lit("").alias("lartpc"),
        width.alias("larrout"),
        *_codes("surf", "infra", "situ", "vma"),
    )


def vehicules(vehicles: pl.DataFrame) -> pl.DataFrame:
    """One row a vehicle; its key is the accident and ``id_vehicule``."""
    return vehicles.select(
        _number(), *_vehicle(), *_codes("senc", "catv", "obs", "obsm", "choc", "manv", "motor", "occutc")
    )


def usagers(people: pl.DataFrame) -> pl.DataFrame:
    """One row a person; its key is ``id_usager``."""
    action = pl.col("actp").replace_strict({10: "A", 11: "B"}, default=pl.col("actp").cast(pl.String))
    return people.select(
        _number(),
        _grouped(203_000_000 + pl.col("number") * MOST_PEOPLE + pl.col("person").cast(pl.Int64)).alias("id_usager"),
        *_vehicle(),
        *_codes("place", "catu", "grav", "sexe"),
        pl.when("has_birth_year").then(2019 - pl.col("age")).cast(pl.String).alias("an_nais"),
        *_codes("trajet", "secu1", "secu2", "secu3", "locp"),
        action.alias("actp"),
        *_codes("etatp"),
    )
