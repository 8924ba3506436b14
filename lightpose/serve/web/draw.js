// Skeletons on a canvas.

export const sure = 0.2; // joints that score less are not drawn
const colors = { left: "#ff8a1e", right: "#28aaff", middle: "#3cdc5a" };

function sideOf(joint) {
  return joint.startsWith("left_") ? "left" : joint.startsWith("right_") ? "right" : "middle";
}

function isSeen(point) {
  return point && point.x !== null && point.score >= sure;
}

// image: what to draw on; null for none that the browser can show.
export function draw(canvas, image, answer, limbs) {
  const context = canvas.getContext("2d");
  canvas.width = image?.width ?? answer.width;
  canvas.height = image?.height ?? answer.height;
  if (image) context.drawImage(image, 0, 0);
  for (const person of answer.people) drawPerson(context, person, limbs);
}

function drawPerson(context, person, limbs) {
  const size = Math.max(person.box[2], person.box[3]);
  const width = Math.min(12, Math.max(1.5, size / 90));
  context.lineWidth = width;
  context.lineCap = "round";
  for (const [a, b] of limbs) {
    const [from, to] = [person.keypoints[a], person.keypoints[b]];
    if (!isSeen(from) || !isSeen(to)) continue;
    context.strokeStyle = colors[sideOf(a) === sideOf(b) ? sideOf(a) : "middle"];
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    context.stroke();
  }
  for (const [joint, point] of Object.entries(person.keypoints)) {
    if (!isSeen(point)) continue;
    context.beginPath();
    context.arc(point.x, point.y, width + 1, 0, 2 * Math.PI);
    context.fillStyle = colors[sideOf(joint)];
    context.fill();
    context.lineWidth = 1;
    context.strokeStyle = "#141414";
    context.stroke();
  }
  if (person.id === undefined) return;
  const high = Math.max(14, size / 12);
  const [x, y] = [person.box[0] + person.box[2] / 2, Math.max(high, person.box[1])];
  context.font = `bold ${high}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.lineWidth = 3;
  context.strokeStyle = "#141414";
  context.fillStyle = "#fff";
  context.strokeText(person.id, x, y);
  context.fillText(person.id, x, y);
}
