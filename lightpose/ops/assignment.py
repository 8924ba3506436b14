"""The cheapest pairing of rows with columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["assign"]


def assign(costs: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair rows with columns, each once, so that the sum of the costs is the least; as many pairs as can be.

    The Hungarian method by shortest augmenting paths (Jonker and Volgenant, 1987), exact, O(N² M).
    costs: (N, M), finite. Returns the rows, rising, and their columns, both (min(N, M),).
    """
    table = np.asarray(costs, np.float64)
    if not table.size:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    if table.shape[0] > table.shape[1]:
        columns, rows = assign(table.T)
        order = np.argsort(rows)
        return rows[order], columns[order]
    row_prices, column_prices = np.zeros(table.shape[0]), np.zeros(table.shape[1])
    owner = np.full(table.shape[1], -1, np.intp)  # the row that a column is paired with
    mine = np.full(table.shape[0], -1, np.intp)  # the column that a row is paired with
    for row in range(len(table)):
        _give(row, table, row_prices, column_prices, owner, mine)
    return np.arange(len(table)), mine


def _give(
    row: int,
    table: NDArray[np.float64],
    row_prices: NDArray[np.float64],
    column_prices: NDArray[np.float64],
    owner: NDArray[np.intp],
    mine: NDArray[np.intp],
) -> None:
    """Pair one more row, moving others to other columns along the cheapest path; the last four arrays are changed."""
    shortest = np.full(len(owner), np.inf)
    before = np.full(len(owner), -1, np.intp)  # the row from which the path reaches a column
    done = np.zeros(len(owner), bool)
    reached, length = [row], 0.0
    while True:
        last = reached[-1]
        through = length + table[last] - row_prices[last] - column_prices
        shorter = ~done & (through < shortest)
        shortest[shorter], before[shorter] = through[shorter], last
        column = int(np.where(done, np.inf, shortest).argmin())
        length = float(shortest[column])
        done[column] = True
        if owner[column] < 0:
            break
        reached.append(int(owner[column]))
    row_prices[row] += length
    others = np.flatnonzero(done & (owner >= 0))
    row_prices[owner[others]] += length - shortest[others]
    column_prices[done] -= length - shortest[done]
    while column >= 0:
        giver = int(before[column])
        owner[column] = giver
        column, mine[giver] = int(mine[giver]), column
