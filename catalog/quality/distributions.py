"""How far two distributions of one column lie apart: population stability index, Kolmogorov-Smirnov distance.

Both compare shares, so that numbers of rows do not matter: a table twice as long with the same shares has not shifted.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

FEWEST = 100  # values on either side, or shares say more of chance than of a shift
BINS = 10
ROWS_A_BIN = 30  # a bin of fewer rows would swing by itself
SMALLEST_SHARE = 1e-4  # an empty bin counts so much: the logarithm of nothing is infinite


def psi(expected: Numbers, actual: Numbers) -> float:
    """Population stability index of two series of counts by the same bins: sum of (a - e) ln(a / e) over shares.

    Below 0.1 is usually read as no shift, beyond 0.25 as a large one (Siddiqi, Credit Risk Scorecards, 2006).
    """
    before, after = _shares(expected), _shares(actual)
    return float(np.sum((after - before) * np.log(after / before)))


def psi_of_numbers(before: Numbers, after: Numbers) -> float:
    """The index of two samples by the quantiles of the first; a NaN stands for a missing value and has its own bin."""
    known, present = before[~np.isnan(before)], after[~np.isnan(after)]
    count = int(np.clip(min(len(known), len(present)) // ROWS_A_BIN, 1, BINS))
    inner = np.quantile(known, np.arange(1, count) / count) if len(known) and count > 1 else np.empty(0)
    edges = np.unique(inner)  # a value that many rows share bounds several quantiles, and is one bin

    def counts(values: Numbers, missing: int) -> Numbers:
        placed = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
        return np.append(placed, missing).astype(np.float64)

    return psi(counts(known, len(before) - len(known)), counts(present, len(after) - len(present)))


def psi_of_groups(before: Mapping[Hashable, int], after: Mapping[Hashable, int]) -> float:
    """The index of two series of counts by value; a value one side lacks counts there as next to nothing."""
    values = sorted({*before, *after}, key=repr)
    return psi(
        np.array([before.get(value, 0) for value in values], dtype=np.float64),
        np.array([after.get(value, 0) for value in values], dtype=np.float64),
    )


def ks(before: Numbers, after: Numbers) -> float:
    """Two-sample Kolmogorov-Smirnov distance: the largest gap between the two cumulative shares, 0 to 1.

    Missing values (NaN) are left out; 0 where a side has no other.
    """
    one, other = (np.sort(values[~np.isnan(values)]) for values in (before, after))
    if not len(one) or not len(other):
        return 0.0
    everywhere = np.concatenate([one, other])
    gaps = np.searchsorted(one, everywhere, side="right") / len(one)
    gaps -= np.searchsorted(other, everywhere, side="right") / len(other)
    return float(np.max(np.abs(gaps)))


def _shares(counts: Numbers) -> Numbers:
    total = counts.sum()
    return np.maximum(counts / total if total else counts, SMALLEST_SHARE)
