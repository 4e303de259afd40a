"""The official geographic code (COG): real communes, départements and régions, and where accidents may fall.

``codes/*.csv`` hold public facts of Insee's COG: every région (2021) and département (2021), and the communes (2022)
that are a chief town or among the twelve of their département with most accidents, the municipal districts of Paris,
Lyon and Marseille, and some delegated communes. ``places.csv`` gives a point and a weight for each of them, both
taken from the road accidents of 2023 (ONISR).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from ingestion.sample.draws import Ints

CODES = Path(__file__).parent / "codes"
LISTS = ("communes", "departements", "regions")


@dataclass(frozen=True, slots=True)
class Places:
    """Communes and municipal districts with a point each; positions in ``codes`` are their numbers."""

    codes: pl.Series
    names: pl.Series
    latitudes: npt.NDArray[np.float64]
    longitudes: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]

    def draw(self, rng: np.random.Generator, size: int) -> Ints:
        """Draw place numbers, the dangerous ones more often."""
        return rng.choice(len(self.codes), size, p=self.shares)

    def near(self, rng: np.random.Generator, drawn: Ints) -> pl.DataFrame:
        """Return a point within a kilometre or two of each drawn place, with its commune and département codes."""
        code = self.codes.gather(drawn)
        return pl.DataFrame(
            {
                "com": code,
                "dep": departement_of(code),
                "latitude": self.latitudes[drawn] + rng.normal(0, 0.01, len(drawn)),
                "longitude": self.longitudes[drawn] + rng.normal(0, 0.01, len(drawn)),
            }
        )


def departement_of(communes: pl.Series) -> pl.Series:
    """Département codes of INSEE commune codes: two characters, three overseas."""
    return communes.str.slice(0, 2).zip_with(~communes.str.starts_with("97"), communes.str.slice(0, 3))


def read_codes(name: str) -> pl.DataFrame:
    """Read one shipped list, every column as text."""
    return pl.read_csv(CODES / f"{name}.csv", infer_schema=False)


@cache
def load_places() -> Places:
    """Read the places once; about 1,200 of them."""
    names = read_codes("communes").filter(pl.col("TYPECOM") != "COMD").select(com="COM", name="LIBELLE")
    table = read_codes("places").join(names, on="com", how="left", maintain_order="left")
    weights = table["accidents"].cast(pl.Float64).to_numpy()
    return Places(
        codes=table["com"],
        names=table["name"],
        latitudes=table["latitude"].cast(pl.Float64).to_numpy(),
        longitudes=table["longitude"].cast(pl.Float64).to_numpy(),
        shares=weights / weights.sum(),
    )


def write_cog(folder: Path) -> None:
    """Publish the shipped lists as they are: they already have Insee's layout."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in LISTS:
        shutil.copyfile(CODES / f"{name}.csv", folder / f"{name}.csv")
