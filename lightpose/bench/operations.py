"""A graph's operations: their multiply-accumulates, and the parts of a network that they belong to."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["PARTS", "Operation", "parts_of", "product_macs"]

CONVOLUTIONS = ("Conv", "ConvTranspose")
PRODUCTS = ("MatMul", "Gemm")
LAYOUT = ("Concat", "Pad", "Reshape", "Resize", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")

PARTS = (
    "stem",
    "1×1 convolutions",
    "depthwise convolutions",
    "other convolutions",
    "global context",
    "upsampling",
    "head",
    "decode",
    "normalise, add, ReLU",
    "layout changes",
)
"""In this order in tables. stem: from the first convolution to where the network first forks. upsampling: transposed
convolutions, also where 2×2 depthwise ones stand for their phases, and what interleaves those; the 1×1 convolutions
that follow are among their like. head: the last convolutions before the heatmaps. decode: heatmaps to keypoints.
layout changes: those that the engine put in."""


@dataclass(frozen=True)
class Operation:
    """One operation of a graph on one crop.

    kind: in ONNX's words. before: names of the operations whose outputs it takes. shape: of its output. kernel: the
    weight's shape, of convolutions: (outputs, inputs of a group, h, w).
    """

    name: str
    kind: str
    before: tuple[str, ...]
    shape: tuple[int, ...]
    macs: int = 0
    kernel: tuple[int, ...] = ()
    groups: int = 1


def product_macs(first: Sequence[int], output: Sequence[int]) -> int:
    """Multiply-accumulates of a matrix product. first: shape of the first matrix, transposed or not."""
    inner = first[-1] if len(first) == 1 or len(output) == 1 else first[-2] * first[-1] // output[-2]
    return inner * math.prod(output)


def parts_of(operations: Sequence[Operation], heatmaps: str) -> dict[str, str]:
    """Which of PARTS each operation belongs to, by name.

    operations: each after those that it takes. heatmaps: the name of the operation that gives them.
    """
    known = {one.name: one for one in operations}
    after: dict[str, list[str]] = defaultdict(list)
    for one in operations:
        for name in one.before:
            after[name].append(one.name)
    before = {one.name: one.before for one in operations}
    network = _reach([heatmaps], before)
    convolutions = [one.name for one in operations if one.kind in CONVOLUTIONS and one.name in network]
    mapped = _reach(convolutions[:1], after)
    parts = {one.name: _part(one) if one.name in mapped else PARTS[-2] for one in operations}
    parts |= dict.fromkeys(_context([one for one in operations if one.name in mapped], after), "global context")
    parts |= dict.fromkeys(_line(convolutions[:1], after, network), "stem")
    parts |= dict.fromkeys(_heads(heatmaps, known), "head")
    return parts | {name: "decode" for name in known if name in _reach([heatmaps], after) and name != heatmaps}


def _part(operation: Operation) -> str:
    """By its kind alone."""
    if operation.kind == "ConvTranspose" or operation.kind in LAYOUT:
        return "upsampling"
    if operation.kind != "Conv":
        return "normalise, add, ReLU"
    outputs, inputs, *window = operation.kernel
    if 1 < operation.groups == outputs and inputs == 1:
        return "upsampling" if window == [2, 2] else "depthwise convolutions"
    return "1×1 convolutions" if window == [1, 1] else "other convolutions"


def _context(operations: Sequence[Operation], after: Mapping[str, Sequence[str]]) -> set[str]:
    """Matrix products and softmax, and what works on nothing but their results, up to where those join the maps."""
    spreading: set[str] = set()
    joined: set[str] = set()
    for one in operations:
        if one.kind in (*PRODUCTS, "Softmax") or (one.before and spreading.issuperset(one.before)):
            spreading.add(one.name)
        elif spreading.intersection(one.before):
            joined.add(one.name)
    context = spreading | joined
    for one in reversed(operations):  # maps flattened for nothing else
        if one.kind in LAYOUT and after[one.name] and context.issuperset(after[one.name]):
            context.add(one.name)
    return context


def _heads(heatmaps: str, known: Mapping[str, Operation]) -> set[str]:
    """The convolutions between which and the heatmaps there are no others."""
    heads, waiting, seen = set(), [heatmaps], {heatmaps}
    while waiting:
        one = known.get(waiting.pop())
        if one is None:
            continue
        if one.kind in CONVOLUTIONS:
            heads.add(one.name)
            continue
        waiting += [name for name in one.before if name not in seen]
        seen.update(one.before)
    return heads


def _line(start: Sequence[str], after: Mapping[str, Sequence[str]], within: Collection[str]) -> list[str]:
    """From a convolution on, as long as only one operation takes what the last one gives."""
    line = list(start)
    while line and len(following := [name for name in after[line[-1]] if name in within]) == 1:
        line += following
    return line


def _reach(start: Sequence[str], edges: Mapping[str, Sequence[str]]) -> set[str]:
    """All that can be reached, the start too."""
    reached, waiting = set(start), list(start)
    while waiting:
        new = [name for name in edges.get(waiting.pop(), ()) if name not in reached]
        reached.update(new)
        waiting += new
    return reached
