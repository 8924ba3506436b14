// Boxes [left, top, right, bottom]: their overlap, and one for each person. The same as lightpose/ops/boxes.py.

export function iou(one, other) {
  const both = shared(one, other);
  return both / Math.max(area(one) + area(other) - both, 1e-12);
}

// The share of the first box that the other covers.
export function covered(one, other) {
  return shared(one, other) / Math.max(area(one), 1e-12);
}

function shared(one, other) {
  const wide = Math.max(0, Math.min(one[2], other[2]) - Math.max(one[0], other[0]));
  const high = Math.max(0, Math.min(one[3], other[3]) - Math.max(one[1], other[1]));
  return wide * high;
}

function area([left, top, right, bottom]) {
  return (right - left) * (bottom - top);
}

// Numbers of values from the largest to the smallest, equal ones in their order.
export function falling(values) {
  return Array.from(values, (_, number) => number).sort((a, b) => values[b] - values[a] || a - b);
}

// Greedy suppression: by falling score, a box goes if its overlap with one that stayed is above `most`.
export function nms(boxes, scores, most) {
  const kept = [];
  for (const number of falling(scores)) {
    if (scores[number] > 0 && kept.every((other) => iou(boxes[number], boxes[other]) <= most)) kept.push(number);
  }
  return kept;
}
