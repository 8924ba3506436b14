"""Asks a network that Triton or BentoML serves for the people of an image: lightpose finds them and cuts the crops.

python examples/serve/client.py triton http://127.0.0.1:8000 photo.jpg
python examples/serve/client.py bento http://127.0.0.1:3000 photo.jpg --model lpn50
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from lightpose import read_image
from lightpose.detect.open import open_detector
from lightpose.ops.geometry import cut_crops, invert, transform_points
from lightpose.types import FloatArray, ImageArray
from lightpose.weights import find_weights
from lightpose.weights.inspect import describe_weights


def main() -> None:
    """Print the joints of each person as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(ASK))
    parser.add_argument("url")
    parser.add_argument("image", type=Path)
    parser.add_argument("--model", default="lpn50", help="the weights that are served, by name or file")
    given = parser.parse_args()
    spec: Any = describe_weights(find_weights(given.model)).spec
    image = read_image(given.image)
    boxes = open_detector()(image)
    crops, matrices = cut_crops(image, boxes.xywh, spec.input_hw, spec.geometry, spec.padding)
    if not len(crops):
        return
    found = ASK[given.kind](given.url, spec.model, crops)
    points = transform_points(found[..., :2], invert(matrices))
    for person, scores in zip(points.tolist(), found[..., 2].tolist(), strict=True):
        named = zip(spec.skeleton.joints, person, scores, strict=True)
        print(json.dumps({joint: [round(x, 2), round(y, 2), round(score, 4)] for joint, (x, y), score in named}))


def ask_triton(url: str, model: str, crops: ImageArray) -> FloatArray:
    """Keypoints (N, K, 3) in crop pixels, by the Open Inference Protocol, version 2."""
    given = {"name": "crops", "shape": list(crops.shape), "datatype": "UINT8", "data": crops.ravel().tolist()}
    document = {"inputs": [given], "outputs": [{"name": "keypoints"}]}
    answer = httpx.post(f"{url}/v2/models/{model}/infer", json=document, timeout=60).raise_for_status().json()
    output = answer["outputs"][0]
    return np.array(output["data"], np.float32).reshape(output["shape"])


def ask_bento(url: str, _: str, crops: ImageArray) -> FloatArray:
    """The same, by the path that BentoML makes of the service's method."""
    answer = httpx.post(f"{url}/keypoints", json={"crops": crops.tolist()}, timeout=60).raise_for_status()
    return np.array(answer.json(), np.float32)


ASK = {"triton": ask_triton, "bento": ask_bento}

if __name__ == "__main__":
    main()
