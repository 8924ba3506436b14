// Angles of joints and segments in degrees, by the rules that lightpose/ops/angles.py has and the server sends.

// rules: {feet: [toe, toe, heel, heel] or null, angles: [{name, points, offset, sign, turn_deg}]}. A point is the joints
// that it lies midway between. Gives [name, degrees or null] of each rule.
export function anglesOf(keypoints, { feet, angles }) {
  const ahead = feet ? aheadOf(feet.map((joints) => midway(keypoints, joints))) : 1;
  return angles.map(({ name, points, offset, sign, turn_deg: turn }) => {
    const places = points.map((joints) => midway(keypoints, joints)).map(([x, y]) => [x * ahead, y]);
    const degrees = wrapped((direction(places) + offset) * sign, turn);
    return [name, Number.isFinite(degrees) ? degrees : null];
  });
}

function midway(keypoints, joints) {
  const places = joints.map((joint) => keypoints[joint]);
  if (places.some(({ x, y }) => x === null || y === null)) return [NaN, NaN];
  return ["x", "y"].map((axis) => places.reduce((sum, place) => sum + place[axis], 0) / places.length);
}

function aheadOf([[toe], [otherToe], [heel], [otherHeel]]) {
  return toe + otherToe - heel - otherHeel < 0 ? -1 : 1;
}

function direction(p) {
  const less = (a, b) => [a[0] - b[0], a[1] - b[1]];
  const inDegrees = (y, x) => (Math.atan2(y, x) * 180) / Math.PI;
  if (p.length === 2) {
    const [x, y] = less(p[0], p[1]);
    return inDegrees(y, x);
  }
  const [u, v] = p.length === 3 ? [less(p[0], p[1]), less(p[2], p[1])] : [less(p[1], p[0]), less(p[3], p[2])];
  return -inDegrees(u[0] * v[1] - u[1] * v[0], u[0] * v[0] + u[1] * v[1]);
}

function wrapped(degrees, turn) {
  const over = (degrees + turn / 2) % turn;
  return (over < 0 ? over + turn : over) - turn / 2;
}
