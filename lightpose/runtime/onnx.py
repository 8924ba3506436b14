"""The ONNX Runtime engine: what a plain install uses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import onnxruntime

from lightpose.errors import WeightsError
from lightpose.runtime import check_crops
from lightpose.runtime.threads import choose_threads
from lightpose.types import SPEC_KEY, FloatArray, ImageArray, ModelSpec

__all__ = ["OnnxRuntime", "open_session"]


def open_session(path: str | Path, threads: int = 0, profile: Path | None = None) -> Any:
    """Any ONNX file, ready to run on the CPU, as ONNX Runtime's InferenceSession.

    threads: 0 for one on each usable core. profile: beginning of the name of the file into which the session's
    `end_profiling` writes what each node took. Raises WeightsError if the file is missing or damaged.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = choose_threads(threads)  # its own default does not know a container's limits
    # else idle threads of one session keep the cores busy that the next one, or a reader of images, wants
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a kind of its own for each way a file can be damaged
        if strange := re.search(r"([\w.]+:\w+)\(-?\d+\) is not a registered function/op", str(error)):
            told = f"{path} needs {strange[1]}, which ONNX Runtime has not; export it for ONNX Runtime"
            raise WeightsError(told) from error
        raise WeightsError(f"{path} is not a whole ONNX file ({type(error).__name__})") from error


class OnnxRuntime:
    """Runs a graph that lightpose exported, with ONNX Runtime on the CPU.

    threads: 0 for one on each usable core. Raises WeightsError if the file is no such graph.
    """

    name = "onnxruntime"

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        self._session = open_session(path, threads)
        metadata = self._session.get_modelmeta().custom_metadata_map
        outputs = {output.name for output in self._session.get_outputs()}
        spec = ModelSpec.from_json(metadata[SPEC_KEY]) if SPEC_KEY in metadata else None  # which refuses a detector's
        if spec is None or not {"heatmaps", "keypoints"} <= outputs:
            raise WeightsError(
                f"{path} does not say which model, joints and input it is for; export it with `lightpose export`"
            )
        self.spec = spec
        self._input = self._session.get_inputs()[0].name

    def heatmaps(self, crops: ImageArray) -> FloatArray:
        return self._run("heatmaps", crops)

    def keypoints(self, crops: ImageArray) -> FloatArray:
        """Keypoints (N, K, 3) as the graph itself decodes them: x, y in crop pixels, score."""
        return self._run("keypoints", crops)

    def _run(self, output: str, crops: ImageArray) -> FloatArray:
        check_crops(crops, self.spec)
        result: FloatArray = self._session.run([output], {self._input: crops})[0]
        return result
