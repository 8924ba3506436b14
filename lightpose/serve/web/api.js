// Asks the server that the page came from. What goes wrong is an Error whose message says what to do.

export class NeedsToken extends Error {}

const silent = "The server does not answer. Look whether lightpose serve is running, then try again.";

export class Server {
  #facts = null;

  // token: a function that gives what the user has entered.
  constructor(token) {
    this.token = token;
  }

  async #ask(path, options = {}) {
    const token = this.token();
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch (error) {
      throw error.name === "AbortError" ? error : new Error(silent);
    }
    if (response.ok) return response;
    if (response.status === 401) throw new NeedsToken("This server wants its token. Enter it, then try again.");
    const problem = await response.json().catch(() => ({}));
    throw new Error(problem.detail ?? `The server answered with status ${response.status}. Try again.`);
  }

  async load() {
    await this.facts();
    return null;
  }

  // Which joints to join by lines, and the rules of the angles.
  async facts() {
    const { pose } = (this.#facts ??= await this.#ask("v1/models").then((response) => response.json()));
    return { limbs: pose.skeleton.limbs, rules: pose.angles };
  }

  async poses(file, flip) {
    const response = await this.#ask(`v1/poses?flip=${flip}`, { method: "POST", body: file });
    return response.json();
  }

  // The people of each frame of a clip, as they come.
  async *clip(file, flip, signal) {
    const options = { method: "POST", body: file, signal };
    const response = await this.#ask(`v1/videos?smooth=one_euro&flip=${flip}`, options);
    let text = "";
    const decoder = new TextDecoder();
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read().catch((error) => {
        throw error.name === "AbortError" ? error : new Error(silent);
      });
      text += done ? decoder.decode() : decoder.decode(value, { stream: true });
      const lines = text.split("\n");
      text = lines.pop();
      for (const line of lines) {
        const answer = JSON.parse(line);
        if (answer.problem) throw new Error(answer.problem.detail);
        yield answer;
      }
      if (done) return;
    }
  }

  // Follows people from frame to frame, over a WebSocket.
  stream(flip) {
    const token = this.token();
    const address = new URL(`v1/stream?flip=${flip}`, document.baseURI);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address, token ? ["lightpose", `token.${token}`] : []);
    let waiting = null; // for the answer to the frame that was sent
    socket.onmessage = ({ data }) => {
      const answer = JSON.parse(data);
      if (answer.problem) waiting?.failed(new Error(answer.problem.detail));
      else waiting?.done(answer);
    };
    const send = async (canvas) => {
      const file = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85));
      return new Promise((done, failed) => {
        waiting = { done, failed };
        if (socket.readyState === WebSocket.OPEN) socket.send(file);
        else failed(new Error(silent));
      });
    };
    return new Promise((done, failed) => {
      socket.onopen = () => done({ send, close: () => socket.close() });
      socket.onclose = ({ reason }) => {
        const error = new Error(reason ? `The stream has ended: ${reason}.` : silent);
        failed(error);
        waiting?.failed(error);
      };
    });
  }
}
