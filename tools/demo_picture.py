"""Draw docs/demo.jpg, the bundled weights' answers on examples/photos side by side: python tools/demo_picture.py."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np

from lightpose import PoseEstimator
from lightpose.inference.folder import predict_images
from lightpose.io.files import write_aside
from lightpose.io.images import read_image
from lightpose.io.sources import find_images
from lightpose.types import ImageArray

ROOT = Path(__file__).parents[1]
SIDE = 400
"""Pixels of each photo's square."""


def square(path: Path) -> ImageArray:
    """The top square of an upright drawing, in the size of the demo."""
    image = read_image(path)
    cut = image[: image.shape[1]]
    return cv2.resize(cut, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def drawing() -> ImageArray:
    """The photos with their skeletons as `scripts/demo` draws them, in float32."""
    photos = find_images([str(ROOT / "examples/photos")])
    with tempfile.TemporaryDirectory() as out:
        predict_images(photos, PoseEstimator(flip=True, precision="float32"), Path(out))
        return np.hstack([square(path) for path in sorted(Path(out).iterdir()) if path.suffix in (".jpg", ".png")])


def main() -> None:
    """Write the file."""
    _, encoded = cv2.imencode(".jpg", drawing()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    write_aside(ROOT / "docs/demo.jpg", encoded.tobytes())


if __name__ == "__main__":
    main()
