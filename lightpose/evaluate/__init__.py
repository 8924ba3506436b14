"""Accuracy: COCO's OKS AP, the share of correct keypoints (PCK), confidence intervals, and the kinds of error.

from lightpose import evaluate
print(evaluate.run("lpn50", "person_keypoints_val2017.json", "val2017"))
"""

from lightpose.evaluate.detector import DetectorEvaluated, run_detector
from lightpose.evaluate.pose import Evaluated, run

__all__ = ["DetectorEvaluated", "Evaluated", "run", "run_detector"]
