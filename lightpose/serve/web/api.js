// Asks the server that the page came from. What goes wrong is an Error whose message says what to do.

export class NeedsToken extends Error {}

const silent = "The server does not answer. Look whether lightpose serve is running, then try again.";

async function ask(path, token, options = {}) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Error(silent);
  }
  const answer = await response.json().catch(() => ({ detail: `The server answered with status ${response.status}.` }));
  if (response.status === 401) throw new NeedsToken("This server wants its token. Enter it, then try again.");
  if (!response.ok) throw new Error(answer.detail);
  return answer;
}

export async function limbsOf(token) {
  return (await ask("/v1/models", token)).pose.skeleton.limbs;
}

export function posesOf(file, token, flip) {
  return ask(`/v1/poses?flip=${flip}`, token, { method: "POST", body: file });
}

// A stream of frames. `answered` gets each answer, `ended` a sentence once it is over.
export function openStream(token, answered, ended) {
  const place = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/stream`;
  const socket = new WebSocket(place, token ? ["lightpose", `token.${token}`] : []);
  socket.onmessage = (message) => answered(JSON.parse(message.data));
  socket.onclose = (event) => ended(event.reason || silent);
  return socket;
}
