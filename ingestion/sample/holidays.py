"""Public holidays of France and of the places with days of their own, computed as the law sets them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl
from dateutil.easter import easter

from ingestion.sample.files import Dialect, write_csv

FIRST_YEAR, LAST_YEAR = 2000, 2030
EVERYWHERE = (
    "Métropole|Alsace-Moselle|Guadeloupe|Guyane|Martinique|Mayotte|Nouvelle-Calédonie|La Réunion|"
    "Polynésie Française|Saint-Barthélémy|Saint-Martin|Wallis-et-Futuna|Saint-Pierre-et-Miquelon"
)  # in the order and spelling of the published file
_FIXED = (
    (1, 1, "Jour de l'an"),
    (5, 1, "Fête du Travail"),
    (5, 8, "Victoire des alliés"),
    (7, 14, "Fête Nationale"),
    (8, 15, "Assomption"),
    (11, 1, "Toussaint"),
    (11, 11, "Armistice"),
    (12, 25, "Noël"),
)
_AFTER_EASTER = ((1, "Lundi de Pâques"), (39, "Ascension"), (50, "Lundi de Pentecôte"))
_ABOLITION = (
    (4, 27, "Mayotte"),
    (5, 22, "Martinique"),
    (6, 10, "Guyane"),
    (10, 9, "Saint-Barthélémy"),
    (12, 20, "La Réunion"),
)


def holidays_of(year: int) -> list[tuple[date, str, str]]:
    """Return (day, name, zones) for one year, in order of date."""
    return sorted([*_national(year), *_local(year)])


def _national(year: int) -> Iterator[tuple[date, str, str]]:
    for month, day, name in _FIXED:
        yield date(year, month, day), name, EVERYWHERE
    for days, name in _AFTER_EASTER:
        yield easter(year) + timedelta(days), name, EVERYWHERE


def _local(year: int) -> Iterator[tuple[date, str, str]]:
    yield easter(year) - timedelta(2), "Vendredi Saint", "Alsace-Moselle"
    yield date(year, 12, 26), "Saint Étienne", "Alsace-Moselle"
    # Saint-Martin kept Guadeloupe's day until 2017, then took its own
    days = [(5, 27, "Guadeloupe|Saint-Martin")] if year < 2018 else [(5, 27, "Guadeloupe"), (5, 28, "Saint-Martin")]
    for month, day, zone in (*_ABOLITION, *days):
        yield date(year, month, day), "Abolition de l'esclavage", zone


def write_holidays(folder: Path) -> None:
    """Write ``jours-feries.csv``: date, name, and the zones joined by a vertical bar."""
    rows = [row for year in range(FIRST_YEAR, LAST_YEAR + 1) for row in holidays_of(year)]
    frame = pl.DataFrame(rows, schema=["date", "nom_jour_ferie", "zones"], orient="row")
    write_csv(folder / "jours-feries.csv", frame, Dialect())
