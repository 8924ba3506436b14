// The cheapest pairing of rows with columns. The same as lightpose/ops/assignment.py.

// Pairs [row, column], by rising row, so that the sum of costs[row][column] is the least; as many as can be.
export function assign(costs) {
  const [high, wide] = [costs.length, costs.length ? costs[0].length : 0];
  if (!high || !wide) return [];
  if (high > wide) {
    const turned = costs[0].map((_, column) => costs.map((row) => row[column]));
    return assign(turned)
      .map(([column, row]) => [row, column])
      .sort((a, b) => a[0] - b[0]);
  }
  const state = {
    costs,
    rowPrices: new Array(high).fill(0),
    columnPrices: new Array(wide).fill(0),
    owner: new Array(wide).fill(-1), // the row that a column is paired with
    mine: new Array(high).fill(-1), // the column that a row is paired with
  };
  for (let row = 0; row < high; row++) give(row, state);
  return state.mine.map((column, row) => [row, column]);
}

// Pair one more row, moving others to other columns along the cheapest path.
function give(row, { costs, rowPrices, columnPrices, owner, mine }) {
  const wide = owner.length;
  const shortest = new Array(wide).fill(Infinity);
  const before = new Array(wide).fill(-1); // the row from which the path reaches a column
  const done = new Array(wide).fill(false);
  let [last, length, column] = [row, 0, -1];
  for (;;) {
    column = -1;
    for (let each = 0; each < wide; each++) {
      if (done[each]) continue;
      const through = length + costs[last][each] - rowPrices[last] - columnPrices[each];
      if (through < shortest[each]) [shortest[each], before[each]] = [through, last];
      if (column < 0 || shortest[each] < shortest[column]) column = each;
    }
    length = shortest[column];
    done[column] = true;
    if (owner[column] < 0) break;
    last = owner[column];
  }
  rowPrices[row] += length;
  for (let each = 0; each < wide; each++) {
    if (!done[each]) continue;
    if (owner[each] >= 0) rowPrices[owner[each]] += length - shortest[each];
    columnPrices[each] -= length - shortest[each];
  }
  while (column >= 0) {
    const giver = before[column];
    owner[column] = giver;
    [column, mine[giver]] = [mine[giver], column];
  }
}
