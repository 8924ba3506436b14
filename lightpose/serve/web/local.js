// Looks for people in this browser, by a worker.

import { NeedsToken } from "./api.js";

const mostThreads = 4;

export class Local {
  #worker = null;
  #waiting = new Map(); // {done, failed} by number of the message
  #count = 0;
  #loaded = null;

  // site: what site.json says. told: called with {come, size} in bytes while the networks load.
  constructor(site, token, told) {
    Object.assign(this, { site, token, told });
  }

  // Facts of the engine and the networks. The first call loads them.
  load() {
    this.#loaded ??= this.#open().catch((error) => {
      this.#loaded = null;
      this.#worker?.terminate();
      throw error;
    });
    return this.#loaded;
  }

  async #open() {
    if (!this.site.engines) {
      throw new Error("This copy of lightpose lacks the files for the browser. Look on the server, or run scripts/web.");
    }
    this.#worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#took(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      for (const { failed } of this.#waiting.values()) failed(new Error(lost));
      this.#waiting.clear();
    };
    const threads = crossOriginIsolated ? Math.min(mostThreads, navigator.hardwareConcurrency || 1) : 1;
    return this.#ask("load", { site: this.site, base: document.baseURI, token: this.token(), threads });
  }

  async facts() {
    const { networks } = await this.load();
    return { limbs: networks.pose.skeleton.limbs, rules: networks.angles };
  }

  async poses(file, flip) {
    await this.load();
    return this.#ask("find", { source: file, flip });
  }

  // Follows people from frame to frame.
  async stream(flip) {
    await this.load();
    await this.#ask("begin", {});
    return {
      send: async (canvas, timeS) => {
        const source = await createImageBitmap(canvas);
        return this.#ask("follow", { source, timeS, flip }, [source]);
      },
      close: () => {},
    };
  }

  #ask(kind, given, moved = []) {
    const number = this.#count++;
    return new Promise((done, failed) => {
      this.#waiting.set(number, { done, failed });
      this.#worker.postMessage({ number, kind, ...given }, moved);
    });
  }

  #took({ number, answer, problem, progress }) {
    if (progress) {
      this.told(progress);
      return;
    }
    const { done, failed } = this.#waiting.get(number);
    this.#waiting.delete(number);
    if (!problem) done(answer);
    else failed(problem.status === 401 ? new NeedsToken(problem.message) : new Error(problem.message));
  }
}

const lost = "The networks cannot be run in this browser. Reload the page, use another browser, or look on the server.";
