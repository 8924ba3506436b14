"""`lightpose evaluate-detector`: box AP of a person detector on a data set."""

from __future__ import annotations

from dataclasses import dataclass

from tyro.conf import Positional

from lightpose.cli.marks import Reads, ReadsNamed

__all__ = ["EvaluateDetector"]


@dataclass(frozen=True)
class EvaluateDetector:
    """Measure how well a detector's boxes fit people: COCO's box AP, and the share of people found.

    How much it costs the poses is what lightpose evaluate --detector tells.
    Example: lightpose evaluate-detector builtin --annotations instances_val2017.json --images val2017
    """

    detector: Positional[ReadsNamed]
    """`builtin`, or a detector's .onnx file."""
    annotations: Reads
    """COCO file with boxes of people, with keypoints or without."""
    images: Reads
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
        from lightpose.cli.console import counting_all
        from lightpose.evaluate import run_detector

        with counting_all() as progress:
            found = run_detector(
                self.detector,
                self.annotations,
                self.images,
                threshold=self.threshold,
                threads=self.threads,
                bootstrap=self.bootstrap,
                seed=self.seed,
                progress=progress,
            )
        print(found.to_json() if self.json else found.to_text())
        return 0
