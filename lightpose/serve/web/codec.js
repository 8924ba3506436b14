// Heatmaps to keypoints, and the flip merge. The same as lightpose/ops/codec.py, which explains it.

const temperature = 20;
const personShare = 0.46;
const leastSimilarity = 1e-12;

// Keypoints (N · K · 3), x and y in crop pixels and score, of heatmaps (N · K · h · w).
// pose: what the networks' document says of the pose network.
export function decode(heatmaps, pose) {
  const [high, wide] = pose.heatmapHw;
  const [scaleX, scaleY] = scales(pose);
  const size = high * wide;
  const found = new Float32Array((heatmaps.length / size) * 3);
  for (let number = 0; number < found.length / 3; number++) {
    const joint = number % pose.skeleton.joints.length;
    const [x, y, score] = read({ values: heatmaps.subarray(number * size, (number + 1) * size), high, wide }, pose, joint);
    found.set([x * scaleX, y * scaleY, score], number * 3);
  }
  return found;
}

function scales({ inputHw, heatmapHw, geometry }) {
  const less = geometry === "udp" ? 1 : 0;
  return [(inputHw[1] - less) / (heatmapHw[1] - less), (inputHw[0] - less) / (heatmapHw[0] - less)];
}

function read(map, { decoder, beta, sigma, skeleton }, joint) {
  if (decoder === "expected_oks") return mostSimilar(map, skeleton.sigmas[joint]);
  const [x, y, score] = decoder.startsWith("softargmax") ? softArgmax(map, beta) : argmax(map);
  let [dx, dy] = [0, 0];
  if (decoder === "dark") [dx, dy] = taylorStep(blur(map, sigma), x, y);
  else if (decoder === "dark_udp") [dx, dy] = udpStep(map, blur(map, sigma), x, y);
  else if (decoder.endsWith("quarter")) [dx, dy] = quarterStep(map, x, y);
  return [x + dx, y + dy, score];
}

function argmax({ values, wide }) {
  let best = 0;
  for (let n = 1; n < values.length; n++) if (values[n] > values[best]) best = n;
  return values[best] > 0 ? [best % wide, Math.floor(best / wide), values[best]] : [0, 0, values[best]];
}

function shares(values, beta) {
  const top = values.reduce((most, value) => Math.max(most, value), -Infinity);
  const powers = Float64Array.from(values, (value) => Math.exp((value - top) * beta));
  const sum = powers.reduce((total, value) => total + value, 0);
  return { likely: powers.map((value) => value / sum), top };
}

function softArgmax({ values, wide }, beta) {
  const { likely } = shares(values, beta);
  let [x, y] = [0, 0];
  likely.forEach((share, n) => {
    x += share * (n % wide);
    y += share * Math.floor(n / wide);
  });
  return [x, y, values[Math.floor(y + 0.5) * wide + Math.floor(x + 0.5)]];
}

// The point whose expected OKS is highest.
function mostSimilar({ values, high, wide }, sigma) {
  const { likely, top } = shares(values, temperature);
  const spread = 2 * (2 * personShare * Math.sqrt(high * wide) * sigma) ** 2;
  const falls = Array.from({ length: Math.max(high, wide) }, (_, distance) => Math.exp(-(distance ** 2) / spread));
  const near = falls.findIndex((value) => value < leastSimilarity);
  const reach = near < 0 ? falls.length : near;
  const columns = along(likely, high, wide, falls, reach, 1, wide);
  const similar = { values: along(columns, wide, high, falls, reach, wide, 1), high, wide };
  const [x, y] = argmax(similar);
  const [dx, dy] = taylorStep(similar, x, y);
  return [x + dx, y + dy, top];
}

// Each of `lines` lines of `length` values, blurred by what falls with the distance. step: from one value to the next.
function along(values, lines, length, falls, reach, step, toNext) {
  const sums = new Float64Array(values.length);
  for (let line = 0; line < lines; line++) {
    for (let from = 0; from < length; from++) {
      const value = values[line * toNext + from * step];
      const last = Math.min(length, from + reach);
      for (let to = Math.max(0, from - reach + 1); to < last; to++) {
        sums[line * toNext + to * step] += value * falls[Math.abs(to - from)];
      }
    }
  }
  return sums;
}

function nearest({ high, wide }, x, y, margin) {
  const [column, row] = [Math.floor(x + 0.5), Math.floor(y + 0.5)];
  return column > 1 && column < wide - margin && row > 1 && row < high - margin ? [column, row] : null;
}

