// Detector, pose network, tracker and smoother, away from the page's own thread. Messages: {number, kind, …}; answers:
// {number, answer} or {number, problem}, and {progress} while networks come.

import { openEngine } from "./engine.js";
import { answerOf, findPeople } from "./people.js";
import { Smoother } from "./smooth.js";
import { Tracker } from "./track.js";

const mostPixels = 50e6;
let networks = null;
let run = null;
let followed = null; // {tracker, smoother} of a stream

// base: the address that the others are relative to.
async function load({ site, base, token, threads }) {
  if (!globalThis.WebAssembly) {
    throw new Error("This browser has no WebAssembly. Allow it, use another browser, or look on the server.");
  }
  const at = (url) => new URL(url, base).href;
  networks = site.networks ?? (await read(at("v1/networks"), token).then((response) => response.json()));
  const sizes = [networks.pose, networks.detector].map((one) => one?.size ?? 0);
  const come = [0, 0];
  const tell = (place) => (count) => {
    come[place] = count;
    postMessage({ progress: { come: come[0] + come[1], size: sizes[0] + sizes[1] } });
  };
  const [pose, detector] = await Promise.all([
    bytesOf(at(networks.pose.url), sizes[0], token, tell(0)),
    networks.detector && bytesOf(at(networks.detector.url), sizes[1], token, tell(1)),
  ]);
  const files = (one) => one && { script: at(one.script), binary: at(one.binary) };
  const engines = { wasm: files(site.engines.wasm), webgpu: files(site.engines.webgpu) };
  const opened = await openEngine(engines, { pose, detector }, networks, threads, site.engine);
  run = {
    pose: (crops, count) => opened.run.pose(crops, count, networks.pose.inputHw),
    detector: (pixels) => opened.run.detector(pixels, networks.detector.inputHw),
  };
  await findPeople({ width: 1, height: 1, data: new Uint8Array(4) }, { ...networks, detector: null }, run);
  return { engine: opened.name, threads: opened.threads, networks };
}

async function read(url, token) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const response = await fetch(url, { headers }).catch(() => {
    throw new Error("The networks do not come. Look whether you are online, then reload the page.");
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => null);
  const told = problem?.detail ?? `A network does not come (status ${response.status}). Reload the page.`;
  throw Object.assign(new Error(told), { status: response.status });
}

async function bytesOf(url, size, token, tell) {
  const response = await read(url, token);
  const bytes = new Uint8Array(size);
  let count = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    if (count + value.length > size) break;
    bytes.set(value, count);
    count += value.length;
    tell(count);
  }
  if (count !== size) throw new Error("A network came cut short or changed. Reload the page.");
  return bytes;
}

// source: a file, whose pixels are taken as they are, without its color profile; or a frame, as ImageBitmap.
async function pixelsOf(source) {
  const isFile = source instanceof Blob;
  const bitmap = isFile
    ? await createImageBitmap(source, { colorSpaceConversion: "none", premultiplyAlpha: "none" }).catch(() => {
        throw new Error("This browser cannot read the image. Save it as JPEG or PNG, then choose it again.");
      })
    : source;
  const { width, height } = bitmap;
  if (width * height > mostPixels) {
    throw new Error(`The image has more than ${mostPixels / 1e6} million pixels. Save it smaller, then choose it again.`);
  }
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

async function find({ source, flip }) {
  const image = await pixelsOf(source);
  return answerOf(await findPeople(image, networks, run, flip), image, networks.pose.skeleton.joints);
}

async function follow({ source, timeS, flip }) {
  const image = await pixelsOf(source);
  const people = followed.tracker.update(await findPeople(image, networks, run, flip), timeS, image);
  return answerOf(followed.smoother.update(people, timeS), image, networks.pose.skeleton.joints);
}

function begin() {
  followed = { tracker: new Tracker(), smoother: new Smoother() };
}

const kinds = { load, find, follow, begin };

onmessage = async ({ data: { number, kind, ...given } }) => {
  try {
    postMessage({ number, answer: await kinds[kind](given) });
  } catch (error) {
    postMessage({ number, problem: { message: error.message || String(error), status: error.status } });
  }
};
