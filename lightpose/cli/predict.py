"""`lightpose predict`: pictures in, keypoints and drawn pictures out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from lightpose.weights import DEFAULT


@dataclass(frozen=True)
class Predict:
    """Find the keypoints of the people in pictures.

    Writes keypoints.json (COCO keypoint results), poses.json (the same, readable) and the pictures with skeletons drawn
    on them. Example: lightpose predict photo.jpg --out poses
    """

    sources: Annotated[Positional[tuple[str, ...]], arg(metavar="SOURCE...")]
    """Picture files, folders, glob patterns in quotes, or - for a picture on standard input."""
    out: Path = Path("poses")
    """Folder for the results; made if need be."""
    boxes: Path | None = None
    """Json file of people's boxes, COCO detections or annotations. Without it each picture is one person, whole."""
    model: str = DEFAULT
    """Name of bundled weights, or a weights file (.onnx or .safetensors)."""
    draw: bool = True
    """Write the pictures with skeletons."""
    flip: bool = False
    """Average with the mirrored crop: a little more accurate, twice the work."""
    decoder: Literal["argmax", "quarter", "softargmax", "softargmax_quarter", "dark"] | None = None
    """How heatmaps become points; the weights' own if not given."""
    threads: int = 0
    """Threads of the engine; 0 is one on each physical core."""

    def run(self) -> int:
        """0: all pictures done; 1: some could not be used; 2: none could."""
        from lightpose.cli.console import counting
        from lightpose.detect.coco_json import read_boxes
        from lightpose.errors import ImageError
        from lightpose.folder import find_pictures, predict_pictures, stdin_picture
        from lightpose.pipeline import PoseEstimator

        if not self.sources:
            raise ImageError("name at least one picture, folder or pattern; see lightpose predict --help")
        boxes = None if self.boxes is None else read_boxes(self.boxes)
        pictures = find_pictures((source for source in self.sources if source != "-"), self.out)
        if "-" in self.sources:
            pictures.append(stdin_picture(sys.stdin.buffer.read()))
        estimator = PoseEstimator(self.model, flip=self.flip, decoder=self.decoder, threads=self.threads)
        with counting("pictures", len(pictures)) as advance:
            results = predict_pictures(pictures, estimator, boxes, self.out, self.draw, advance)
        for path, reason in results.failed:
            print(f"lightpose: {reason if str(path) in reason else f'{path}: {reason}'}", file=sys.stderr)
        if not results.pictures:
            return 2
        if boxes is None:
            print("No --boxes given: each picture was taken whole, as one person.")
        for picture in results.pictures:
            if not picture["people"]:
                print(f"{picture['picture']}: no person boxed")
        print(f"pictures: {len(results.pictures)}, people: {results.people}, failed: {len(results.failed)}")
        written = "keypoints.json, poses.json" + (", drawn pictures" if self.draw else "")
        print(f"written to {self.out}: {written}")
        return 1 if results.failed else 0
