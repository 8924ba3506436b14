// A clip: its frames on the page, and people in them.

import { frameOf } from "./camera.js";

const stepS = 1 / 15; // between the frames that are looked at in the browser
const wholeSize = 100000; // pixels of a side: frames are not made smaller

// The file as a video, or null if the browser cannot play it.
export function openClip(file) {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.preload = "auto";
  return new Promise((done) => {
    video.onloadeddata = () => done(video.videoWidth ? video : null);
    video.onerror = () => done(null);
    video.src = URL.createObjectURL(file);
  });
}

export function closeClip(video) {
  if (!video) return;
  URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  video.load();
}

// The frame at a time, on a canvas of its own.
export async function frameAt(video, timeS) {
  const wanted = Math.min(timeS, Math.max(video.duration - 0.001, 0));
  if (Math.abs(video.currentTime - wanted) > 1e-6) {
    await new Promise((done) => {
      video.onseeked = done;
      video.currentTime = wanted;
    });
  }
  return frameOf(video, wholeSize);
}

// The people of frames of a clip, found by a finder in this browser: {canvas, answer}.
export async function* followClip(video, finder, flip) {
  if (!Number.isFinite(video.duration)) {
    throw new Error("The clip does not say how long it is. Convert it to MP4, or look on the server.");
  }
  const stream = await finder.stream(flip);
  const count = Math.max(1, Math.floor(video.duration / stepS));
  for (let index = 0; index < count; index++) {
    const timeS = index * stepS;
    const canvas = await frameAt(video, timeS + stepS / 2);
    const answer = await stream.send(canvas, timeS);
    yield { canvas, answer: { index, time_s: Math.round(timeS * 10000) / 10000, ...answer } };
  }
}
