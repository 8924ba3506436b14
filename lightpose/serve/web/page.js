// The page: an image, a clip or the camera in; skeletons and tables out.

import { NeedsToken, Server } from "./api.js";
import { closeCamera, frameOf, nextFrame, openCamera } from "./camera.js";
import { closeClip, followClip, frameAt, openClip } from "./clip.js";
import { $, progress, say, told } from "./dom.js";
import { draw } from "./draw.js";
import { Local } from "./local.js";
import { csvOf, jsonOf, save } from "./save.js";
import { fillTables } from "./tables.js";

const tableEveryMs = 1000; // a screen reader, and an eye, cannot follow thirty tables a second

const longestStepS = 0.5; // between frames: who is not seen for a second is forgotten, so a slow browser keeps nobody

let finder = null; // a Server or a Local: where people are looked for
let server = null;
let local = null;
let facts = null; // limbs and rules of angles
let answers = []; // what the downloads have
let asked = 0; // the number of the newest question; older answers are dropped
let camera = null;
let clip = null; // a video that the slider moves, and null answers for frames to come
let stopping = null; // ends a clip's request

function fail(error) {
  if (error.name === "AbortError") return;
  if (error instanceof NeedsToken) {
    $("ask-token").hidden = false;
    $("token").focus();
  }
  progress(1, 1);
  say(error.message, true);
}

// Nothing of the last image stays beside what is said of the next one.
function begin() {
  stopCamera();
  stopping?.abort();
  stopping = new AbortController();
  closeClip(clip);
  clip = null;
  answers = [];
  $("canvas").width = $("canvas").height = 0;
  $("people").replaceChildren();
  $("clip").hidden = true;
  progress(1, 1);
  allowSaving(false);
  return ++asked;
}

function allowSaving(isAllowed) {
  for (const kind of ["json", "csv", "png"]) $(`save-${kind}`).disabled = !isAllowed;
}

function show(image, answer) {
  draw($("canvas"), image, answer, facts.limbs);
  allowSaving(true);
}

async function look(file) {
  const mine = begin();
  const kind = file.type.split("/")[0];
  if (kind !== "image" && kind !== "video") {
    say("This is neither an image nor a clip. Choose a JPEG or PNG file, or an MP4 clip.", true);
    return;
  }
  try {
    say("Looking for people…");
    facts = await finder.facts();
    if (mine !== asked) return;
    if (kind === "image") await lookAtImage(file, mine);
    else await lookAtClip(file, mine);
  } catch (error) {
    if (mine === asked) fail(error);
  }
}

async function lookAtImage(file, mine) {
  const [image, answer] = await Promise.all([
    createImageBitmap(file).catch(() => {
      throw new Error("This browser cannot show the image. Save it as JPEG or PNG, then choose it again.");
    }),
    finder.poses(file, $("flip").checked),
  ]);
  if (mine !== asked) return;
  answers = [{ ...answer, image: file.name }];
  show(image, answer);
  fillTables($("people"), answer.people, facts.rules);
  say(answer.people.length ? told(answer.people) : "Nobody was found. Try an image with larger people.");
}

async function lookAtClip(file, mine) {
  const video = await openClip(file);
  if (mine !== asked) return closeClip(video);
  clip = video;
  if (!video && finder === local) {
    throw new Error("This browser cannot play the clip. Convert it to MP4 with H.264, or look on the server.");
  }
  let toldMs = -tableEveryMs;
  let failure = null; // what was found before it stays
  try {
    for await (const { canvas, answer } of framesOf(file, video)) {
      if (mine !== asked) return;
      answers.push({ ...answer, image: file.name });
      if (canvas) show(canvas, answer);
      if (video?.duration) progress(answer.time_s, video.duration);
      if (performance.now() - toldMs < tableEveryMs) continue;
      toldMs = performance.now();
      say(`Looking for people… ${answers.length} ${answers.length === 1 ? "frame is" : "frames are"} done.`);
    }
  } catch (error) {
    if (mine !== asked || !answers.length) throw error;
    failure = error;
  }
  if (!answers.length) throw new Error("No frame of the clip can be read. Choose another one.");
  progress(1, 1);
  $("clip").hidden = false;
  $("frame").max = answers.length - 1;
  $("frame").value = 0;
  await showFrameOfClip();
  const most = Math.max(...answers.map(({ people }) => people.length));
  const shown = video ? "" : " This browser cannot play the clip, so only the skeletons are shown.";
  if (failure) return say(`${answers.length} frames are done, and then the clip ended: ${failure.message}`, true);
  say(`${answers.length} frames are done, with up to ${most} ${most === 1 ? "person" : "people"} in one.${shown}`);
}

