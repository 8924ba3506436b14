"""Person box → crop and back, as affine maps. The one place that knows the MSRA and UDP conventions.

Both conventions widen the box to W:H, the crop's aspect ratio, and enlarge it by a padding around its centre. They
differ in where that region lands. MSRA (Xiao et al., SimpleBaseline) scales it by pixel counts and puts the box centre
on W/2, H/2, half a pixel off the crop's middle; its heatmap pixel (u, v) stands for crop point (stride·u, stride·v).
UDP (Huang et al., The Devil is in the Details) puts the region's edges on the outer pixels, W-1 and H-1 apart, so that
nothing is biased. As in its authors' code and MMPose's, the two axes then differ in scale by a thousandth or so.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightpose.errors import BoxesError, ShapeError
from lightpose.types import PADDING, FloatArray, GeometryName, ImageArray

__all__ = [
    "clip_boxes",
    "crop_matrices",
    "crop_regions",
    "crop_span",
    "cut_crops",
    "heatmap_scale",
    "invert",
    "region_matrices",
    "transform_points",
    "warp",
]

WARP_SIDE = 2**15 - 2
"""OpenCV 4 warps no image with a longer side."""


def clip_boxes(boxes_xywh: ArrayLike, image_hw: tuple[int, int]) -> FloatArray:
    """Clip boxes to [0, w-1] × [0, h-1], as the COCO protocol of SimpleBaseline does before cropping.

    boxes_xywh: (N, 4). Returns (N, 4) float32. A box right of or below the image ends with no width or height; one that
    begins left of or above it is moved to its edge with its width and height, as there.
    """
    boxes = np.array(boxes_xywh, dtype=np.float32).reshape(-1, 4)
    limit = np.array([image_hw[1] - 1, image_hw[0] - 1], dtype=np.float32)
    first = np.clip(boxes[:, :2], 0, limit)
    last = np.clip(np.maximum(boxes[:, :2], 0) + np.maximum(boxes[:, 2:] - 1, 0), first, limit)
    return np.concatenate([first, last - first], axis=1)


def crop_regions(
    boxes_xywh: ArrayLike, input_hw: tuple[int, int], padding: float = PADDING
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre and extent of the image region that each box is cropped to, the same under both conventions.

    boxes_xywh: (N, 4). Returns centres (N, 2) xy and sizes (N, 2) width, height, in image pixels, of aspect input_hw.
    Raises BoxesError if a box is not finite or has no area.
    """
    boxes = np.asarray(boxes_xywh, dtype=np.float64).reshape(-1, 4)
    if not np.isfinite(boxes).all() or (boxes[:, 2:] <= 0).any():
        raise BoxesError("every box needs finite numbers and a width and height above 0")
    aspect = input_hw[1] / input_hw[0]
    width = np.maximum(boxes[:, 2], boxes[:, 3] * aspect) * padding
    return boxes[:, :2] + boxes[:, 2:] / 2, np.stack([width, width / aspect], axis=1)


def crop_span(input_hw: tuple[int, int], geometry: GeometryName) -> tuple[float, float]:
    """Width and height of a crop in crop pixels, as the convention measures them."""
    less = 1 if geometry == "udp" else 0
    return float(input_hw[1] - less), float(input_hw[0] - less)


def region_matrices(
    centers: ArrayLike,
    sizes: ArrayLike,
    input_hw: tuple[int, int],
    geometry: GeometryName,
    rotation_deg: ArrayLike = 0.0,
) -> NDArray[np.float64]:
    """Affine maps from image to crop: the region's centre goes to the crop's, its sides to the crop's sides.

    centers: (N, 2) xy; sizes: (N, 2) width, height, of aspect input_hw; rotation_deg: (N,) or a scalar, turns the
    image's content counter-clockwise in the crop as seen on a screen (y down). Returns (N, 2, 3).
    """
    center, size = np.asarray(centers, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    span_w, span_h = crop_span(input_hw, geometry)
    angle = np.deg2rad(np.broadcast_to(np.asarray(rotation_deg, dtype=np.float64), len(center)))
    scale = span_w / size[:, 0]
    taller = (span_h / input_hw[0]) / (span_w / input_hw[1])  # 1 under MSRA
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1) * taller], axis=1)
    shift = np.array([span_w / 2, span_h / 2]) - np.einsum("nij,nj->ni", linear, center)
    return np.concatenate([linear, shift[:, :, None]], axis=2)


