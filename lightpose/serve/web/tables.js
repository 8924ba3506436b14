// What was found as tables: the text of the image.

import { anglesOf } from "./angles.js";
import { sure } from "./draw.js";

export function fillTables(place, people, rules) {
  place.replaceChildren(...people.map((person, number) => sectionOf(person, number, rules)));
}

function sectionOf(person, number, rules) {
  const section = document.createElement("section");
  const title = document.createElement("h2");
  const name = person.id === undefined ? `Person ${number + 1}` : `Person with id ${person.id}`;
  title.textContent = `${name}, score ${person.score.toFixed(2)}`;
  const joints = Object.entries(person.keypoints).map(([joint, { x, y, score }]) => [joint, x, y, score]);
  const seen = Object.entries(person.keypoints).map(([joint, { x, y, score }]) => [
    joint,
    score >= sure ? { x, y } : { x: null, y: null },
  ]);
  const angles = anglesOf(Object.fromEntries(seen), rules).map(([angle, degrees]) => [
    angle,
    degrees === null ? null : Math.round(degrees * 10) / 10,
  ]);
  section.append(
    title,
    tableOf(`Joints of ${name.toLowerCase()}`, ["joint", "x in pixels", "y in pixels", "score"], joints),
    ...(angles.length ? [tableOf(`Angles of ${name.toLowerCase()}`, ["angle", "degrees"], angles)] : []),
  );
  return section;
}

function tableOf(caption, titles, rows) {
  const table = document.createElement("table");
  table.createCaption().textContent = caption;
  const head = table.createTHead().insertRow();
  for (const title of titles) head.append(header(title, "col"));
  const body = table.createTBody();
  for (const [name, ...values] of rows) {
    const row = body.insertRow();
    row.append(header(name.replaceAll("_", " "), "row"));
    for (const value of values) {
      const cell = row.insertCell();
      cell.className = "number";
      cell.textContent = value ?? "–";
    }
  }
  return table;
}

function header(text, scope) {
  const cell = document.createElement("th");
  cell.scope = scope;
  cell.textContent = text;
  return cell;
}
