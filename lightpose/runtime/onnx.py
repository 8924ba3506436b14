"""The ONNX Runtime engine: what a plain install uses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from lightpose.errors import ConfigError, ShapeError, WeightsError
from lightpose.types import SPEC_KEY, FloatArray, ImageArray, ModelSpec

__all__ = ["OnnxRuntime"]


class OnnxRuntime:
    """Runs a graph that lightpose exported, with ONNX Runtime on the CPU.

    threads: 0 for one on each physical core. Raises WeightsError if the file is no such graph.
    """

    name = "onnxruntime"

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        if threads < 0:
            raise ConfigError(f"threads must not be below 0, not {threads}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises a kind of its own for each way a file can be damaged
            raise WeightsError(f"{path} is not a whole ONNX file ({type(error).__name__})") from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        outputs = {output.name for output in self._session.get_outputs()}
        if SPEC_KEY not in metadata or not {"heatmaps", "keypoints"} <= outputs:
            raise WeightsError(
                f"{path} does not say which model, joints and input it is for; export it with `lightpose export`"
            )
        self.spec = ModelSpec.from_json(metadata[SPEC_KEY])
        self._input = self._session.get_inputs()[0].name

    def heatmaps(self, crops: ImageArray) -> FloatArray:
        return self._run("heatmaps", crops)

    def keypoints(self, crops: ImageArray) -> FloatArray:
        """Keypoints (N, K, 3) as the graph itself decodes them: x, y in crop pixels, score."""
        return self._run("keypoints", crops)

    def _run(self, output: str, crops: ImageArray) -> FloatArray:
        wanted = (*self.spec.input_hw, 3)
        if crops.shape[1:] != wanted or crops.dtype != np.uint8:
            raise ShapeError(f"crops must be uint8 of shape (N, {wanted[0]}, {wanted[1]}, 3); got {crops.shape}")
        result: FloatArray = self._session.run([output], {self._input: crops})[0]
        return result
