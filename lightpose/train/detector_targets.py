"""What a person detector is trained to make small: TTFNet's two losses (Liu et al., AAAI 2020, Section 4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from lightpose.limits import check_factors
from lightpose.models.detector import Detection

__all__ = ["CentreTargets", "DetectorLossConfig", "centre_targets", "detector_loss", "generalised_iou"]

REACH = 0.54
"""Share of a box, along each side, that its Gaussian covers and where its distances are learned."""


@dataclass(frozen=True)
class DetectorLossConfig:
    """centre, box: factors of the focal loss of centres and of the loss 1 - GIoU of boxes."""

    centre: float = 1.0
    box: float = 5.0

    def __post_init__(self) -> None:
        check_factors({"loss.centre": self.centre, "loss.box": self.box})


@dataclass(frozen=True)
class CentreTargets:
    """heat: (N, 1, h, w), 1 at each person's centre, falling as a Gaussian. counted: (N, 1, h, w), 0 where unknown.

    boxes: (N, 4, h, w), whose centre is near. weights: (N, 1, h, w), what each of them counts.
    """

    heat: Tensor
    counted: Tensor
    boxes: Tensor
    weights: Tensor


def centre_targets(people: Tensor, ignored: Tensor, map_hw: tuple[int, int], stride: int) -> CentreTargets:
    """Targets of a batch. people: (N, B, 4), ignored: (N, I, 4), corners in input pixels; those without area are none.

    Where the Gaussians of two persons overlap, the place belongs to the smaller. What is ignored stays unknown, save
    under a Gaussian. A box's weights add up to the logarithm of its area in positions, and one.
    """
    height, width = map_hw
    sizes = people[..., 2:] - people[..., :2]
    area = sizes.prod(-1)
    area = torch.where(area > 0, area, torch.inf)
    area, order = area.sort(1)  # the smallest first, and fillers last
    people = people.gather(1, order[..., None].expand(-1, -1, 4))
    x, y = (
        _bell(people[..., axis], people[..., axis + 2], count, stride) for axis, count in enumerate((width, height))
    )
    bells = torch.where(area.isfinite()[..., None, None], y[..., None] * x[..., None, :], 0)  # (N, B, h, w)
    if not bells.shape[1]:
        bells = bells.new_zeros((len(bells), 1, height, width))
        people, area = people.new_zeros((len(bells), 1, 4)), area.new_full((len(bells), 1), torch.inf)
    numbers = torch.arange(bells.shape[1], device=bells.device)[:, None, None]
    owner = torch.where(bells > 0, numbers, bells.shape[1] - 1).amin(1, keepdim=True)  # (N, 1, h, w)
    mine = bells * (owner == numbers)
    share = (1 + (area / stride**2).log().clamp(min=0)) / mine.sum((2, 3)).clamp(min=1e-6)
    share = torch.where(area.isfinite(), share, 0)
    weights = (mine * share[..., None, None]).sum(1, keepdim=True)
    boxes = people.transpose(1, 2).gather(2, owner.flatten(2).expand(-1, 4, -1)).view(-1, 4, height, width)
    heat = bells.amax(1, keepdim=True)
    unknown = _covered(ignored, map_hw, stride) & (heat == 0)
    return CentreTargets(heat, (~unknown).float(), boxes, weights)


def _bell(low: Tensor, high: Tensor, count: int, stride: int) -> Tensor:
    """Along one axis, boxes from low to high (N, B) → Gaussians (N, B, count), 1 at the centre's position, cut off."""
    middle = ((low + high) / 2 / stride).floor().clamp(0, count - 1)[..., None]
    radius = (REACH / 2 * (high - low) / stride).floor().clamp(min=0)[..., None]
    away = torch.arange(count, device=low.device) - middle
    bell = torch.exp(-0.5 * (6 * away / (2 * radius + 1)) ** 2)
    return torch.where(away.abs() <= radius, bell, 0)


def _covered(boxes: Tensor, map_hw: tuple[int, int], stride: int) -> Tensor:
    """Positions whose middle is in one of the boxes (N, I, 4): (N, 1, h, w) bool."""
    y, x = ((torch.arange(count, device=boxes.device) + 0.5) * stride for count in map_hw)
    across = (boxes[..., 0, None] <= x) & (x < boxes[..., 2, None])
    down = (boxes[..., 1, None] <= y) & (y < boxes[..., 3, None])
    return (down.float().transpose(1, 2) @ across.float() > 0)[:, None]


def detector_loss(found: Detection, targets: CentreTargets, config: DetectorLossConfig) -> Tensor:
    """Focal loss of centres for each person, and 1 - GIoU of boxes for each weight; a scalar."""
    centres = (targets.heat == 1).float()
    likely, unlikely = functional.logsigmoid(found.logits), functional.logsigmoid(-found.logits)
    hit = centres * unlikely.exp() ** 2 * likely
    miss = (1 - targets.heat) ** 4 * likely.exp() ** 2 * unlikely * targets.counted
    centre = -(hit + miss).sum() / centres.sum().clamp(min=1)
    overlap = generalised_iou(found.boxes, targets.boxes)
    box = ((1 - overlap) * targets.weights).sum() / targets.weights.sum().clamp(min=1)
    return config.centre * centre + config.box * box


def generalised_iou(one: Tensor, other: Tensor) -> Tensor:
    """GIoU of boxes (N, 4, h, w) at each position, (N, 1, h, w) in (-1, 1] (Rezatofighi et al., CVPR 2019, Alg. 1)."""
    areas = [(box[:, 2:] - box[:, :2]).clamp(min=0).prod(1, keepdim=True) for box in (one, other)]
    inner = torch.minimum(one[:, 2:], other[:, 2:]) - torch.maximum(one[:, :2], other[:, :2])
    outer = torch.maximum(one[:, 2:], other[:, 2:]) - torch.minimum(one[:, :2], other[:, :2])
    both = inner.clamp(min=0).prod(1, keepdim=True)
    either = areas[0] + areas[1] - both
    hull = outer.prod(1, keepdim=True).clamp(min=1e-6)
    return both / either.clamp(min=1e-6) - (hull - either) / hull