async function* framesOf(file, video) {
  if (finder === local) yield* followClip(video, finder, $("flip").checked);
  else for await (const answer of finder.clip(file, $("flip").checked, stopping.signal)) yield { answer };
}

async function showFrameOfClip() {
  const mine = asked;
  const number = Number($("frame").value);
  const answer = answers[number];
  const image = clip && (await frameAt(clip, answer.time_s + 0.001));
  if (mine !== asked || number !== Number($("frame").value)) return;
  $("frame").setAttribute("aria-valuetext", `frame ${number + 1} of ${answers.length}`);
  $("frame-time").textContent = `${answer.time_s.toFixed(2)} s`;
  show(image, answer);
  fillTables($("people"), answer.people, facts.rules);
}

async function startCamera() {
  const mine = begin();
  let stream = null;
  try {
    say("Starting the camera…");
    facts = await finder.facts();
    const opened = await openCamera();
    if (mine !== asked) return closeCamera(opened);
    camera = opened;
    $("camera").textContent = "Stop the camera";
    opened.media.getVideoTracks()[0].onended = () => {
      if (camera !== opened) return;
      stopCamera();
      say("The camera has stopped. Look whether it is plugged in, then start it again.", true);
    };
    stream = await finder.stream($("flip").checked);
    await follow(opened, stream);
  } catch (error) {
    if (mine === asked) {
      stopCamera();
      fail(error);
    }
  } finally {
    stream?.close();
  }
}

async function follow(opened, stream) {
  let tableMs = -tableEveryMs;
  let [timeS, lastMs] = [0, performance.now()];
  while (camera === opened) {
    const frame = frameOf(opened.video);
    timeS += Math.min((performance.now() - lastMs) / 1000, longestStepS);
    lastMs = performance.now();
    const answer = await stream.send(frame, timeS);
    if (camera !== opened) return;
    answers = [answer];
    show(frame, answer);
    if (performance.now() - tableMs >= tableEveryMs) {
      tableMs = performance.now();
      fillTables($("people"), answer.people, facts.rules);
      say(answer.people.length ? told(answer.people) : "Nobody is in sight, or not for long enough yet.");
    }
    await nextFrame(opened.video);
  }
}

function stopCamera() {
  if (!camera) return;
  closeCamera(camera);
  camera = null;
  asked++;
  $("camera").textContent = "Start the camera";
  say("The camera is off.");
}

// Where people are looked for: on the server or in this browser.
async function moveTo(place) {
  begin();
  const mine = asked;
  const isHere = place === "browser";
  finder = isHere ? local : server;
  $("where").textContent = isHere
    ? "Images stay in this browser."
    : "Images go to the server that sent you this page. It keeps none.";
  $("engine").textContent = "";
  if (!isHere) {
    say("Nothing is chosen yet.");
    return;
  }
  try {
    say("Loading the networks…");
    const { engine, threads } = await local.load();
    if (mine !== asked) return;
    const why = crossOriginIsolated ? "" : " More need a host that sends the headers COOP and COEP.";
    $("engine").textContent = `${engine}, ${threads === 1 ? "1 thread" : `${threads} threads`}.${why}`;
    say("Ready. Nothing is chosen yet.");
  } catch (error) {
    if (mine === asked) fail(error);
  }
  progress(1, 1);
}

function listen() {
  $("controls").onsubmit = (event) => event.preventDefault();
  $("file").onchange = () => {
    if ($("file").files.length) look($("file").files[0]);
    $("file").value = "";
  };
  $("camera").onclick = () => (camera ? stopCamera() : startCamera());
  for (const place of ["server", "browser"]) $(`on-${place}`).onchange = () => moveTo(place);
  $("frame").oninput = () => showFrameOfClip().catch(fail);
  $("save-json").onclick = () => save(new Blob([jsonOf(answers)], { type: "application/json" }), "poses.json");
  $("save-csv").onclick = () => save(new Blob([csvOf(answers)], { type: "text/csv" }), "poses.csv");
  $("save-png").onclick = () => $("canvas").toBlob((blob) => save(blob, "poses.png"), "image/png");
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) look(event.clipboardData.files[0]);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
  document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    if (event.dataTransfer.files.length) look(event.dataTransfer.files[0]);
  });
}

async function open() {
  const token = () => $("token").value;
  const site = await fetch("web/site.json").then((response) => response.json());
  server = new Server(token);
  local = new Local(site, token, ({ come, size }) => progress(come, size));
  for (const part of document.querySelectorAll(".of-server")) part.hidden = !site.api;
  $(site.api ? "on-server" : "on-browser").checked = true;
  listen();
  await moveTo(site.api ? "server" : "browser");
}

open().catch(() => say("The page came without its parts. Reload it.", true));