function quarterStep(map, x, y) {
  const place = nearest(map, x, y, 1);
  if (!place) return [0, 0];
  const at = place[1] * map.wide + place[0];
  const { values, wide } = map;
  return [0.25 * Math.sign(values[at + 1] - values[at - 1]), 0.25 * Math.sign(values[at + wide] - values[at - wide])];
}

// Newton step to the maximum of a smooth map's logarithm.
function taylorStep(map, x, y) {
  const place = nearest(map, x, y, 2);
  if (!place) return [0, 0];
  const p = (dx, dy) => Math.log(Math.max(map.values[(place[1] + dy) * map.wide + place[0] + dx], 1e-10));
  return newton(
    (p(1, 0) - p(-1, 0)) / 2,
    (p(0, 1) - p(0, -1)) / 2,
    (p(2, 0) - 2 * p(0, 0) + p(-2, 0)) / 4,
    (p(0, 2) - 2 * p(0, 0) + p(0, -2)) / 4,
    (p(1, 1) - p(1, -1) - p(-1, 1) + p(-1, -1)) / 4,
  );
}

// The same on the blurred map at its old height, one pixel off, with the border going on beyond the map.
function udpStep(map, blurred, x, y) {
  const { high, wide } = map;
  const top = (values) => values.reduce((most, value) => Math.max(most, value), -Infinity);
  const height = top(blurred.values) > 0 ? top(map.values) / top(blurred.values) : 0;
  const within = (value, limit) => Math.min(Math.max(value, 0), limit - 1);
  const p = (dx, dy) => {
    const value = blurred.values[within(Math.trunc(y) + dy, high) * wide + within(Math.trunc(x) + dx, wide)];
    return Math.log(Math.min(Math.max(value * height, 1e-3), 50));
  };
  const softly = 2 ** -23;
  return newton(
    (p(1, 0) - p(-1, 0)) / 2,
    (p(0, 1) - p(0, -1)) / 2,
    p(1, 0) - 2 * p(0, 0) + p(-1, 0) + softly,
    p(0, 1) - 2 * p(0, 0) + p(0, -1) + softly,
    (p(1, 1) - p(1, 0) - p(0, 1) + 2 * p(0, 0) - p(-1, 0) - p(0, -1) + p(-1, -1)) / 2,
  );
}

function newton(dx, dy, dxx, dyy, dxy) {
  const determinant = dxx * dyy - dxy ** 2;
  const step = [(dxy * dy - dyy * dx) / determinant, (dxy * dx - dxx * dy) / determinant];
  return determinant !== 0 && step.every((value) => Math.abs(value) <= 2) ? step : [0, 0];
}

function blur({ values, high, wide }, sigma) {
  const pad = Math.min(Math.max(Math.round(3 * sigma) - 1, 0), Math.max(high, wide));
  const kernel = gaussian(pad);
  const columns = along(values, high, wide, kernel, pad + 1, 1, wide);
  return { values: along(columns, wide, high, kernel, pad + 1, wide, 1), high, wide };
}

// OpenCV's kernel of that reach, from its middle outwards.
function gaussian(pad) {
  const small = [[1], [0.5, 0.25], [0.375, 0.25, 0.0625], [0.28125, 0.21875, 0.109375, 0.03125]];
  if (pad < small.length) return small[pad];
  const sigma = 0.3 * (pad - 1) + 0.8;
  const falls = Array.from({ length: pad + 1 }, (_, distance) => Math.exp(-(distance ** 2) / (2 * sigma ** 2)));
  const sum = falls.reduce((total, value, distance) => total + (distance ? 2 : 1) * value, 0);
  return falls.map((value) => value / sum);
}

// Average heatmaps with those of the mirrored crops.
export function mergeFlip(heatmaps, mirrored, { heatmapHw: [high, wide], geometry, skeleton }) {
  const size = high * wide;
  const joints = skeleton.joints.length;
  const shift = geometry === "msra" ? 1 : 0;
  return heatmaps.map((value, n) => {
    const [map, x] = [Math.floor(n / size), n % wide];
    const other = map - (map % joints) + skeleton.flipOrder[map % joints];
    const back = x < shift ? x : x - shift; // the first column stays where the maps move right
    return (value + mirrored[other * size + (n % size) - x + wide - 1 - back]) / 2;
  });
}

// Crops (N · H · W · 3), mirrored.
export function mirror(crops, wide) {
  const turned = new Uint8Array(crops.length);
  for (let row = 0; row < crops.length; row += wide * 3) {
    for (let x = 0; x < wide; x++) {
      const [from, to] = [row + x * 3, row + (wide - 1 - x) * 3];
      turned[to] = crops[from];
      turned[to + 1] = crops[from + 1];
      turned[to + 2] = crops[from + 2];
    }
  }
  return turned;
}
