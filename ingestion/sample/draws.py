"""Draw codes at random with given weights, whole columns at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Weights = Mapping[int, float]


def draw(rng: np.random.Generator, size: int, weights: Weights) -> Ints:
    """Draw ``size`` codes; weights are relative."""
    codes = np.fromiter(weights, np.int64)
    shares = np.fromiter(weights.values(), np.float64)
    return rng.choice(codes, size, p=shares / shares.sum())


def draw_by(
    rng: np.random.Generator, keys: npt.NDArray[np.generic], tables: Mapping[int, Weights] | Mapping[bool, Weights]
) -> Ints:
    """Draw one code per key, from the table of that key; a key without a table gets 0."""
    drawn = np.zeros(len(keys), np.int64)
    for key, weights in tables.items():
        hit = keys == key
        drawn[hit] = draw(rng, int(hit.sum()), weights)
    return drawn


def rank_within(counts: Ints) -> Ints:
    """Number the members of groups of these sizes: ``[2, 3]`` gives ``[0, 1, 0, 1, 2]``."""
    starts = np.cumsum(counts) - counts
    return np.arange(int(counts.sum())) - np.repeat(starts, counts)
