"""`lightpose evaluate`: OKS AP of weights on a labelled set."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lightpose.weights import DEFAULT


@dataclass(frozen=True)
class Evaluate:
    """Measure OKS AP and PCK of weights on a COCO keypoint file, with its own (given) boxes.

    Example: lightpose evaluate --annotations person_keypoints_val2017.json --images val2017
    """

    annotations: Path
    """COCO keypoint file; joints are matched by name."""
    images: Path
    """Folder of its pictures."""
    model: str = DEFAULT
    """Name of bundled weights, or a weights file (.onnx or .safetensors)."""
    flip: bool = True
    """Average with the mirrored crop, as the paper does."""
    decoder: Literal["argmax", "quarter", "softargmax", "softargmax_quarter", "dark"] | None = None
    """How heatmaps become points; the weights' own if not given."""
    beta: float | None = None
    """β of the soft-argmax; the weights' own (160) if not given."""
    json: bool = False
    """Print one json object instead of a table."""

    def run(self) -> int:
        """0 once the figures are printed."""
        from lightpose.cli.console import counting
        from lightpose.data.coco import read_coco
        from lightpose.evaluate.coco import evaluate_given_boxes
        from lightpose.pipeline import open_runtime
        from lightpose.predict import PredictOptions

        source = read_coco(self.annotations, self.images)
        runtime = open_runtime(self.model)
        options = PredictOptions(self.flip, self.decoder, self.beta, batch=32)
        persons = len(source.persons())
        with counting("persons", persons) as advance:
            result = evaluate_given_boxes(source, runtime, options, advance)
        spec = runtime.spec
        how = {
            "model": self.model,
            "data": str(self.annotations),
            "persons": persons,
            "boxes": "given",
            "flip": self.flip,
            "decoder": self.decoder or spec.decoder,
            "beta": self.beta or spec.beta,
            "geometry": spec.geometry,
            "input": f"{spec.input_hw[0]}x{spec.input_hw[1]}",
            "engine": runtime.name,
        }
        scores = {name: round(value, 6) for name, value in asdict(result.scores).items()}
        scores["pck_0.1"] = round(result.pck(0.1), 6)
        if self.json:
            print(json.dumps({**how, **scores}))
        else:
            print("  ".join(f"{name}={value}" for name, value in how.items()))
            print(
                "  ".join(f"{name} {100 * value:.1f}" if value >= 0 else f"{name} -" for name, value in scores.items())
            )
        return 0
