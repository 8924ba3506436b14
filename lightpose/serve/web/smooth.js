// Joints that do not tremble: the One-Euro filter for each person and joint, as in lightpose/inference/smooth.py.

export const smootherDefaults = { minHz: 1.0, beta: 10.0, speedHz: 1.0, scoreFull: 0.5, forgetS: 1.0 };

export class Smoother {
  #people = new Map(); // by id: {timeS, points, speeds, size, known}

  constructor(settings = {}) {
    this.settings = { ...smootherDefaults, ...settings };
  }

  // The same people with calmer points, and those that came as rawKeypoints.
  update(people, timeS) {
    for (const [id, one] of this.#people) {
      if (timeS - one.timeS > this.settings.forgetS + 1e-6) this.#people.delete(id);
    }
    return people.map((person) => {
      const size = Math.sqrt(Math.max(person.box[2] * person.box[3], 1e-6));
      const now = this.#step(this.#people.get(person.id), person.keypoints, size, timeS);
      this.#people.set(person.id, now);
      const keypoints = person.keypoints.map(([x, y, score], n) =>
        now.known[n] ? [...now.points[n], score] : [x, y, score],
      );
      return { ...person, keypoints, rawKeypoints: person.keypoints };
    });
  }

  #step(before, keypoints, size, timeS) {
    const { minHz, beta, speedHz, scoreFull } = this.settings;
    const usable = keypoints.map((point) => point.every(Number.isFinite) && point[2] > 0);
    const points = keypoints.map(([x, y], n) => (usable[n] ? [x, y] : [0, 0]));
    if (!before || before.points.length !== points.length) {
      return { timeS, points, speeds: points.map(() => [0, 0]), size, known: usable };
    }
    const passed = timeS - before.timeS;
    if (passed <= 0) return before;
    const next = { timeS, points: [], speeds: [], size, known: usable.map((one, n) => one || before.known[n]) };
    points.forEach((point, n) => {
      const full = scoreFull === 0 ? 1 : Math.min(keypoints[n][2] / scoreFull, 1);
      const weight = usable[n] && before.known[n] ? full : 0;
      const speed = before.speeds[n].map(
        (old, axis) => old + weight * share(speedHz, passed) * ((point[axis] - before.points[n][axis]) / passed - old),
      );
      const cutoff = minHz + (beta * Math.hypot(...speed)) / size;
      const isFresh = usable[n] && !before.known[n];
      const moved = before.points[n].map((old, axis) => old + weight * share(cutoff, passed) * (point[axis] - old));
      next.points.push(isFresh ? point : moved);
      next.speeds.push(isFresh ? [0, 0] : speed);
    });
    return next;
  }
}

// How much of the way to a new value a low pass goes.
function share(hz, passedS) {
  const around = 2 * Math.PI * hz * passedS;
  return around / (1 + around);
}
