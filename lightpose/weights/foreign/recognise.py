"""Which network a checkpoint holds, told from the names and shapes of its tensors alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lightpose.errors import WeightsError
from lightpose.weights.foreign.names import MMPOSE_PREFIX, plain_names

__all__ = ["LPN_AUTHORS", "MMPOSE", "POSE_HRNET", "POSE_RESNET", "Recognised", "recognise"]

Shapes = Mapping[str, tuple[int, ...]]

LPN_AUTHORS = "the LPN authors' code"
POSE_RESNET = "Microsoft's pose_resnet (SimpleBaseline)"
POSE_HRNET = "Microsoft's pose_hrnet"
MMPOSE = "MMPose"

_HRNET_WIDTHS = {32: "hrnet_w32", 48: "hrnet_w48"}

_LOOKS = (
    (r"^(incre_modules|downsamp_modules)\.", "an HRNet that classifies images, without heatmaps"),
    (r"^(fc|cls_head|classifier)\.", "a network that classifies images, without heatmaps"),
    (r"\.att\.fc\.", "an LPN with squeeze-and-excitation instead of global context"),
    (r"^(patch_embed|pos_embed|cls_token)", "a vision transformer"),
    (r"^final_layers\.", "HigherHRNet, which works without boxes"),
    (r"^(cls_x|cls_y|gau|mlp)\.", "a network of the RTMPose or SimCC kind, without heatmaps"),
    (r"^stem\.\d\.conv\.", "a network of MMPose other than its ResNet and HRNet"),
    (r"^(rpn_head|roi_heads|bbox_head)\.", "a detector of objects"),
)
"""Marks of networks that people may take for one of ours, and what they are."""


@dataclass(frozen=True)
class Recognised:
    """A network found in a checkpoint.

    origin: whose checkpoint it is. model, options: its row of the MODELS table. joints: how many heatmaps it gives.
    names: what its tensors are called without the prefixes of wrappers → what they are called in the file.
    """

    origin: str
    model: str
    options: dict[str, bool | int]
    joints: int
    names: dict[str, str]


def recognise(shapes: Shapes, path: object = "the checkpoint") -> Recognised:
    """Tell the network from its tensors' names and shapes; `path` is what an error calls the file.

    Raises WeightsError, with what it looks like, if it is none of those that can be imported.
    """
    names = plain_names(shapes)
    plain = {short: tuple(shapes[name]) for short, name in names.items()}
    for mark, what in _LOOKS:
        found = next((name for name in plain if re.search(mark, name)), None)
        if found:
            raise WeightsError(f"{path} looks like {what} ({names[found]}); lightpose has no such network")
    head = plain.get("final_layer.weight", ())
    options: dict[str, bool | int] = {}
    if len(head) == 4 and "stage4.0.branches.0.0.conv1.weight" in plain:
        model, origin = _hrnet(plain, path), POSE_HRNET
    elif len(head) == 4 and "layer4.0.conv1.weight" in plain and "deconv_layers.0.weight" in plain:
        model, options, origin = _resnet(plain, path)
    else:
        raise WeightsError(
            f"{path} is none of the networks that can be imported (the authors' LPN, pose_resnet, pose_hrnet, MMPose's "
            f"heatmap networks of ResNet-50 to 152 and HRNet); its tensors are {', '.join(list(shapes)[:3])}, …"
        )
    if any(MMPOSE_PREFIX.match(name.removeprefix("module.")) for name in shapes):
        origin = MMPOSE
    return Recognised(origin, model, options, head[0], names)


def _hrnet(plain: Shapes, path: object) -> str:
    width = (*plain["stage4.0.branches.0.0.conv1.weight"], 0)[0]
    if width not in _HRNET_WIDTHS:
        raise WeightsError(f"{path} is an HRNet-W{width}; lightpose has W32 and W48")
    return _HRNET_WIDTHS[width]


def _resnet(plain: Shapes, path: object) -> tuple[str, dict[str, bool | int], str]:
    """LPN or SimpleBaseline, which differ in their 3×3 convolutions; the depth is the number of blocks."""
    from lightpose.models.resnet import DEPTHS  # which needs torch, while graphs are looked at without it

    blocks = tuple(_count(plain, rf"layer{layer}\.(\d+)\.") for layer in (1, 2, 3, 4))
    depth = next((depth for depth, layers in DEPTHS.items() if layers == blocks), None)
    if depth is None or "layer1.0.conv3.weight" not in plain:
        raise WeightsError(
            f"{path} is a ResNet of {', '.join(map(str, blocks))} blocks; lightpose has ResNet-50, -101 and -152"
        )
    middle = plain.get("layer1.0.conv2.weight", ())
    if len(middle) == 4 and middle[1] == 1 and middle[0] > 1:
        return f"lpn{depth}", {"gc": "layer1.0.att.conv_mask.weight" in plain}, LPN_AUTHORS
    return f"simple{depth}", {}, POSE_RESNET


def _count(plain: Shapes, pattern: str) -> int:
    return len({found[1] for name in plain if (found := re.match(pattern, name))})
