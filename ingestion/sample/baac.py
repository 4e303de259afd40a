"""Write the accidents (BAAC) of two years in the two layouts the ministry used, before and from 2019.

Every vehicle, place and person joins an accident. Two ragged lines stand in the middle of ``lieux-2019.csv``: the row
before them again, once cut short and once with a cell too many. They are extra places, so nothing is missing without
them. A small fixed share of cells is as untidy as in the real files: ``-1``, ``N/A``, ``#VALEURMULTI``, no
coordinates, no birth year.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ingestion.sample import baac_new, baac_old
from ingestion.sample.accidents import Chunk, draw_chunk
from ingestion.sample.files import Dialect, create

CHUNK = 20_000  # accidents drawn at once: about 250 MB of memory in all, also at scale 100


@dataclass(frozen=True, slots=True)
class Layout:
    """One year's files: their names, how they are written, and the columns made from a chunk."""

    year: int
    accidents: int  # at scale 1
    files: dict[str, str]
    dialects: dict[str, Dialect]
    tables: Callable[[Chunk], dict[str, pl.DataFrame]]
    has_crossings: bool
    ragged: str | None = None


_OLD, _NEW = Dialect(), Dialect(separator=";", quotes="always")
LAYOUTS = (
    Layout(
        year=2018,
        accidents=2_000,
        files={
            "caracteristiques": "caracteristiques-2018.csv",
            "lieux": "lieux-2018.csv",
            "vehicules": "vehicules-2018.csv.gz",
            "usagers": "usagers-2018.zip",
        },
        # the ministry published the one file with free text in the Windows encoding until 2018
        dialects={"caracteristiques": Dialect(encoding="cp1252"), "lieux": _OLD, "vehicules": _OLD, "usagers": _OLD},
        tables=baac_old.tables,
        has_crossings=False,
    ),
    Layout(
        year=2019,
        accidents=2_200,
        files={name: f"{name}-2019.csv" for name in ("caracteristiques", "lieux", "vehicules", "usagers")},
        dialects=dict.fromkeys(("caracteristiques", "lieux", "vehicules", "usagers"), _NEW),
        tables=baac_new.tables,
        has_crossings=True,
        ragged="lieux",
    ),
)


def write_baac(folder: Path, scale: float, seed: int) -> None:
    """Write both years under ``folder/<year>/``."""
    for layout in LAYOUTS:
        write_year(folder / str(layout.year), layout, accidents=max(1, round(layout.accidents * scale)), seed=seed)


def write_year(folder: Path, layout: Layout, accidents: int, seed: int) -> None:
    """Write one year's four files, chunk by chunk."""
    with ExitStack() as stack:
        files = {name: stack.enter_context(create(folder / file)) for name, file in layout.files.items()}
        for first in range(0, accidents, CHUNK):
            rng = np.random.default_rng([seed, layout.year, first])
            size = min(CHUNK, accidents - first)
            chunk = draw_chunk(rng, layout.year, first, size, crossings=layout.has_crossings)
            for name, frame in layout.tables(chunk).items():
                data = layout.dialects[name].encode(frame, header=first == 0)
                files[name].write(with_ragged_lines(data) if name == layout.ragged and first == 0 else data)


def with_ragged_lines(data: bytes) -> bytes:
    """Add two lines after the middle one: the same cut to half its cells, and the same with one cell more."""
    lines = data.split(b"\n")  # no cell holds a line break
    middle = len(lines) // 2
    cells = lines[middle].split(b";")
    ragged = [b";".join(cells[: len(cells) // 2]), b";".join([*cells, b'"VOIE SANS NOM"'])]
    return b"\n".join([*lines[: middle + 1], *ragged, *lines[middle + 1 :]])
