// Frames of the camera, one after the other.

const longest = 640; // pixels of a frame that is looked at

const refusals = {
  NotAllowedError: "The camera was refused. Allow it for this page in the browser, then start it again.",
  NotFoundError: "No camera was found. Plug one in, then start it again.",
  NotReadableError: "The camera is in use by another program. Close that, then start it again.",
};

// An open camera: {media, video}.
export async function openCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("Browsers give the camera only to pages at localhost or over https. Open this page at such an address.");
  }
  const media = await navigator.mediaDevices.getUserMedia({ video: { width: longest }, audio: false }).catch((error) => {
    throw refusals[error.name] ? new Error(refusals[error.name]) : error;
  });
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = media;
  await video.play();
  return { media, video };
}

export function closeCamera({ media }) {
  media.getTracks().forEach((track) => track.stop());
}

// What a video shows now, on a canvas of its own.
export function frameOf(video, most = longest) {
  const { videoWidth, videoHeight } = video;
  const scale = Math.min(1, most / Math.max(videoWidth, videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(videoWidth * scale));
  canvas.height = Math.max(1, Math.round(videoHeight * scale));
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas;
}

// Until the video shows another frame.
export function nextFrame(video) {
  return new Promise((done) => {
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(done);
    else requestAnimationFrame(done);
  });
}
