"""Human keypoints in pictures, fast on ordinary CPUs."""

from lightpose.draw import draw_poses
from lightpose.errors import LightposeError
from lightpose.images import read_image
from lightpose.pipeline import PoseEstimator
from lightpose.skeletons import Skeleton
from lightpose.types import Boxes, Poses

__all__ = ["Boxes", "LightposeError", "PoseEstimator", "Poses", "Skeleton", "draw_poses", "read_image"]
__version__ = "0.1.0"
