"""Human keypoints in images, fast on ordinary CPUs."""

import os

from lightpose.errors import LightposeError
from lightpose.inference.estimator import PoseEstimator
from lightpose.io.images import read_image
from lightpose.results import Boxes, Poses, draw_poses
from lightpose.skeletons import Skeleton
from lightpose.types import Frame

__all__ = ["Boxes", "Frame", "LightposeError", "PoseEstimator", "Poses", "Skeleton", "draw_poses", "read_image"]
__version__ = "0.1.0"

# ONNX Runtime and NNCF report their use to their makers unless these, which they read when they are loaded, forbid it
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("NNCF_CI", "1")
