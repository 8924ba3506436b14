// The same number for the same person from frame to frame. The same as lightpose/inference/track.py, which explains it.

import { assign } from "./assign.js";
import { covered, iou } from "./boxes.js";
import { colorVector } from "./colors.js";

export const trackerDefaults = {
  keepLostS: 1.5,
  sure: 0.5,
  least: 0.1,
  pace: 0.5,
  steadyS: 2.0,
  noise: 0.08,
  reach: 1.0,
  sizeWeight: 2.0,
  leastLikeness: 0.3,
  inside: 0.7,
  colorWeight: 8.0,
  colorS: 0.4,
};

const leastAlike = 0.1;

export class Tracker {
  #timeS = null;
  #lastId = 0;
  #people = []; // {id (0 until confirmed), seenS, box [center x, center y, width, height], speed, spread, colors}

  constructor(settings = {}) {
    this.settings = { ...trackerDefaults, ...settings };
  }

  // people: {box: [left, top, width, height], boxScore, …} of a frame. image: {width, height, data}, whose RGBA data may
  // be left out: then boxes alone count. Gives those with an id, in their order.
  update(people, timeS, image) {
    const { keepLostS, sure, least } = this.settings;
    const first = this.#timeS === null;
    this.#timeS = timeS;
    const known = this.#people.filter(
      (one) => timeS - one.seenS <= keepLostS + 1e-6 && !this.#hasLeft(one, timeS, image),
    );
    const seen = people.map((one) => this.#sight(one, timeS, image));
    const likeness = known.map((one) => seen.map((other) => this.#likeness(one, other, timeS)));
    const owner = new Array(people.length).fill(-1);
    const isSure = people.map(({ boxScore }) => boxScore >= sure);
    this.#pair(likeness, isSure, owner);
    this.#pair(likeness, people.map(({ boxScore }, n) => !isSure[n] && boxScore >= least), owner);
    const isLeft = people.map((one, n) => isSure[n] && owner[n] < 0 && this.#isAtEdge(one, image));
    this.#pair(this.#inside(known, seen, timeS), isLeft, owner);

    const ids = owner.map((number) => (number < 0 ? 0 : known[number].id));
    owner.forEach((number, n) => {
      if (ids[n] === 0 && (number >= 0 || (first && isSure[n]))) ids[n] = ++this.#lastId;
    });
    const met = owner.flatMap((number, n) =>
      number < 0 ? [] : [{ ...this.#corrected(known[number], seen[n], timeS), id: ids[n] }],
    );
    const fresh = seen.flatMap((one, n) => (isSure[n] && owner[n] < 0 ? [{ ...one, id: ids[n] }] : []));
    this.#people = [...known.filter((_, number) => !owner.includes(number)), ...met, ...fresh];
    return people.flatMap((one, n) => (ids[n] ? [{ ...one, id: ids[n] }] : []));
  }

  #sight({ box: [left, top, width, height] }, timeS, image) {
    const { noise, pace } = this.settings;
    return {
      id: 0,
      seenS: timeS,
      box: [left + width / 2, top + height / 2, width, height],
      speed: [0, 0, 0, 0],
      spread: [noise ** 2, 0, pace ** 2],
      colors: image.data ? colorVector(image, [left, top, width, height]) : null,
    };
  }

  #hasLeft(one, timeS, image) {
    const limit = [image.width, image.height];
    const center = this.#moved(one, timeS);
    return limit.some(
      (most, axis) => (center[axis] < 0 || center[axis] > most) && one.box[axis] >= 0 && one.box[axis] <= most,
    );
  }

  // Whether a box reaches the edge of the image, give or take a share of its height.
  #isAtEdge({ box: [left, top, width, height] }, image) {
    const slack = this.settings.noise * height;
    return (
      left < slack || top < slack || left + width > image.width - slack || top + height > image.height - slack
    );
  }

  #gone(one, timeS) {
    return Math.max(timeS - one.seenS, 0);
  }

  // The box after a time, at speeds that fade.
  #moved(one, timeS) {
    const { steadyS } = this.settings;
    const share = steadyS * -Math.expm1(-this.#gone(one, timeS) / steadyS);
    const box = one.box.map((value, n) => value + one.speed[n] * share);
    return [box[0], box[1], Math.max(box[2], one.box[2] / 2), Math.max(box[3], one.box[3] / 2)];
  }

  #spread(one, timeS) {
    const { steadyS, pace } = this.settings;
    const gone = this.#gone(one, timeS);
    const fade = Math.exp(-gone / steadyS);
    const drift = steadyS * -Math.expm1(-gone / steadyS);
    const [place, both, speed] = one.spread;
    const wander = (2 * gone) / steadyS - 3 + 4 * fade - fade ** 2;
    return [
      place + 2 * drift * both + drift ** 2 * speed + (pace * steadyS) ** 2 * Math.max(wander, 0),
      fade * (both + drift * speed) + pace ** 2 * steadyS * (1 - fade) ** 2,
      fade ** 2 * speed + pace ** 2 * (1 - fade ** 2),
    ];
  }

