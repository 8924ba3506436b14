"""The exported network as a BentoML service: crops of people in, their keypoints out.

    pip install bentoml onnxruntime
    LIGHTPOSE_ONNX=lpn50.onnx bentoml serve bento_service:Keypoints --host 127.0.0.1

It needs no lightpose. BentoML puts crops of several requests together.
"""

from __future__ import annotations

import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1)
class Keypoints:
    """One session of ONNX Runtime, on the file that the environment variable LIGHTPOSE_ONNX names."""

    def __init__(self) -> None:
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(os.environ["LIGHTPOSE_ONNX"], providers=providers)

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=8)  # type: ignore[misc, untyped-decorator, unused-ignore]
    def keypoints(self, crops: np.ndarray) -> np.ndarray:  # type: ignore[type-arg, unused-ignore]
        """Crops (N, 256, 192, 3), RGB from 0 to 255. Gives (N, 17, 3): x and y in pixels of the crop, and the score."""
        found: np.ndarray = self._session.run(["keypoints"], {"crops": crops.astype(np.uint8)})[0]  # type: ignore[type-arg, unused-ignore]
        return found
