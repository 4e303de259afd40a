"""What SQL alone does slowly, as functions of a DuckDB connection: the nearest of many points, and SIRET numbers.

Builds have them beside the functions of ``functions.sql``. They work on whole Arrow columns; numpy, scipy and numba are
imported when one of them is first called, so that no command pays for them at its start.
"""

from __future__ import annotations

from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable

EARTH_RADIUS_M = 6_371_008.8  # mean radius (IUGG)
SIRET_DIGITS = 14
LA_POSTE = "356000000"
NUMBA_ROWS = 3_000_000  # compiling takes some 3 s, in which numpy checks as many; then 0.15 µs a number against 0.9
NEAREST = "odh_nearest_point"
SIRET = "odh_is_siret"
METRE_DIGITS = 3
_POINT = "struct(place bigint, distance_m double)[]"


def install_enrichment(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the functions known to a connection and to its cursors."""
    create: Any = connection.create_function  # its stubs know no Arrow functions
    create(NEAREST, _nearest_lists, ["double[]"] * 4, _POINT, type="arrow", null_handling="special")
    create(SIRET, _is_siret, ["varchar"], "boolean", type="arrow", null_handling="special")


def nearest(longitudes: Any, latitudes: Any, point_longitudes: Any, point_latitudes: Any) -> tuple[Any, Any]:
    """The nearest of some points to each position: its place among them, from 0, and how far it is in metres.

    On the unit sphere the nearest by chord is the nearest by arc, so that a tree of three dimensions finds it, also
    across the antimeridian; of two as near, the first counts. Metres are told to the millimetre: beyond it the same
    position comes out a little differently with others beside it, for numpy takes several at a time.
    """
    import numpy as np
    from scipy.spatial import cKDTree

    def on_sphere(degrees_east: Any, degrees_north: Any) -> Any:
        east, north = np.radians(np.asarray(degrees_east, float)), np.radians(np.asarray(degrees_north, float))
        return np.column_stack((np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)))

    tree = cKDTree(on_sphere(point_longitudes, point_latitudes))
    chords, places = tree.query(on_sphere(longitudes, latitudes))
    return places, np.round(2 * EARTH_RADIUS_M * np.arcsin(np.clip(chords / 2, 0, 1)), METRE_DIGITS)


def _nearest_lists(longitudes: Any, latitudes: Any, point_longitudes: Any, point_latitudes: Any) -> Any:
    """``nearest`` for SQL: all positions and all points of a row in lists, so that one call sees them all.

    The numbers stay in their buffers: with a million positions as Python objects the query took half as long again.
    """
    columns = (longitudes, latitudes, point_longitudes, point_latitudes)
    found = [_nearest_of(*(column[row].values for column in columns)) for row in range(len(longitudes))]
    offsets = pa.array([0, *accumulate(len(one) for one in found)], pa.int32())
    kind = pa.struct([("place", pa.int64()), ("distance_m", pa.float64())])
    return pa.ListArray.from_arrays(offsets, pa.concat_arrays(found) if found else pa.array([], kind))


def _nearest_of(*lists: pa.Array | None) -> pa.StructArray:
    if any(one is None or not len(one) for one in lists):
        size = len(lists[0]) if lists[0] is not None else 0
        places, metres = pa.nulls(size, pa.int64()), pa.nulls(size, pa.float64())
    else:
        places, metres = nearest(*(one.to_numpy(zero_copy_only=False) for one in lists if one is not None))
    return pa.StructArray.from_arrays([pa.array(places, pa.int64()), pa.array(metres)], ["place", "distance_m"])


def is_siret(column: Any, numba_rows: int = NUMBA_ROWS) -> pa.Array:
    """Whether each text is a SIRET: 14 digits whose Luhn sum is a multiple of 10, or for places of La Poste, which has
    run out of such numbers, whose plain sum is one of 5. NULL for NULL.

    Args:
        column: Arrow texts; the buffers are read as they are.
        numba_rows: rows from which the compiled loop is used.
    """
    import numpy as np

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # of no chunk
        array = pa.array([], pa.string())
    array = pc.cast(array, pa.large_string())
    _, offsets, data = array.buffers()
    size = len(array)
    starts = np.frombuffer(offsets, np.int64)[array.offset : array.offset + size + 1] if size else np.zeros(1, int)
    digits = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    check = _compiled() if len(array) >= numba_rows else _check_numpy
    return pa.array(check(starts, digits), pa.bool_(), mask=array.is_null().to_numpy(zero_copy_only=False))


class _Seen:
    """How many numbers this process has checked: DuckDB hands over 2,048 at a time, and compiling must pay."""

    rows = 0


def _is_siret(column: Any) -> Any:
    _Seen.rows += len(column)
    return is_siret(column, 0 if _Seen.rows >= NUMBA_ROWS else NUMBA_ROWS)


def _check_numpy(starts: Any, digits: Any) -> Any:
    import numpy as np

    valid = np.zeros(len(starts) - 1, bool)
    mine = np.flatnonzero(np.diff(starts) == SIRET_DIGITS)
    if not len(mine):
        return valid
    table = digits[starts[mine][:, None] + np.arange(SIRET_DIGITS)].astype(np.int64) - ord("0")
    are_digits = ((table >= 0) & (table <= 9)).all(axis=1)
    doubled = table.copy()
    doubled[:, 0::2] = doubled[:, 0::2] * 2 % 10 + doubled[:, 0::2] // 5
    head = np.frombuffer(LA_POSTE.encode(), np.uint8) - ord("0")
    is_la_poste = (table[:, : len(LA_POSTE)] == head).all(axis=1)
    is_right = (doubled.sum(axis=1) % 10 == 0) | (is_la_poste & (table.sum(axis=1) % 5 == 0))
    valid[mine] = are_digits & is_right
    return valid


@cache
def _compiled() -> Callable[[Any, Any], Any]:
    """The same in one pass over the bytes, compiled."""
    import numba
    import numpy as np

    head = np.frombuffer(LA_POSTE.encode(), np.uint8)

    @numba.njit
    def check(starts: Any, digits: Any) -> Any:
        valid = np.zeros(len(starts) - 1, np.bool_)
        for row in range(len(starts) - 1):
            start = starts[row]
            if starts[row + 1] - start != SIRET_DIGITS:
                continue
            luhn: Any = 0
            plain: Any = 0
            is_post: Any = True
            are_digits: Any = True
            for place in range(SIRET_DIGITS):
                byte = digits[start + place]
                digit = np.int64(byte) - 48
                are_digits = are_digits and 0 <= digit <= 9
                is_post = is_post and (place >= len(head) or byte == head[place])
                plain += digit
                luhn += digit * 2 % 10 + digit // 5 if place % 2 == 0 else digit
            valid[row] = are_digits and (luhn % 10 == 0 or (is_post and plain % 5 == 0))
        return valid

    found: Callable[[Any, Any], Any] = check
    return found
