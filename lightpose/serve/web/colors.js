// What colours a box in an image has. The same as lightpose/ops/colors.py, which explains it.

const side = 10;
const bins = 64;

// image: {width, height, data} of RGBA bytes. box: [left, top, width, height]. Gives 128 numbers, a vector of length 1.
export function colorVector({ width, height, data }, [left, top, wide, high]) {
  const counts = new Float64Array(2 * bins);
  const inside = (value, limit) => Math.min(Math.max(Math.floor(value), 0), limit - 1);
  for (let row = 0; row < 2 * side; row++) {
    const y = inside(top + high * (0.15 + (0.7 * (row + 0.5)) / (2 * side)), height);
    for (let column = 0; column < side; column++) {
      const x = inside(left + wide * (0.25 + (0.5 * (column + 0.5)) / side), width);
      const at = 4 * (y * width + x);
      const shade = (data[at] >> 6) * 16 + (data[at + 1] >> 6) * 4 + (data[at + 2] >> 6);
      counts[(row < side ? 0 : bins) + shade]++;
    }
  }
  return counts.map((count) => Math.sqrt(count / (2 * side * side)));
}
