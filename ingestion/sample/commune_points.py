"""La Poste's communes with a point each, in the layout that was published on data.gouv.fr.

Names and codes are those of the shipped lists, points those of ``places.csv``; the postal codes are invented. As in
the published file, codes have lost the zeros at their head, and a commune stands once for each of its postal codes.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ingestion.sample.cog import read_codes
from ingestion.sample.files import Dialect, write_csv

LARGE = 20  # accidents a year, from which a commune has a second postal code
COLUMNS = (
    *("code_commune_INSEE", "nom_commune_postal", "code_postal", "libelle_acheminement", "ligne_5", "latitude"),
    *("longitude", "code_commune", "article", "nom_commune", "nom_commune_complet", "code_departement"),
    *("nom_departement", "code_region", "nom_region"),
)


def write_commune_points(folder: Path) -> None:
    """Write ``communes-departement-region.csv``: some 1,200 communes and municipal districts."""
    write_csv(folder / "communes-departement-region.csv", _lines().select(COLUMNS), Dialect())


def _lines() -> pl.DataFrame:
    places = _places()
    second = places.filter(pl.col("accidents").cast(pl.Int64) >= LARGE)
    ends = pl.concat([places.with_columns(end=pl.lit("00")), second.with_columns(end=pl.lit("10"))])
    return ends.sort("com", "end").with_columns(
        code_commune_INSEE=pl.col("com").str.strip_chars_start("0"),
        code_postal=(pl.col("com").str.slice(0, 3).str.replace("[AB]", "0") + pl.col("end")).str.strip_chars_start("0"),
        code_commune=pl.col("com").str.slice(2).str.strip_chars_start("0"),
    )


def _places() -> pl.DataFrame:
    departements = read_codes("departements").select(DEP="DEP", nom_departement="LIBELLE", code_region="REG")
    regions = read_codes("regions").select(code_region="REG", nom_region="LIBELLE")
    communes = read_codes("communes").filter(pl.col("TYPECOM") != "COMD")
    named = communes.select(
        "DEP",
        com="COM",
        nom_commune_postal="NCC",
        libelle_acheminement="NCC",
        ligne_5=pl.lit(None, pl.String),
        article=pl.lit(None, pl.String),
        nom_commune="LIBELLE",
        nom_commune_complet="LIBELLE",
    )
    joined = read_codes("places").join(named, on="com").join(departements, on="DEP").join(regions, on="code_region")
    return joined.with_columns(code_departement=pl.col("DEP").str.strip_chars_start("0"))
