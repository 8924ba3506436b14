"""What Triton's own backend for ONNX files does, for the Triton of PyPI, which comes without it."""

import json
from pathlib import Path
from typing import Any

import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    """A backend in Python, as Triton asks for it."""

    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        return config

    def initialize(self, args: dict[str, str]) -> None:
        path = Path(args["model_repository"], args["model_version"], "model.onnx")
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        config = json.loads(args["model_config"])
        self.inputs, self.outputs = ([each["name"] for each in config[kind]] for kind in ("input", "output"))

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self.answer(request) for request in requests]

    def answer(self, request: Any) -> Any:
        given = {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
        wanted = [name for name in self.outputs if name in request.requested_output_names()]
        arrays = self.session.run(wanted, given)
        return triton.InferenceResponse([triton.Tensor(*pair) for pair in zip(wanted, arrays, strict=True)])
