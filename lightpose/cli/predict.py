"""`lightpose predict`: pictures in, keypoints and drawn pictures out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from lightpose.weights import DEFAULT, has_detector

__all__ = ["Predict"]

if TYPE_CHECKING:
    from lightpose.inference.folder import Results


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
    detector: str | None = None
    """What finds the people: builtin; whole (each picture is one person); an .onnx detector, lightpose's own or an
    export of YOLOX, YOLOv5 and later, RTMDet or torchvision; or a .json file of boxes, COCO detections or annotations.
    Not given: builtin, or whole in a copy of lightpose that brings no detector."""
    detector_threshold: float | None = None
    """Least score of a person's box, from 0 to 1: lower finds more people, and more who are none. The detector's own if
    not given; none for a file of boxes."""
    least_score: float | None = None
    """Least score of a person who was found, joints included, from 0 to 1; the detector's own if not given."""
    boxes: Path | None = None
    """The same as --detector with a .json file of boxes."""
    model: str = DEFAULT
    """Name of bundled weights, or a weights file (.onnx, .xml or .safetensors)."""
    draw: bool = True
    """Write the pictures with skeletons."""
    flip: bool = False
    """Average with the mirrored crop: a little more accurate, twice the work."""
    decoder: Literal["argmax", "quarter", "softargmax", "softargmax_quarter", "dark", "expected_oks"] | None = None
    """How heatmaps become points; the weights' own if not given."""
    padding: float | None = None
    """How much wider than a person's box the network looks, such as 1.25; the weights' own if not given."""
    engine: Literal["auto", "onnxruntime", "openvino", "torch"] = "auto"
    """What runs the network. auto: ONNX Runtime for .onnx, OpenVINO for .xml, PyTorch for .safetensors. OpenVINO runs
    .onnx too, and on some CPUs faster: try it."""
    threads: int = 0
    """Threads of the engine; 0 is one on each physical core that the process, or its container, may use."""
    mode: Literal["latency", "throughput"] = "latency"
    """OpenVINO only. latency: all cores on one batch of people; throughput: parts of it side by side."""

    def run(self) -> int:
        """0: all pictures done; 1: some could not be used; 2: none could."""
        from lightpose.cli.console import counting
        from lightpose.detect.box_file import read_boxes
        from lightpose.errors import ConfigError, ImageError
        from lightpose.inference.estimator import PoseEstimator
        from lightpose.inference.folder import predict_pictures
        from lightpose.io.files import check_folder
        from lightpose.io.sources import find_pictures, stdin_picture

        if not self.sources:
            raise ImageError("name at least one picture, folder or pattern; see lightpose predict --help")
        if self.boxes is not None and self.detector is not None:
            raise ConfigError("people come from a detector or from a file of boxes: give --detector or --boxes")
        check_folder(self.out)
        pictures = find_pictures((source for source in self.sources if source != "-"), self.out)
        if "-" in self.sources:
            pictures.append(stdin_picture(sys.stdin.buffer.read()))
        detector = self.detector if self.boxes is None else read_boxes(self.boxes)
        estimator = PoseEstimator(
            self.model,
            detector,
            detector_threshold=self.detector_threshold,
            least_score=self.least_score,
            flip=self.flip,
            decoder=self.decoder,
            padding=self.padding,
            threads=self.threads,
            engine=self.engine,
            mode=self.mode,
        )
        with counting("pictures", len(pictures)) as advance:
            results = predict_pictures(pictures, estimator, self.out, self.draw, advance)
        _print_results(results, self.out, self.draw, whole_unasked=detector is None and not has_detector())
        return (1 if results.failed else 0) if results.found else 2


def _print_results(results: Results, out: Path, drawn: bool, whole_unasked: bool) -> None:
    """What was found, and where it was written; what failed on standard error."""
    for path, reason in results.failed:
        print(f"lightpose: {reason if str(path) in reason else f'{path}: {reason}'}", file=sys.stderr)
    if not results.found:
        return
    if whole_unasked:
        print("No --detector and no --boxes given: each picture was taken whole, as one person.")
    nobody = "no person boxed" if results.about["boxes"] == "given" else "nobody found"
    for one in results.found:
        if not len(one.poses):
            print(f"{one.name}: {nobody}")
    if results.about["boxes"] == "given" and not results.people:
        print("No box fits any picture: rows go by file_name, or by image_id, the picture's name or number.")
    print(f"pictures: {len(results.found)}, people: {results.people}, failed: {len(results.failed)}")
    print(f"written to {out}: keypoints.json, poses.json" + (", drawn pictures" if drawn else ""))
