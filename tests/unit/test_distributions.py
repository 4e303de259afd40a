"""The two distances between distributions, against values worked out by hand or known from the literature."""

from __future__ import annotations

import math

import numpy as np
import pytest

from catalog.quality.distributions import Numbers, ks, psi, psi_of_groups, psi_of_numbers

CASES = [
    pytest.param([50, 50], [40, 60], -0.1 * math.log(0.8) + 0.1 * math.log(1.2), id="a tenth moves"),
    pytest.param([1, 3], [100, 300], 0.0, id="the same shares of more rows"),
    pytest.param([25, 75], [75, 25], math.log(3), id="swapped"),
    pytest.param([100, 0], [50, 50], -0.5 * math.log(0.5) + (0.5 - 1e-4) * math.log(0.5 / 1e-4), id="an empty bin"),
]


def numbers(*values: float) -> Numbers:
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(("expected", "actual", "index"), CASES)
def test_psi_is_the_sum_over_shares(expected: list[int], actual: list[int], index: float) -> None:
    assert psi(numbers(*expected), numbers(*actual)) == pytest.approx(index)


def test_psi_of_numbers_goes_by_the_deciles_of_the_first() -> None:
    before = np.arange(1000.0)
    assert psi_of_numbers(before, before) == 0
    moved = psi_of_numbers(before, before + 100)  # the first decile is empty, the last one has twice its rows
    assert moved == pytest.approx((1e-4 - 0.1) * math.log(1e-4 / 0.1) + 0.1 * math.log(2), rel=0.02)


def test_psi_of_numbers_sees_values_that_go_missing() -> None:
    before = np.arange(1000.0)
    after = np.where(before % 2 == 0, np.nan, before)
    lost = (0.5 - 1e-4) * math.log(0.5 / 1e-4)
    assert psi_of_numbers(before, after) == pytest.approx(lost - 0.5 * math.log(0.5), rel=0.02)


def test_psi_of_numbers_takes_a_value_that_fills_several_deciles_as_one_bin() -> None:
    before = np.concatenate([np.zeros(900), np.arange(1.0, 101.0)])
    assert psi_of_numbers(before, before) == 0
    assert psi_of_numbers(before, np.zeros(1000)) == pytest.approx(
        0.1 * math.log(1000) + 0.1 * math.log(1 / 0.9), rel=0.05
    )


def test_psi_of_numbers_stands_what_has_no_value_at_all() -> None:
    nothing = np.full(200, np.nan)
    assert psi_of_numbers(nothing, nothing) == 0
    assert psi_of_numbers(nothing, np.arange(200.0)) > 5


def test_psi_of_groups_counts_a_new_value_and_one_that_went() -> None:
    assert psi_of_groups({"a": 1, None: 1}, {None: 5, "a": 5}) == 0
    assert psi_of_groups({"a": 100}, {"b": 100}) == pytest.approx(2 * (1 - 1e-4) * math.log(1e4))


KS_CASES = [
    pytest.param([1, 2, 3, 4], [1, 2, 3, 4], 0.0, id="the same"),
    pytest.param([1, 2, 3], [4, 5, 6], 1.0, id="apart"),
    pytest.param([0.1, 0.4, 0.7], [0.2, 0.3, 0.5, 0.9], 1 / 3, id="unequal sizes"),
    # scipy 1's ks_2samp gives the same
    pytest.param([3.1, 0.2, 5.5, 2.2, 8.9, 4.4, 1.0], [2.5, 7.7, 9.1, 6.0, 3.3], 16 / 35, id="as scipy"),
    pytest.param([1, 1, 2, 2], [1, 2, 2, 2], 0.25, id="ties"),
]


@pytest.mark.parametrize(("before", "after", "distance"), KS_CASES)
def test_ks_is_the_largest_gap_of_the_cumulative_shares(
    before: list[float], after: list[float], distance: float
) -> None:
    assert ks(numbers(*before), numbers(*after)) == pytest.approx(distance)
    assert ks(numbers(*after), numbers(*before)) == pytest.approx(distance)


def test_ks_of_two_normals_apart_is_the_one_of_theory() -> None:
    draw = np.random.default_rng(7)
    before, after = draw.normal(0, 1, 200_000), draw.normal(0.5, 1, 200_000)
    gap = math.erf(0.25 / math.sqrt(2))  # 2 Phi(d/2) - 1, where the two densities cross
    assert ks(before, after) == pytest.approx(gap, abs=0.005)


def test_ks_leaves_missing_values_out() -> None:
    assert ks(numbers(1, 2, math.nan), numbers(math.nan, 1, 2)) == 0
    assert ks(numbers(math.nan), numbers(1, 2)) == 0
