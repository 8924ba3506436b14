// The two networks, run by ONNX Runtime Web. For the worker.

const most = 0.002; // that heatmaps of WebGPU may differ from those of WASM in the trial run

// engines: {wasm: {script, binary}, webgpu: the same or null}. content: bytes of the networks {pose, detector or null}.
// wanted: wasm, webgpu, or auto for the faster one. Gives {name, threads, run: {pose, detector}}.
export async function openEngine(engines, content, networks, threads, wanted = "auto") {
  const adapter = engines.webgpu && wanted !== "wasm" ? await gpuAdapter(wanted === "webgpu") : null;
  if (wanted === "webgpu" && !adapter) throw new Error("There is no WebGPU here. Use another browser, or WebAssembly.");
  const { script, binary } = adapter ? engines.webgpu : engines.wasm;
  const ort = await import(script);
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = { wasm: binary };
  ort.env.logLevel = "error";
  const wasm = await openRun(ort, content, "wasm");
  if (adapter) {
    const gpu = await trial(ort, content, networks, wasm, wanted === "auto").catch((error) => {
      if (wanted === "webgpu") throw error;
    });
    if (gpu) return { name: "WebGPU", threads, run: gpu };
  }
  return { name: "WebAssembly", threads, run: wasm };
}

// WebGPU's build of ONNX Runtime waits for the GPU by JSPI. A software adapter is slower than WebAssembly, and its trial
// run would take a minute, so it is taken only if it is wanted.
async function gpuAdapter(isWanted) {
  if (!globalThis.navigator?.gpu || !globalThis.WebAssembly.Suspending) return null;
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  return adapter?.info?.isFallbackAdapter && !isWanted ? null : adapter;
}

async function openRun(ort, content, provider) {
  const open = async (bytes) => ort.InferenceSession.create(bytes, { executionProviders: [provider] });
  const pose = await open(content.pose);
  const detector = content.detector && (await open(content.detector));
  const tensor = (pixels, shape) => new ort.Tensor("uint8", pixels, shape);
  return {
    async pose(crops, count, [high, wide]) {
      const found = await pose.run({ [pose.inputNames[0]]: tensor(crops, [count, high, wide, 3]) }, ["heatmaps"]);
      return found.heatmaps.data;
    },
    async detector(pixels, [high, wide]) {
      const found = await detector.run({ [detector.inputNames[0]]: tensor(pixels, [1, high, wide, 3]) });
      return { boxes: found.boxes.data, scores: found.scores.data };
    },
  };
}

// WebGPU, which must give for one crop what WASM gives; null if it has to be faster and is not.
async function trial(ort, content, networks, wasm, isRace) {
  const gpu = await openRun(ort, content, "webgpu");
  const [high, wide] = networks.pose.inputHw;
  const crop = Uint8Array.from({ length: high * wide * 3 }, (_, n) => 128 + 100 * Math.sin(n / 37) * Math.cos(n / 5000));
  const timed = async (run) => {
    if (isRace) await run.pose(crop, 1, [high, wide]); // the first run of an engine is slower
    const begin = performance.now();
    return { maps: await run.pose(crop, 1, [high, wide]), ms: performance.now() - begin };
  };
  const [one, other] = [await timed(wasm), await timed(gpu)];
  const off = one.maps.reduce((worst, value, n) => Math.max(worst, Math.abs(value - other.maps[n])), 0);
  if (!(off <= most)) throw new Error(`WebGPU differs from WebAssembly by ${off} here. Use WebAssembly.`);
  return isRace && other.ms >= one.ms ? null : gpu;
}
