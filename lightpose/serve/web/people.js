// From an image to people: detector, crops, pose network, and which poses count. The same as PoseEstimator.predict.

import { falling, nms } from "./boxes.js";
import { decode, mergeFlip, mirror } from "./codec.js";
import { cropMap, cut, letterbox } from "./pixels.js";

const sureJoint = 0.2; // joints that score more count for the score of a person
const batch = 4; // crops that go through the network together

// networks: what the server or the folder says of the two networks. run: {detector(pixels), pose(crops, count)}.
// flip: average with the mirrored crops.
export async function findPeople(image, networks, run, flip = false) {
  const boxes = networks.detector ? await detect(image, networks, run) : [whole(image)];
  const { inputHw, geometry, padding, skeleton } = networks.pose;
  const maps = boxes.map(({ box }) => cropMap(box, inputHw, geometry, padding));
  const size = inputHw[0] * inputHw[1] * 3;
  const people = [];
  for (let start = 0; start < boxes.length; start += batch) {
    const some = maps.slice(start, start + batch);
    const crops = new Uint8Array(some.length * size);
    some.forEach((map, number) => cut(image, map, inputHw, crops.subarray(number * size, (number + 1) * size)));
    let heatmaps = await run.pose(crops, some.length);
    if (flip) heatmaps = mergeFlip(heatmaps, await run.pose(mirror(crops, inputHw[1]), some.length), networks.pose);
    const found = decode(heatmaps, networks.pose);
    some.forEach((map, number) => {
      const joints = skeleton.joints.length;
      const points = found.subarray(number * joints * 3, (number + 1) * joints * 3);
      people.push(placed(points, map, boxes[start + number]));
    });
  }
  return chosen(people, networks);
}

function whole({ width, height }) {
  return { box: [0, 0, width, height], boxScore: 1 };
}

async function detect(image, { detector, threshold, nmsIou }, run) {
  const { pixels, scaleXy } = letterbox(image, detector.inputHw, detector.pad);
  const { boxes, scores } = await run.detector(pixels);
  return sureBoxes(boxes, scores, scaleXy, image, threshold, nmsIou);
}

// Boxes (M · 4) of the detector's input as those of people in the image, best first.
export function sureBoxes(boxes, scores, [scaleX, scaleY], { width, height }, threshold, nmsIou) {
  const [corners, sure] = [[], []];
  scores.forEach((score, number) => {
    const box = Array.from(boxes.slice(number * 4, number * 4 + 4));
    if (score < threshold || box[2] <= box[0] || box[3] <= box[1]) return;
    corners.push(box);
    sure.push(Math.min(Math.max(score, 0), 1));
  });
  const within = (value, limit) => Math.fround(Math.min(Math.max(value, 0), limit));
  return nms(corners, sure, nmsIou)
    .map((number) => {
      const [left, top, right, bottom] = corners[number];
      const [x, y] = [within(left / scaleX, width), within(top / scaleY, height)];
      const [x2, y2] = [within(right / scaleX, width), within(bottom / scaleY, height)];
      return { box: [x, y, Math.fround(x2 - x), Math.fround(y2 - y)], boxScore: sure[number] };
    })
    .filter(({ box }) => box[2] >= 1 && box[3] >= 1);
}

function placed(points, { scale, shift }, { box, boxScore }) {
  const keypoints = [];
  for (let at = 0; at < points.length; at += 3) {
    keypoints.push([(points[at] - shift[0]) / scale[0], (points[at + 1] - shift[1]) / scale[1], points[at + 2]]);
  }
  const sure = keypoints.map((point) => point[2]).filter((score) => score > sureJoint);
  const mean = sure.reduce((sum, score) => sum + score, 0) / Math.max(sure.length, 1);
  return { box, boxScore, score: boxScore * mean, keypoints };
}

// Who scores enough; of two nearly equal poses, the better one.
export function chosen(people, { minPersonScore, samePerson, pose, detector }) {
  const sure = people.filter(({ score }) => score >= minPersonScore);
  if (!detector) return sure;
  const kept = [];
  for (const number of falling(sure.map(({ score }) => score))) {
    if (kept.every((other) => oks(sure[other], sure[number], pose.skeleton.sigmas) <= samePerson)) kept.push(number);
  }
  return kept.sort((a, b) => a - b).map((number) => sure[number]);
}

// Object keypoint similarity under the mean of two areas, every joint counted: lightpose/ops/oks.py.
function oks(one, other, sigmas) {
  const area = (one.box[2] * one.box[3] + other.box[2] * other.box[3]) / 2;
  const total = sigmas.reduce((sum, sigma, joint) => {
    const [a, b] = [one.keypoints[joint], other.keypoints[joint]];
    const distance2 = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2;
    return sum + Math.exp(-distance2 / (2 * (2 * sigma) ** 2 * (area + Number.EPSILON)));
  }, 0);
  return total / sigmas.length;
}

const hundredth = (value) => Math.round(value * 100) / 100;
const tenThousandth = (value) => Math.round(value * 10000) / 10000;

function named(keypoints, joints) {
  const pairs = keypoints.map(([x, y, score], number) => [
    joints[number],
    { x: hundredth(x), y: hundredth(y), score: tenThousandth(score) },
  ]);
  return Object.fromEntries(pairs);
}

// An answer as the server gives it: Poses.to_dict.
export function answerOf(people, { width, height }, joints) {
  return {
    image: "",
    width,
    height,
    people: people.map(({ id, box, boxScore, score, keypoints, rawKeypoints }) => ({
      ...(id === undefined ? {} : { id }),
      box: box.map(hundredth),
      box_score: tenThousandth(boxScore),
      score: tenThousandth(score),
      keypoints: named(keypoints, joints),
      ...(rawKeypoints ? { raw_keypoints: named(rawKeypoints, joints) } : {}),
    })),
  };
}
