"""The BAAC layout until 2018: two-digit year, padded codes, integer coordinates, no vehicle or person identifier."""

from __future__ import annotations

import polars as pl

from ingestion.sample.accidents import PEDESTRIAN, Chunk

_GPS = {"971": "A", "972": "A", "973": "G", "974": "R", "976": "Y"}  # else M, mainland France
_CORSICA = {"2A": "201", "2B": "202"}
# kind of equipment, then 1 used, 2 not used, 3 unsure
_EQUIPMENT = {0: 12, 1: 11, 2: 21, 3: 31, 4: 41, 5: 91, 6: 91, 7: 91, 8: 13, 9: 91}
# codes that 2019 brought, and what was written before them
_SINCE_2019 = {
    "catr": {7: 4},
    "infra": {8: 0, 9: 0},
    "situ": {6: 1, 8: 1},
    "manv": {26: 1},
    "catv": {50: 99, 60: 99, 80: 1},
}


def tables(chunk: Chunk) -> dict[str, pl.DataFrame]:
    """Return the four files' columns, in the published order, as text."""
    return {
        "caracteristiques": caracteristiques(chunk.accidents),
        "lieux": lieux(chunk.places),
        "vehicules": vehicules(chunk.vehicles),
        "usagers": usagers(chunk.people),
    }


def _number() -> pl.Expr:
    return (pl.col("number") + 2018_0000_0001).cast(pl.String).alias("Num_Acc")


def _code(name: str, width: int = 0) -> pl.Expr:
    """A code padded to its width; what is not given is an empty cell, for -1 did not exist."""
    column = pl.col(name)
    if name in _SINCE_2019:
        column = column.replace(_SINCE_2019[name])
    return pl.when(column >= 0).then(column).cast(pl.String).str.zfill(width).alias(name)


def _vehicle() -> pl.Expr:
    return pl.col("rank").replace_strict({0: "A01", 1: "B01", 2: "C01"}, return_dtype=pl.String).alias("num_veh")


def _coordinate(name: str) -> pl.Expr:
    """Degrees x 100,000 as an integer; where there are none, 0 or nothing."""
    missing = pl.when(pl.col("number") % 2 == 0).then(0)
    return pl.when("is_located").then((pl.col(name) * 1e5).round().cast(pl.Int64)).otherwise(missing).cast(pl.String)


def caracteristiques(accidents: pl.DataFrame) -> pl.DataFrame:
    """One row an accident."""
    dep = pl.col("dep")
    padded = pl.when(dep.str.len_chars() == 3).then(dep).otherwise(dep.replace(_CORSICA).str.pad_end(3, "0"))
    is_blank = pl.col("is_located").not_() & (pl.col("number") % 2 != 0)
    return accidents.select(
        _number(),
        pl.lit("18").alias("an"),
        pl.col("month").cast(pl.String).alias("mois"),
        pl.col("day").cast(pl.String).alias("jour"),
        (pl.col("minute") // 60 * 100 + pl.col("minute") % 60).cast(pl.String).alias("hrmn"),
        *(_code(name) for name in ("lum", "agg", "int", "atm", "col")),
        pl.col("com").str.slice(2).alias("com"),
        pl.col("address").alias("adr"),
        pl.when(is_blank.not_()).then(dep.replace_strict(_GPS, default="M")).alias("gps"),
        _coordinate("latitude").alias("lat"),
        _coordinate("longitude").alias("long"),
        padded.alias("dep"),
    )


def lieux(places: pl.DataFrame) -> pl.DataFrame:
    """One row an accident too, until 2018."""
    letter = pl.col("letter").replace_strict({1: "A", 2: "B", 3: "C", 4: "D"}, default=None, return_dtype=pl.String)
    return places.select(
        _number(),
        _code("catr"),
        _code("road_number").alias("voie"),
        pl.lit(None, pl.String).alias("v1"),
        letter.alias("v2"),
        _code("circ"),
        _code("nbv", 2),
        _code("pr"),
        _code("pr1"),
        _code("vosp"),
        _code("prof"),
        _code("plan"),
        pl.lit(None, pl.String).alias("lartpc"),
        _code("larrout", 3),
        *(_code(name) for name in ("surf", "infra", "situ")),
        _code("env1", 2),
    )


def vehicules(vehicles: pl.DataFrame) -> pl.DataFrame:
    """One row a vehicle; its key is the accident and ``num_veh``."""
    return vehicles.select(
        _number(),
        _code("senc"),
        _code("catv", 2),
        pl.col("occutc").fill_null(0).cast(pl.String).str.zfill(3),
        _code("obs", 2),
        _code("obsm"),
        _code("choc"),
        _code("manv", 2),
        _vehicle(),
    )


def usagers(people: pl.DataFrame) -> pl.DataFrame:
    """One row a person, with no key of its own."""
    on_foot = pl.col("catu") == PEDESTRIAN
    walking = {name: pl.when(on_foot).then(_code(name)).otherwise(pl.lit("0")) for name in ("locp", "etatp")}
    action = pl.when(on_foot & (pl.col("actp") < 10)).then(_code("actp")).otherwise(pl.lit("0"))  # A and B came later
    equipment = pl.col("secu1").replace_strict(_EQUIPMENT, default=None, return_dtype=pl.Int64)
    return people.select(
        _number(),
        pl.when(on_foot.not_()).then(_code("place")).alias("place"),
        _code("catu"),
        pl.when(pl.col("grav") > 0).then("grav").otherwise(1).cast(pl.String).alias("grav"),
        pl.col("sexe").abs().cast(pl.String),  # always given then: an unknown one is written as a man
        _code("trajet"),
        pl.when(on_foot.not_()).then(equipment).cast(pl.String).alias("secu"),
        walking["locp"].alias("locp"),
        action.alias("actp"),
        walking["etatp"].alias("etatp"),
        pl.when("has_birth_year").then(2018 - pl.col("age")).cast(pl.String).alias("an_nais"),
        _vehicle(),
    )
