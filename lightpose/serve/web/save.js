// Downloads: what was found as JSON, CSV and PNG.

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// One answer, or all of a clip's.
export function jsonOf(answers) {
  return JSON.stringify(answers.length === 1 ? answers[0] : answers, null, 1);
}

// One row for each joint of each person, as Poses.save has them; for a clip with the frame and its time.
export function csvOf(answers) {
  const isClip = answers.some(({ time_s: time }) => time !== undefined);
  const hasIds = answers.some(({ people }) => people.some(({ id }) => id !== undefined));
  const head = ["image", "person", "joint", "x", "y", "score", "person_score"];
  const rows = [[...(isClip ? ["frame", "time_s"] : []), ...head, ...(hasIds ? ["id"] : [])]];
  for (const answer of answers) {
    answer.people.forEach((person, number) => {
      for (const [joint, { x, y, score }] of Object.entries(person.keypoints)) {
        const place = isClip ? [answer.index ?? answer.frame, answer.time_s] : [];
        const row = [...place, answer.image, number, joint, x, y, score, person.score];
        rows.push(hasIds ? [...row, person.id] : row);
      }
    });
  }
  return rows.map((row) => row.map(cell).join(",") + "\n").join("");
}

function cell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