  #corrected(one, seen, timeS) {
    const { steadyS, noise } = this.settings;
    const forecast = this.#moved(one, timeS);
    const [place, both, speed] = this.#spread(one, timeS);
    const sum = place + noise ** 2;
    const fade = Math.exp(-this.#gone(one, timeS) / steadyS);
    const off = seen.box.map((value, n) => value - forecast[n]);
    return {
      ...seen,
      box: forecast.map((value, n) => value + (place / sum) * off[n]),
      speed: one.speed.map((value, n) => fade * value + (both / sum) * off[n]),
      spread: [place - place ** 2 / sum, both - (place * both) / sum, speed - both ** 2 / sum],
      colors: one.colors && seen.colors ? this.#mixed(one, seen, timeS) : one.colors ?? seen.colors,
    };
  }

  #mixed(one, seen, timeS) {
    const fade = Math.exp(-this.#gone(one, timeS) / this.settings.colorS);
    const sum = seen.colors.map((value, n) => value + fade * (one.colors[n] - value));
    const length = Math.hypot(...sum);
    return sum.map((value) => value / length);
  }

  // How much a known person is like one that was seen; 0 where it is not enough.
  #likeness(one, seen, timeS) {
    const { reach, sizeWeight, leastLikeness } = this.settings;
    const forecast = this.#moved(one, timeS);
    const doubt = Math.sqrt(this.#spread(one, timeS)[0]) * reach;
    const heights = Math.max(forecast[3], 1e-9) / Math.max(seen.box[3], 1e-9);
    const overlap = iou(grown(forecast, doubt), grown(seen.box, doubt));
    const likeness = overlap * Math.min(heights, 1 / heights) ** sizeWeight;
    return likeness >= leastLikeness ? likeness * this.#alike(one, seen) : 0;
  }

  #alike(one, seen) {
    if (!one.colors || !seen.colors) return 1;
    const product = one.colors.reduce((sum, value, n) => sum + value * seen.colors[n], 0);
    return Math.min(Math.max(product, leastAlike), 1) ** this.settings.colorWeight;
  }

  // The share of each box that lies in a forecast, where it is large and the box meets no other person's.
  #inside(known, seen, timeS) {
    const forecasts = known.map((one) => grown(this.#moved(one, timeS), 0));
    const shares = seen.map((one) => forecasts.map((forecast) => covered(grown(one.box, 0), forecast)));
    const alone = shares.map((row) => row.filter((share) => share > 0).length === 1);
    const isGood = (share, n) => alone[n] && share >= this.settings.inside;
    return known.map((_, number) => shares.map((row, n) => (isGood(row[number], n) ? row[number] : 0)));
  }

  // Write the owners of some people that were seen, out of the known ones that are free and like them, into `owner`.
  #pair(likeness, some, owner) {
    const rows = likeness.map((_, number) => number).filter((number) => !owner.includes(number));
    const columns = some.flatMap((isOne, number) => (isOne ? [number] : []));
    const good = rows.map((row) => columns.map((column) => likeness[row][column]));
    for (const [row, column] of assign(good.map((values) => values.map((value) => -value)))) {
      if (good[row][column] > 0) owner[columns[column]] = rows[row];
    }
  }
}

// A box of a center and a size as corners, each side moved out by a share of the height.
function grown([x, y, width, height], doubt) {
  const [halfWide, halfHigh] = [width / 2 + doubt * height, height / 2 + doubt * height];
  return [x - halfWide, y - halfHigh, x + halfWide, y + halfHigh];
}
