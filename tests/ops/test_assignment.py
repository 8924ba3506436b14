"""The cheapest pairing, against SciPy's and by hand."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from lightpose.ops.assignment import assign


@pytest.mark.parametrize("seed", range(40))
def test_the_sum_is_scipys(seed: int):
    generator = np.random.default_rng(seed)
    costs = generator.normal(size=tuple(generator.integers(1, 24, 2)))
    rows, columns = assign(costs)
    theirs = linear_sum_assignment(costs)
    assert rows.tolist() == theirs[0].tolist()
    assert columns.tolist() == theirs[1].tolist()


@pytest.mark.parametrize("seed", range(20))
def test_equal_costs_are_no_trouble(seed: int):
    costs = np.random.default_rng(seed).integers(0, 3, (9, 7)).astype(float)
    rows, columns = assign(costs)
    assert len(set(rows.tolist())) == len(set(columns.tolist())) == 7
    assert costs[rows, columns].sum() == costs[linear_sum_assignment(costs)].sum()


def test_the_best_pair_gives_way_where_the_sum_gains():
    assert assign([[0, 1], [1, 9]])[1].tolist() == [1, 0]  # 2, where the cheapest first would cost 9


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (4, 0)])
def test_nobody_is_paired_with_nobody(shape: tuple[int, int]):
    rows, columns = assign(np.zeros(shape))
    assert (rows.tolist(), columns.tolist()) == ([], [])


def test_costs_are_left_alone():
    costs = np.arange(12.0).reshape(3, 4)
    kept = costs.copy()
    assign(costs)
    assert (costs == kept).all()
