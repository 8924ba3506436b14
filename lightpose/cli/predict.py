"""`lightpose predict`: images in, keypoints and drawn images out."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from lightpose.cli.marks import Fills, Reads, ReadsNamed
from lightpose.types import DecoderName
from lightpose.weights import DEFAULT, has_detector

__all__ = ["Predict"]

if TYPE_CHECKING:
    from lightpose.detect import Detector
    from lightpose.inference.folder import FolderResults


@dataclass(frozen=True)
class Predict:
    """Find the keypoints of the people in images.

    Writes keypoints.json (COCO keypoint results), poses.json (the same, readable) and the images with skeletons drawn
    on them. Example: lightpose predict photo.jpg --out poses
    """

    sources: Annotated[Positional[tuple[ReadsNamed, ...]], arg(metavar="SOURCE...")]
    """Image files, folders with all below them, glob patterns in quotes, or - for an image on standard input. Of a
    folder, files with an image's suffix are read, and others that begin like an image; hidden ones are not."""
    out: Fills = Path("poses")
    """Folder for the results; made if need be."""
    detector: ReadsNamed | None = None
    """What finds the people: builtin; whole (each image is one person); an .onnx detector, lightpose's own or an
    export of YOLOX, YOLOv5 and later, RTMDet or torchvision; or a .json file of boxes, COCO detections or annotations.
    Not given: builtin, or whole in a copy of lightpose that brings no detector."""
    detector_threshold: float | None = None
    """Least score of a person's box, from 0 to 1: lower finds more people, and more who are none. The detector's own if
    not given; none for a file of boxes."""
    min_person_score: float | None = None
    """Least score of a person who was found, joints included, from 0 to 1; the detector's own if not given."""
    boxes: Reads | None = None
    """The same as --detector with a .json file of boxes."""
    model: ReadsNamed = DEFAULT
    """Name of bundled weights, or a weights file (.onnx, .xml or .safetensors)."""
    draw: bool = True
    """Write the images with skeletons."""
    flip: bool = False
    """Average with the mirrored crop: a little more accurate, twice the work."""
    decoder: DecoderName | None = None
    """How heatmaps become points; the weights' own if not given."""
    padding: float | None = None
    """How much wider than a person's box the network looks, such as 1.25; the weights' own if not given."""
    engine: Literal["auto", "onnxruntime", "openvino", "torch"] = "auto"
    """What runs the network. auto: ONNX Runtime for .onnx, OpenVINO for .xml, PyTorch for .safetensors. OpenVINO runs
    .onnx too, and on some CPUs faster: try it."""
    precision: Literal["auto", "float32", "bf16", "int8"] = "auto"
    """auto: int8 where this CPU is made for it and the network has an int8 file whose loss was measured, else float32.
    bf16 is OpenVINO's."""
    threads: int = 0
    """Threads of the engine; 0 is one on each physical core that the process, or its container, may use."""
    mode: Literal["latency", "throughput"] = "latency"
    """OpenVINO only. latency: all cores on one batch of people; throughput: parts of it side by side."""

    max_pixels: int | None = None
    """Refuse larger images before they are decoded, and files of four times as many bytes. Not given: what the
    environment variable LIGHTPOSE_MAX_PIXELS says, or 120 million."""
    restart: bool = False
    """Begin anew, where an interrupted run has left part of its results in --out."""

    def run(self) -> int:
        """0: all images done; 1: some could not be used; 2: none could."""
        from lightpose.cli.console import counting
        from lightpose.detect.box_file import read_boxes
        from lightpose.errors import ConfigError, ImageError
        from lightpose.inference.estimator import PoseEstimator
        from lightpose.inference.folder import predict_images
        from lightpose.io.files import check_folder
        from lightpose.io.images import MAX_PIXELS_SETTING, max_bytes
        from lightpose.io.sources import find_images, stdin_image

        if not self.sources:
            raise ImageError("name at least one image, folder or pattern; see lightpose predict --help")
        if self.boxes is not None and self.detector is not None:
            raise ConfigError("people come from a detector or from a file of boxes: give --detector or --boxes")
        if self.max_pixels is not None:
            os.environ[MAX_PIXELS_SETTING] = str(self.max_pixels)
        most = max_bytes()
        check_folder(self.out)
        images = find_images((source for source in self.sources if source != "-"), self.out)
        if "-" in self.sources:
            images.append(stdin_image(sys.stdin.buffer.read(most + 1)))
        detector: str | Detector | None = self.detector if self.boxes is None else read_boxes(self.boxes)
        estimator = PoseEstimator(
            self.model,
            detector,
            detector_threshold=self.detector_threshold,
            min_person_score=self.min_person_score,
            flip=self.flip,
            decoder=self.decoder,
            padding=self.padding,
            threads=self.threads,
            engine=self.engine,
            mode=self.mode,
            precision=self.precision,
        )
        with counting("images", len(images)) as advance:
            results = predict_images(images, estimator, self.out, self.draw, self.restart, advance)
        _print_results(results, self.out, self.draw, whole_unasked=detector is None and not has_detector())
        return (1 if results.failed else 0) if results.images else 2


def _print_results(results: FolderResults, out: Path, drawn: bool, whole_unasked: bool) -> None:
    """What was found, and where it was written; what failed on standard error."""
    for path, reason in results.failed:
        print(f"lightpose: {reason if str(path) in reason else f'{path}: {reason}'}", file=sys.stderr)
    if not results.images:
        return
    if whole_unasked:
        print("No --detector and no --boxes given: each image was taken whole, as one person.")
    nobody = "no person boxed" if results.about["boxes"] == "given" else "nobody found"
    for name in results.nobody:
        print(f"{name}: {nobody}")
    if results.about["boxes"] == "given" and not results.people:
        print("No box fits any image: rows go by file_name, or by image_id, the image's name or number.")
    if results.resumed:
        print(f"{results.resumed} images were done already by a run that was interrupted; --restart does them anew.")
    print(f"images: {results.images}, people: {results.people}, failed: {len(results.failed)}")
    print(f"written to {out}: keypoints.json, poses.json" + (", drawn images" if drawn else ""))