def crop_matrices(
    boxes_xywh: ArrayLike, input_hw: tuple[int, int], geometry: GeometryName, padding: float = PADDING
) -> NDArray[np.float64]:
    """Affine maps (N, 2, 3) from image pixels to crop pixels for (N, 4) person boxes."""
    centers, sizes = crop_regions(boxes_xywh, input_hw, padding)
    return region_matrices(centers, sizes, input_hw, geometry)


def invert(matrices: ArrayLike) -> NDArray[np.float64]:
    """Inverse of affine maps (..., 2, 3), in the same form."""
    full = np.asarray(matrices, dtype=np.float64)
    linear = np.linalg.inv(full[..., :2])
    return np.concatenate([linear, -linear @ full[..., 2:]], axis=-1)


def transform_points(points: ArrayLike, matrices: ArrayLike) -> FloatArray:
    """Map points (N, K, 2) xy through affine maps (N, 2, 3). Returns (N, K, 2) float32."""
    xy, full = np.asarray(points, dtype=np.float64), np.asarray(matrices, dtype=np.float64)
    if xy.ndim != 3 or xy.shape[2] != 2 or full.shape != (len(xy), 2, 3):
        raise ShapeError(f"points (N, K, 2) need matrices (N, 2, 3); got {xy.shape} and {full.shape}")
    return (xy @ full[:, :, :2].transpose(0, 2, 1) + full[:, None, :, 2]).astype(np.float32)


def heatmap_scale(
    input_hw: tuple[int, int], heatmap_hw: tuple[int, int], geometry: GeometryName
) -> tuple[float, float]:
    """How many crop pixels one heatmap pixel is, along x and y: W/w under MSRA, (W-1)/(w-1) under UDP."""
    (crop_w, crop_h), (map_w, map_h) = crop_span(input_hw, geometry), crop_span(heatmap_hw, geometry)
    return crop_w / map_w, crop_h / map_h


def warp(image: ImageArray, matrices: ArrayLike, input_hw: tuple[int, int]) -> ImageArray:
    """Cut crops out of one image: bilinear, black outside.

    image: (H, W, 3). matrices: (N, 2, 3) image → crop. Returns (N, input_h, input_w, 3).
    """
    full = np.asarray(matrices, dtype=np.float64).reshape(-1, 2, 3)
    height, width = input_hw
    crops = np.empty((len(full), height, width, image.shape[2]), dtype=image.dtype)
    for crop, matrix in zip(crops, full, strict=True):
        seen, moved = (image, matrix) if max(image.shape) <= WARP_SIDE else _seen(image, matrix, input_hw)
        cv2.warpAffine(seen, moved, (width, height), dst=crop, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return crops


def cut_crops(
    image: ImageArray,
    boxes_xywh: ArrayLike,
    input_hw: tuple[int, int],
    geometry: GeometryName,
    padding: float = PADDING,
) -> tuple[ImageArray, NDArray[np.float64]]:
    """Cut the boxed people out of one image.

    image: (H, W, 3). boxes_xywh: (N, 4). Returns crops (N, input_h, input_w, 3) and the maps (N, 2, 3) from image to
    crop pixels. Raises BoxesError if a box is not finite or has no area; where it lies, Boxes.check_inside checks.
    """
    matrices = crop_matrices(boxes_xywh, input_hw, geometry, padding)
    return warp(image, matrices, input_hw), matrices


def _seen(
    image: ImageArray, matrix: NDArray[np.float64], input_hw: tuple[int, int]
) -> tuple[ImageArray, NDArray[np.float64]]:
    """The part of an image that a crop shows, thinned out if that is too large too, and its map to the crop."""
    height, width = input_hw
    corners = transform_points([[[0, 0], [width, 0], [0, height], [width, height]]], invert(matrix)[None])[0]
    limit = np.array(image.shape[1::-1])
    low = np.clip(np.floor(corners.min(0)) - 1, 0, limit - 1).astype(int)
    high = np.clip(np.ceil(corners.max(0)) + 2, low + 1, limit).astype(int)
    step = 1 + int((high - low).max()) // WARP_SIDE
    linear, shift = matrix[:, :2], matrix[:, 2:]
    part = image[low[1] : high[1] : step, low[0] : high[0] : step]
    return part, np.concatenate([linear * step, shift + linear @ low[:, None]], axis=1)
