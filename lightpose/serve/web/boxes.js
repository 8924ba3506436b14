// Boxes [left, top, right, bottom]: their overlap, and one for each person. The same as lightpose/ops/boxes.py.

export function iou(one, other) {
  const wide = Math.max(0, Math.min(one[2], other[2]) - Math.max(one[0], other[0]));
  const high = Math.max(0, Math.min(one[3], other[3]) - Math.max(one[1], other[1]));
  const both = wide * high;
  const either = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - both;
  return both / Math.max(either, 1e-12);
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
