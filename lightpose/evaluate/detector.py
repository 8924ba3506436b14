"""How good a person detector is on a data set: the whole of it, in one call."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from lightpose.data.people import read_people
from lightpose.detect import BoxFunction, Detector, as_detector
from lightpose.detect.open import open_detector
from lightpose.errors import ConfigError
from lightpose.evaluate.boxes import BoxIntervals, BoxScores, bootstrap_boxes, score_boxes
from lightpose.evaluate.detections import find_people
from lightpose.evaluate.pose import Progress, check_draws
from lightpose.evaluate.scores import require_library
from lightpose.results import Boxes

__all__ = ["DetectorEvaluated", "run_detector"]

TITLES = {
    "ap": "AP", "ap50": "AP50", "ap75": "AP75",
    "ap_small": "AP small", "ap_medium": "AP medium", "ap_large": "AP large", "recall": "recall@0.5",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class DetectorEvaluated:
    """What a detector found in a data set, and how good that is.

    detector, data: what was measured, on which file. boxes: found, by image id. people: how many are labelled.
    """

    detector: str
    data: Path
    boxes: dict[int, Boxes]
    people: int
    scores: BoxScores
    intervals: BoxIntervals | None

    def to_json(self) -> str:
        """One json object."""
        document = {"detector": self.detector, "data": str(self.data), **dataclasses.asdict(self.scores)}
        if self.intervals is not None:
            pairs = dataclasses.asdict(self.intervals)
            document["intervals"] = {name: list(pair.values()) for name, pair in pairs.items()}
        return json.dumps(document)

    def __str__(self) -> str:
        return self.to_text()

    def to_text(self) -> str:
        """Figures in percent, each with its interval where there is one, and a line on what they are of."""
        bounds = {} if self.intervals is None else dataclasses.asdict(self.intervals)
        parts = []
        for name, value in dataclasses.asdict(self.scores).items():
            shown = f"{TITLES[name]} {100 * value:.1f}" if value >= 0 else f"{TITLES[name]} unknown"
            if name in bounds:
                shown += f" [{100 * bounds[name]['low']:.1f}, {100 * bounds[name]['high']:.1f}]"
            parts.append(shown)
        made = f"{self.detector} on {self.data}: {len(self.boxes)} images, {self.people} people"
        return f"{', '.join(parts)}\n{made}"


def run_detector(
    detector: str | Path | Detector | BoxFunction,
    annotations: str | Path,
    images: str | Path,
    *,
    threshold: float = 0.01,
    threads: int = 0,
    bootstrap: int = 0,
    seed: int = 0,
    progress: Progress = lambda *_: None,
) -> DetectorEvaluated:
    """Measure how well a detector's boxes fit people: COCO's box AP, and the share of people found.

    detector: `builtin`, an .onnx file, or a function. annotations: a COCO file with boxes of people. threshold: least
    score of a box; AP wants nearly all. bootstrap: draws for 95 % intervals, 0 for none; seed: of those.

        print(evaluate.run_detector("builtin", "instances_val2017.json", "val2017"))
    """
    check_draws(bootstrap, seed)
    require_library()
    source, named = read_people(annotations, images), isinstance(detector, str | Path)
    find = open_detector(detector, threshold, threads) if isinstance(detector, str | Path) else as_detector(detector)
    if find.given:
        raise ConfigError(f"{detector} is a file of boxes; give a detector, builtin or an .onnx file")
    total = len(source.document["images"])
    found = find_people(source, find, lambda done: progress("images", done, total))
    return DetectorEvaluated(
        str(detector) if named else find.name,
        Path(annotations),
        found,
        sum(not row.get("iscrowd") for row in source.rows()),
        score_boxes(source, found),
        bootstrap_boxes(source, found, bootstrap, seed) if bootstrap else None,
    )
