"""`lightpose evaluate-detector`: box AP of a person detector on a data set."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from lightpose.errors import ConfigError

__all__ = ["EvaluateDetector"]

if TYPE_CHECKING:
    from lightpose.evaluate.boxes import BoxIntervals, BoxScores

TITLES = {
    "ap": "AP", "ap50": "AP50", "ap75": "AP75",
    "ap_small": "AP small", "ap_medium": "AP medium", "ap_large": "AP large", "recall": "recall@0.5",
}  # fmt: skip


@dataclass(frozen=True)
class EvaluateDetector:
    """Measure how well a detector's boxes fit people: COCO's box AP, and the share of people found.

    How much it costs the poses is what lightpose evaluate --detector tells.
    Example: lightpose evaluate-detector builtin --annotations instances_val2017.json --images val2017
    """

    detector: Positional[str]
    """`builtin`, or a detector's .onnx file."""
    annotations: Path
    """COCO file with boxes of people, with keypoints or without."""
    images: Path
    """Folder of its pictures."""
    threshold: float = 0.01
    """Pass over boxes that score less; AP wants nearly all of them."""
    threads: int = 0
    """Threads of the engine; 0 is one on each physical core."""
    bootstrap: int = 0
    """Draws for 95 % intervals of AP, AP50, AP75 and recall; 1000 is usual, 0 for none."""
    seed: int = 0
    """Of those draws."""
    json: bool = False
    """Print one json object instead of text."""

    def run(self) -> int:
        """0 once the figures are printed."""
        from lightpose.cli.console import counting
        from lightpose.data.people import read_people
        from lightpose.detect.open import open_detector
        from lightpose.evaluate.boxes import bootstrap_boxes, score_boxes
        from lightpose.evaluate.detections import find_people
        from lightpose.evaluate.scores import require_library

        if self.bootstrap < 0 or self.seed < 0:
            raise ConfigError("bootstrap and seed must be whole numbers from 0 on; 0 draws give no intervals")
        require_library()
        source = read_people(self.annotations, self.images)
        detector = open_detector(self.detector, self.threshold, self.threads)
        if detector.given:
            raise ConfigError(f"{self.detector} is a file of boxes; give a detector, builtin or an .onnx file")
        with counting("pictures", len(source.document["images"])) as advance:
            found = find_people(source, detector, advance)
        scores = score_boxes(source, found)
        spread = bootstrap_boxes(source, found, self.bootstrap, self.seed) if self.bootstrap else None
        people = sum(not row.get("iscrowd") for row in source.rows())
        print(self._json(scores, spread) if self.json else _text(scores, spread))
        if not self.json:
            print(f"{self.detector} on {self.annotations}: {len(found)} pictures, {people} people")
        return 0

    def _json(self, scores: BoxScores, spread: BoxIntervals | None) -> str:
        document = {"detector": self.detector, "data": str(self.annotations), **dataclasses.asdict(scores)}
        if spread is not None:
            document["intervals"] = {name: list(pair.values()) for name, pair in dataclasses.asdict(spread).items()}
        return json.dumps(document)


def _text(scores: BoxScores, spread: BoxIntervals | None) -> str:
    """Figures in percent, each with its interval where there is one."""
    bounds = {} if spread is None else dataclasses.asdict(spread)
    parts = []
    for name, value in dataclasses.asdict(scores).items():
        shown = f"{TITLES[name]} {100 * value:.1f}" if value >= 0 else f"{TITLES[name]} unknown"
        if name in bounds:
            shown += f" [{100 * bounds[name]['low']:.1f}, {100 * bounds[name]['high']:.1f}]"
        parts.append(shown)
    return ", ".join(parts)
