// The parts of the page by name, and what it says.

export const $ = (id) => document.getElementById(id);

export function say(text, isWrong = false) {
  if ($("status").textContent !== text) $("status").textContent = text;
  $("status").classList.toggle("wrong", isWrong);
}

export function told(people) {
  return people.length === 1 ? "1 person was found." : `${people.length} people were found.`;
}

// A bar of what has come or is done; none at the end.
export function progress(done, whole) {
  $("progress").hidden = done >= whole;
  $("progress").max = whole;
  $("progress").value = done;
}
