"""What our tensors are called in the checkpoints of Microsoft's code, from which all others took their names.

The LPN authors' code and MMPose name the parts of a network alike; MMPose puts `backbone.` before the network and
`head.` (1.x) or `keypoint_head.` (0.x) before its end, training on several GPUs `module.` before everything. Only the
numbers of layers and the words differ from ours: every tensor has the same shape and layout.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

__all__ = ["MMPOSE_PREFIX", "plain_names", "their_name"]

MMPOSE_PREFIX = re.compile(r"^(backbone|head|keypoint_head)\.")
_PARALLEL = re.compile(r"^(module\.)+")
_CONTEXT = re.compile(r"^(layer\d\.\d+)\.\w+\.(conv_mask|channel_add_conv)\.")


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Names without the prefixes of wrappers, as `their_name` gives them → the names as they are in the file.

    A global-context block is called `att`, whatever it is called there. Names that become one are left apart.
    """
    plain: dict[str, str] = {}
    for name in names:
        short = MMPOSE_PREFIX.sub("", _PARALLEL.sub("", name))
        short = _CONTEXT.sub(r"\1.att.\2.", short)
        plain[name if short in plain else short] = name
    return plain


def their_name(name: str) -> str:
    """What a tensor of an LPN, SimpleBaseline or HRNet of ours is called in a checkpoint, without prefixes."""
    for pattern, replacement in _STEPS:
        name = pattern.sub(replacement, name)
    return name


def _part(kind: str, number: int) -> str:
    """A convolution (0) or batch norm (1), counted from 1."""
    return f"{('conv', 'bn')[int(kind)]}{number}"


_STEPS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"^backbone\."), ""),
    (re.compile(r"^stem\.(\d)\.([01])\."), lambda m: f"{_part(m[2], int(m[1]) + 1)}."),  # HRNet: two convolutions
    (re.compile(r"^stem\.([01])\."), lambda m: f"{_part(m[1], 1)}."),  # ResNet, LPN: one
    (re.compile(r"^layers\.(\d)\."), lambda m: f"layer{int(m[1]) + 1}."),
    (re.compile(r"^transitions\.(\d)\."), lambda m: f"transition{int(m[1]) + 1}."),
    (re.compile(r"^stages\.(\d)\."), lambda m: f"stage{int(m[1]) + 2}."),
    (re.compile(r"\.fuse\."), ".fuse_layers."),
    (re.compile(r"\.branch\.([012])\.([01])\."), lambda m: f".{_part(m[2], int(m[1]) + 1)}."),
    (re.compile(r"\.branch\.3\.attention\."), ".att.conv_mask."),
    (re.compile(r"\.branch\.3\.transform\."), ".att.channel_add_conv."),
    (re.compile(r"\.shortcut\."), ".downsample."),
    (re.compile(r"^upsample\.(\d)\.(\d)\."), lambda m: f"deconv_layers.{6 * int(m[1]) + int(m[2])}."),
    (re.compile(r"^deconvs\."), "deconv_layers."),
    (re.compile(r"^head\."), "final_layer."),
)
"""Applied one after the other."""
