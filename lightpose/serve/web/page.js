// The page: a picture or the camera in, skeletons and tables out.

import { limbsOf, NeedsToken, openStream, posesOf } from "/web/api.js";
import { draw, fillTables } from "/web/draw.js";

const $ = (id) => document.getElementById(id);
const longest = 640; // pixels of a camera's frame that is sent
const tableEveryMs = 1000; // a screen reader, and an eye, cannot follow thirty tables a second

let limbs = null;
let last = null; // the answer that is shown
let asked = 0; // the number of the newest question; older answers are dropped
let camera = null;

function say(text, wrong = false) {
  if ($("status").textContent !== text) $("status").textContent = text;
  $("status").classList.toggle("wrong", wrong);
}

function fail(error) {
  if (error instanceof NeedsToken) {
    $("ask-token").hidden = false;
    $("token").focus();
  }
  say(error.message, true);
}

async function known() {
  limbs ??= await limbsOf($("token").value);
  return limbs;
}

function show(picture, answer) {
  last = answer;
  draw($("canvas"), picture, answer.people, limbs);
  $("save-json").disabled = $("save-png").disabled = false;
}

// Nothing of the last picture stays beside what is said of the next one.
function clear() {
  last = null;
  $("canvas").width = $("canvas").height = 0;
  $("people").replaceChildren();
  $("save-json").disabled = $("save-png").disabled = true;
}

function told(people) {
  return people.length === 1 ? "1 person was found." : `${people.length} people were found.`;
}

async function look(file) {
  stopCamera();
  clear();
  const mine = ++asked;
  if (!file.type.startsWith("image/")) {
    say("This is no picture. Choose a JPEG or PNG file; clips are for programs, see the description below.", true);
    return;
  }
  say("Looking for people…");
  try {
    await known();
    const [picture, answer] = await Promise.all([
      createImageBitmap(file).catch(() => {
        throw new Error("This browser cannot show the picture. Save it as JPEG or PNG, then choose it again.");
      }),
      posesOf(file, $("token").value, $("flip").checked),
    ]);
    if (mine !== asked) return;
    show(picture, answer);
    fillTables($("people"), answer.people);
    say(answer.people.length ? told(answer.people) : "Nobody was found. Try a picture with larger people.");
  } catch (error) {
    if (mine === asked) fail(error);
  }
}

const refusals = {
  NotAllowedError: "The camera was refused. Allow it for this page in the browser, then start it again.",
  NotFoundError: "No camera was found. Plug one in, then start it again.",
  NotReadableError: "The camera is in use by another program. Close that, then start it again.",
};

async function startCamera() {
  const mine = ++asked;
  if (!navigator.mediaDevices?.getUserMedia) {
    say("Browsers give the camera only to pages at localhost or over https. Open this page at such an address.", true);
    return;
  }
  try {
    await known();
    const media = await navigator.mediaDevices.getUserMedia({ video: { width: longest }, audio: false });
    if (mine !== asked) {
      media.getTracks().forEach((track) => track.stop());
      return;
    }
    follow(media);
  } catch (error) {
    fail(refusals[error.name] ? new Error(refusals[error.name]) : error);
  }
}

async function follow(media) {
  const video = document.createElement("video");
  const sent = new Map(); // frames by number, until their answer comes
  const state = { media, video, socket: null, tableMs: 0, count: 0 };
  camera = state;
  $("camera").textContent = "Stop the camera";
  $("camera").setAttribute("aria-pressed", "true");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = media;
  media.getVideoTracks()[0].onended = () => {
    if (camera !== state) return;
    stopCamera();
    say("The camera has stopped. Look whether it is plugged in, then start it again.", true);
  };
  say("Starting the camera…");
  await video.play();
  state.socket = openStream(
    $("token").value,
    (answer) => {
      if (camera !== state) return;
      const picture = sent.get(answer.frame);
      for (const number of [...sent.keys()].filter((number) => number <= answer.frame)) sent.delete(number);
      if (answer.problem) say(answer.problem.detail, true);
      else if (picture) showFrame(state, picture, answer);
      sendFrame(state, sent);
    },
    (why) => {
      if (camera !== state) return;
      stopCamera();
      say(`The stream has ended: ${why}`, true);
    },
  );
  state.socket.onopen = () => sendFrame(state, sent);
}

function showFrame(state, picture, answer) {
  show(picture, answer);
  if (performance.now() - state.tableMs < tableEveryMs) return;
  state.tableMs = performance.now();
  fillTables($("people"), answer.people);
  say(answer.people.length ? told(answer.people) : "Nobody is in sight, or not for long enough yet.");
}

async function sendFrame(state, sent) {
  const { videoWidth, videoHeight } = state.video;
  const scale = Math.min(1, longest / Math.max(videoWidth, videoHeight));
  const picture = document.createElement("canvas");
  picture.width = Math.max(1, Math.round(videoWidth * scale));
  picture.height = Math.max(1, Math.round(videoHeight * scale));
  picture.getContext("2d").drawImage(state.video, 0, 0, picture.width, picture.height);
  const file = await new Promise((done) => picture.toBlob(done, "image/jpeg", 0.85));
  if (camera !== state || state.socket.readyState !== WebSocket.OPEN) return;
  sent.set(state.count++, picture);
  state.socket.send(file);
}

function stopCamera() {
  if (!camera) return;
  const { media, socket } = camera;
  camera = null;
  socket?.close();
  media.getTracks().forEach((track) => track.stop());
  $("camera").textContent = "Start the camera";
  $("camera").setAttribute("aria-pressed", "false");
  say("The camera is off.");
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

$("controls").onsubmit = (event) => event.preventDefault();
$("file").onchange = () => {
  if ($("file").files.length) look($("file").files[0]);
  $("file").value = "";
};
$("camera").onclick = () => (camera ? stopCamera() : startCamera());
$("save-json").onclick = () => save(new Blob([JSON.stringify(last, null, 1)], { type: "application/json" }), "poses.json");
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
