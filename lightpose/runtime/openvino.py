"""The OpenVINO engine: graphs that lightpose exported, as ONNX or as OpenVINO's own files, int8 ones as well."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from lightpose.errors import ConfigError, MissingPackageError, WeightsError
from lightpose.io.files import written_aside
from lightpose.runtime import ModeName, OutputName, PrecisionName, check_crops, check_output
from lightpose.runtime.ir import BIN_KEY, check_bin, hash_bin, keep_float32
from lightpose.runtime.threads import choose_threads
from lightpose.types import SOURCE_KEY, SPEC_KEY, FloatArray, ImageArray, ModelSpec

try:
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.passes import ConstantFolding, Manager
except ImportError as error:
    raise MissingPackageError("openvino", "openvino") from error

__all__ = ["OpenVinoRuntime", "compile_graph", "fold_constants", "load_graph", "read_graph", "save_graph"]


class OpenVinoRuntime:
    """Runs an .onnx file, or an .xml file with its .bin beside it, with OpenVINO.

    The graph is compiled for any batch, and at the first batch of one for that: a tenth faster, or a quarter in
    bfloat16. threads: 0 for one on each usable core. mode: throughput splits a batch over as many requests as the
    device runs best side by side. bf16: compute in bfloat16 what is not in int8. device: OpenVINO's name of it; others
    than the CPU compute as they do best, mostly in float16. May be called from several threads. Raises WeightsError if
    the file is no such graph, ConfigError if it is in int8 for ONNX Runtime, the CPU has no bfloat16 or the device
    cannot run it, MissingPackageError without OpenVINO.
    """

    name = "openvino"

    def __init__(
        self,
        path: str | Path,
        threads: int = 0,
        mode: ModeName = "latency",
        bf16: bool = False,
        device: str = "CPU",
    ) -> None:
        self._made = (Path(path).absolute(), threads, mode, bf16, device)
        if bf16 and "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ConfigError("this CPU cannot compute in bfloat16; leave --precision bf16 out")
        self.path: Path | None = Path(path)
        self._lock = Lock()
        self._compile()

    def _compile(self) -> None:
        path, threads, mode, bf16, device = self._made
        graph, self.spec = read_graph(path)
        int8 = graph.has_rt_info([SOURCE_KEY])
        self.precision: PrecisionName = "int8" if int8 else "bf16" if bf16 else "float32"
        self._compiled, self._process = compile_graph(graph, threads, mode, bf16=bf16, device=device), os.getpid()
        self._single: Any = None
        self._queue = openvino.AsyncInferQueue(self._compiled) if mode == "throughput" else None

    def __reduce__(self) -> tuple[type[OpenVinoRuntime], tuple[Path, int, ModeName, bool, str]]:
        return OpenVinoRuntime, self._made  # a copy opens the file again, as a forked process does

    def heatmaps(self, crops: ImageArray) -> FloatArray:
        return self._run("heatmaps", crops)

    def keypoints(self, crops: ImageArray) -> FloatArray:
        """Keypoints (N, K, 3) as the graph itself decodes them: x, y in crop pixels, score."""
        return self._run("keypoints", crops)

    def _run(self, output: OutputName, crops: ImageArray) -> FloatArray:
        check_crops(crops, self.spec)
        if not len(crops):
            joints = len(self.spec.skeleton)
            return np.zeros((0, joints, *(self.spec.heatmap_hw if output == "heatmaps" else (3,))), np.float32)
        if self._process != os.getpid():
            self._inherited = (
                self._compiled,
                self._single,
                self._queue,
            )  # kept: closing them waits for threads that a fork lacks
            self._lock = Lock()
            self._compile()
        crops = np.ascontiguousarray(crops)
        with self._lock:
            run = self._at_once if self._queue is None else self._side_by_side
            try:
                found = run(output, crops)
            except RuntimeError as error:
                reason = str(error).strip().rpartition("\n")[2]
                raise WeightsError(f"{self._made[0]} fails when it is run on {crops.shape}: {reason}") from error
        return check_output(found, output, crops, self.spec)

    def _at_once(self, output: OutputName, crops: ImageArray) -> FloatArray:
        compiled = self._for_one() if len(crops) == 1 else self._compiled
        found: FloatArray = compiled(crops)[output]
        return found

    def _for_one(self) -> Any:
        """The graph made ready for a batch of one."""
        if self._single is None:
            path, threads, mode, bf16, device = self._made
            graph, spec = read_graph(path)
            graph.reshape([1, *spec.input_hw, 3])
            self._single = compile_graph(graph, threads, mode, bf16=bf16, device=device)
        return self._single

    def _side_by_side(self, output: OutputName, crops: ImageArray) -> FloatArray:
        queue: Any = self._queue
        parts = np.array_split(crops, min(len(queue), len(crops)))
        found: list[FloatArray] = [np.zeros(0, np.float32)] * len(parts)

        def keep(request: Any, place: int) -> None:
            found[place] = request.get_tensor(output).data.copy()

        queue.set_callback(keep)
        for place, part in enumerate(parts):
            queue.start_async(part, place)
        queue.wait_all()
        return np.concatenate(found)


def compile_graph(
    graph: Any,
    threads: int = 0,
    mode: ModeName = "latency",
    profile: bool = False,
    bf16: bool = False,
    device: str = "CPU",
) -> Any:
    """A graph made ready for a device, as openvino.CompiledModel.

    threads: of the CPU, 0 for one on each usable core. profile: note what each node takes. bf16: compute in bfloat16.
    device: OpenVINO's name of it. Raises ConfigError if another device than the CPU cannot run the graph.
    """
    settings = {"PERFORMANCE_HINT": mode.upper(), "PERF_COUNT": "YES" if profile else "NO"}
    if device != "CPU":
        try:
            return openvino.Core().compile_model(graph, device, settings)
        except RuntimeError as error:
            reason = str(error).strip().rpartition("\n")[2]
            raise ConfigError(f"openvino:{device} cannot run this network ({reason}); leave --device out") from error
    settings["INFERENCE_PRECISION_HINT"] = "bf16" if bf16 else "f32"  # unsaid, CPUs that have bfloat16 use it
    if count := choose_threads(threads):
        settings["INFERENCE_NUM_THREADS"] = str(count)
    return openvino.Core().compile_model(graph, "CPU", settings)


def load_graph(path: Path) -> Any:
    """An .onnx or .xml file of any kind as openvino.Model. Raises WeightsError if it is missing or damaged."""
    kind = "OpenVINO" if path.suffix == ".xml" else "ONNX"
    if kind == "OpenVINO" and not path.with_suffix(".bin").is_file():
        raise WeightsError(f"{path} needs {path.with_suffix('.bin').name} beside it; copy both files")
    try:
        frontend = FrontEndManager().load_by_framework("ir" if kind == "OpenVINO" else "onnx")
        return openvino.Model(frontend.convert(frontend.load(str(path))))
    except Exception as error:  # OpenVINO raises a kind of its own for each way a file can be damaged
        raise WeightsError(f"{path} is not a whole {kind} file ({type(error).__name__})") from error


def read_graph(path: str | Path) -> tuple[Any, ModelSpec]:
    """An exported graph as openvino.Model, and its spec.

    Raises WeightsError if the file is missing or is none, or if the .bin beside an .xml is not the one it came with;
    ConfigError if it is in int8 for ONNX Runtime.
    """
    path = Path(path)
    graph = load_graph(path)
    places = [place for place in ([SPEC_KEY], ["framework", SPEC_KEY]) if graph.has_rt_info(place)]
    names = {name for output in graph.outputs for name in output.get_names()}
    if not places or not {"heatmaps", "keypoints"} <= names:
        raise WeightsError(
            f"{path} does not say which model, joints and input it is for; export it with `lightpose export`"
        )
    if graph.has_rt_info(["framework", SOURCE_KEY]):
        raise ConfigError(
            f"{path} is in int8 for ONNX Runtime, and OpenVINO computes it wrongly; leave --engine openvino out, or "
            "make a file for OpenVINO: lightpose quantize with --out mine_int8.xml"
        )
    if graph.has_rt_info([BIN_KEY]):
        check_bin(path, _fact(graph, path, [BIN_KEY]))
    return graph, ModelSpec.from_json(_fact(graph, path, places[0]))


def _fact(graph: Any, path: Path, place: list[str]) -> str:
    """What stands at a place of a graph's rt_info. Raises WeightsError if it is no text."""
    try:
        return str(graph.get_rt_info(place).value)
    except UnicodeDecodeError as error:
        raise WeightsError(f"{path} has metadata that is no text in UTF-8; export it again") from error


def fold_constants(graph: Any) -> None:
    """Work out, in place, what in a float graph does not depend on its input, such as shapes of biases."""
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(graph)


def save_graph(graph: Any, spec: ModelSpec, path: str | Path) -> None:
    """Write a graph as OpenVINO's two files, path (.xml) and its .bin, the spec inside, whole or not at all."""
    path = Path(path)
    graph.set_rt_info(spec.to_json(), [SPEC_KEY])
    with written_aside(path.with_suffix(".bin"), path) as (_, aside):
        openvino.save_model(graph, aside, compress_to_fp16=False)
        graph.set_rt_info(hash_bin(aside), [BIN_KEY])
        openvino.save_model(graph, aside, compress_to_fp16=False)  # the same .bin, and the .xml that knows it
        if not any(node.get_type_name() == "FakeQuantize" for node in graph.get_ops()):
            keep_float32(aside)
