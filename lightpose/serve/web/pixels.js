// Images {width, height, data} of RGBA bytes, as a canvas gives them, to the RGB bytes that the networks take.
// The same as lightpose/ops/letterbox.py and lightpose/ops/geometry.py, by the rounding of OpenCV.

// Python's round: halves go to the even number.
function rounded(value) {
  const low = Math.floor(value);
  const over = value - low;
  return over > 0.5 || (over === 0.5 && low % 2) ? low + 1 : low;
}

// An image at the top left of an input, its aspect kept, the rest grey.
export function letterbox(image, [high, wide], pad) {
  const scale = Math.min(high / image.height, wide / image.width);
  const fittedHigh = Math.min(Math.max(rounded(image.height * scale), 1), high);
  const fittedWide = Math.min(Math.max(rounded(image.width * scale), 1), wide);
  const [spread, mix] = scale < 1 ? [shares, mixAreas] : [neighbours, mixNeighbours];
  const pixels = new Uint8ClampedArray(high * wide * 3).fill(pad); // which rounds halves to the even number
  const source = halved(image, scale);
  const isHalved = source.height === 2 * fittedHigh && source.width === 2 * fittedWide;
  resize(source, spread(source.height, fittedHigh), spread(source.width, fittedWide), mix, (y, values) => {
    // of OpenCV's ways to shrink, that by two alone rounds halves up
    pixels.set(isHalved ? values.map((value) => value + 0.01) : values, y * wide * 3);
  });
  return {
    pixels: new Uint8Array(pixels.buffer),
    scaleXy: [fittedWide / image.width, fittedHigh / image.height],
  };
}

// The image at a half, a quarter and so on of its size, as long as more than half of that is to be shrunk away.
function halved(image, scale) {
  if (scale > 1 / 4 || image.height % 2 || image.width % 2) return image;
  const { data, width } = image;
  const small = { width: width / 2, height: image.height / 2, data: new Uint8Array(data.length / 4) };
  for (let to = 0; to < small.data.length; to++) {
    const pixel = to >> 2;
    const column = pixel % small.width;
    const from = 4 * (2 * width * ((pixel - column) / small.width) + 2 * column) + (to & 3);
    small.data[to] = (data[from] + data[from + 4] + data[from + 4 * width] + data[from + 4 * width + 4] + 2) >> 2;
  }
  return halved(small, 2 * scale);
}

// For each of `count` places along an axis: where the source pixels begin that it covers, and the share of each.
function shares(length, count) {
  const step = length / count;
  const least = 1e-3; // a smaller part of a pixel is left out
  return Array.from({ length: count }, (_, place) => {
    const [from, to] = [place * step, (place + 1) * step];
    const [first, last] = [Math.ceil(from), Math.min(Math.floor(to), length - 1)];
    const cell = Math.min(step, length - from);
    const weights = [];
    if (first - from > least) weights.push((first - from) / cell);
    const begin = first - weights.length;
    for (let at = first; at < last; at++) weights.push(1 / cell);
    if (to - last > least) weights.push(Math.min(to - last, 1, cell) / cell);
    return { first: begin, weights: weights.map(Math.fround) };
  });
}

// The same for enlarging: the two nearest pixels, centre to centre; shares in 2048ths.
function neighbours(length, count) {
  return Array.from({ length: count }, (_, place) => {
    const at = Math.min(Math.max(Math.fround((place + 0.5) * (length / count) - 0.5), 0), length - 1);
    const first = Math.min(Math.floor(at), Math.max(length - 2, 0));
    return { first, weights: length === 1 ? [2048] : [rounded((1 - at + first) * 2048), rounded((at - first) * 2048)] };
  });
}

function mixAreas(lines, weights, sums) {
  sums.fill(0);
  lines.forEach((values, step) => {
    for (let n = 0; n < sums.length; n++) sums[n] += weights[step] * values[n];
  });
}

// In whole numbers, as OpenCV does.
function mixNeighbours([above, below = above], [weight, weightBelow = 0], sums) {
  for (let n = 0; n < sums.length; n++) {
    sums[n] = (((weight * (above[n] >> 4)) >> 16) + ((weightBelow * (below[n] >> 4)) >> 16) + 2) >> 2;
  }
}

function resize({ width, data }, rows, columns, mix, put) {
  const lines = new Map(); // source rows that are narrowed already
  const line = (number) => {
    if (!lines.has(number)) lines.set(number, narrowed(data, number * width * 4, columns));
    return lines.get(number);
  };
  const sums = new Float32Array(columns.length * 3);
  rows.forEach(({ first, weights }, y) => {
    for (const number of [...lines.keys()]) if (number < first) lines.delete(number);
    mix(weights.map((_, step) => line(first + step)), weights, sums);
    put(y, sums);
  });
}

function narrowed(data, start, columns) {
  const values = new Float32Array(columns.length * 3);
  for (let x = 0; x < columns.length; x++) {
    const { first, weights } = columns[x];
    let [red, green, blue] = [0, 0, 0];
    for (let step = 0; step < weights.length; step++) {
      const at = start + (first + step) * 4;
      red += weights[step] * data[at];
      green += weights[step] * data[at + 1];
      blue += weights[step] * data[at + 2];
    }
    values[x * 3] = red;
    values[x * 3 + 1] = green;
    values[x * 3 + 2] = blue;
  }
  return values;
}

// How a box [left, top, width, height] becomes a crop: crop pixel = scale · image pixel + shift, along x and y.
export function cropMap([left, top, width, height], [high, wide], geometry, padding) {
  const aspect = wide / high;
  const regionWide = Math.max(width, height * aspect) * padding;
  const less = geometry === "udp" ? 1 : 0;
  const scaleX = (wide - less) / regionWide;
  const scaleY = scaleX * ((high - less) / high / ((wide - less) / wide));
  return {
    scale: [scaleX, scaleY],
    shift: [(wide - less) / 2 - scaleX * (left + width / 2), (high - less) / 2 - scaleY * (top + height / 2)],
  };
}

// Cut a crop: bilinear, black outside. `bytes` get its RGB.
export function cut(image, { scale, shift }, [high, wide], bytes) {
  const crop = new Uint8ClampedArray(bytes.buffer, bytes.byteOffset, bytes.length);
  const { width, height, data } = image;
  let place = 0;
  for (let y = 0; y < high; y++) {
    const sourceY = (y - shift[1]) / scale[1];
    const top = Math.floor(sourceY);
    const low = sourceY - top;
    for (let x = 0; x < wide; x++, place += 3) {
      const sourceX = (x - shift[0]) / scale[0];
      const left = Math.floor(sourceX);
      const far = sourceX - left;
      for (let color = 0; color < 3; color++) crop[place + color] = 0;
      if (left < -1 || top < -1 || left >= width || top >= height) continue;
      const at = (top * width + left) * 4;
      const [inLeft, inRight] = [left >= 0, left + 1 < width];
      const [inTop, inBottom] = [top >= 0, top + 1 < height];
      for (let color = 0; color < 3; color++) {
        const a = inTop && inLeft ? data[at + color] : 0;
        const b = inTop && inRight ? data[at + 4 + color] : 0;
        const c = inBottom && inLeft ? data[at + width * 4 + color] : 0;
        const d = inBottom && inRight ? data[at + width * 4 + 4 + color] : 0;
        crop[place + color] = (a + (b - a) * far) * (1 - low) + (c + (d - c) * far) * low;
      }
    }
  }
}
