"""A wide CSV of any length for the benchmarks: French text, codes with zeros, decimal commas, dates, whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from ingestion.sample.cog import load_places
from ingestion.sample.files import Dialect, create
from ingestion.sample.streets import STREETS

CHUNK = 100_000  # rows drawn at once
DISTINCT = 20_000  # different decimals; drawn once, then picked
Maker = Callable[[np.random.Generator, int], pl.Series]


def write_wide_csv(path: Path, rows: int, columns: int = 20, encoding: str = "utf-8", seed: int = 0) -> None:
    """Write ``rows`` x ``columns`` cells, semicolon and quotes where needed; 3 in 100 cells are empty.

    Columns take the kinds of ``KINDS`` in turn and are named after them: ``texte_1``, ``code_2``… The path may end in
    ``.gz`` or ``.zip``.
    """
    makers = _makers(seed)
    kinds = [list(makers)[n % len(makers)] for n in range(columns)]
    names = [f"{kind}_{n}" for n, kind in enumerate(kinds, start=1)]
    dialect = Dialect(separator=";", encoding=encoding)
    with create(path) as out:
        for first in range(0, max(rows, 1), CHUNK):
            rng, size = np.random.default_rng([seed, first]), min(CHUNK, rows - first)
            frame = pl.DataFrame([makers[kind](rng, size).alias(name) for name, kind in zip(names, kinds, strict=True)])
            out.write(dialect.encode(frame, header=first == 0))


def _makers(seed: int) -> dict[str, Maker]:
    """Return how each kind of column is drawn: from a pool of ready texts, which is what makes it fast."""
    rng = np.random.default_rng(seed)
    cents = pl.Series(rng.integers(-99_999, 9_999_999, DISTINCT))
    day = pl.Series(np.datetime64("2000-01-01") + np.arange(9_000).astype("timedelta64[D]")).cast(pl.Date)
    streets = pl.Series(STREETS)
    euros = (cents / 100).cast(pl.Decimal(12, 2)).cast(pl.String).str.replace(".", ",", literal=True)
    return {
        "texte": _pick(streets + " ; " + streets.reverse()),  # the separator within: these cells are quoted
        "code": _pick(load_places().codes),
        "decimal": _pick(euros),
        "date": _pick(day.dt.to_string("%d/%m/%Y")),
        "nombre": _pick(pl.Series(np.arange(100_000)).cast(pl.String)),
    }


def _pick(pool: pl.Series) -> Maker:
    def pick(rng: np.random.Generator, size: int) -> pl.Series:
        chosen = pl.Series(rng.integers(0, len(pool), size))
        return pool.gather(chosen.zip_with(pl.Series(rng.random(size) > 0.03), pl.Series([None], dtype=pl.Int64)))

    return pick
