"""Figures 1 to 3 of the paper: the network with its true shapes, its blocks, and the learning rate of the plan."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightpose.evaluate.plot import check_plot
from lightpose.io.files import write_aside

__all__ = ["BLOCKS", "Block", "Stage", "draw_blocks", "draw_learning_rate", "draw_network", "network_stages"]

if TYPE_CHECKING:
    from lightpose.models.lpn import LPN

INK = "#343a40"
COLORS = {
    "plain": "#f1f3f5",
    "pixels": "#dee2e6",
    "convolution": "#a9cce3",
    "depthwise": "#7fb3a6",
    "context": "#e9c46a",
    "upsampling": "#f4a261",
    "heatmaps": "#e07a5f",
}
STEP, BOX_HEIGHT, BOX_WIDTH = 1.05, 0.56, 2.5
"""Of the flow charts: from box to box, and a box's size."""


@dataclass(frozen=True)
class Stage:
    """A part of the network: what it does, what it is of, and the shape (channels, rows, columns) that it gives."""

    label: str
    color: str
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Block:
    """A flow chart, from input to output: boxes as (text, colour), and what is written under it.

    shortcut: whether the input is added at the end; `(+)` is drawn there. rectified: whether ReLU follows.
    """

    title: str
    start: str
    boxes: tuple[tuple[str, str], ...]
    caption: str
    rectified: bool = True
    sides: tuple[str, ...] = ()
    """Shapes between the boxes, from the input's on; empty for none."""
    again: int | None = None
    """A box that the input enters as well."""


LIGHTWEIGHT = (
    ("1×1 conv, M", "convolution"),
    ("3×3 depthwise conv, M", "depthwise"),
    ("1×1 conv, M", "convolution"),
)
BLOCKS = (
    Block(
        "(a) Standard bottleneck",
        "N = 4·M channels",
        (("1×1 conv, M", "convolution"), ("3×3 conv, M", "convolution"), ("1×1 conv, N", "convolution")),
        "17·M² weights",
    ),
    Block("(b) Lightweight bottleneck", "M channels", LIGHTWEIGHT, "2·M² + 9·M weights"),
    Block("(c) Lightweight, with GC", "M channels", (*LIGHTWEIGHT, ("GC block", "context")), "and those of (d)"),
    Block(
        "(d) Global context (GC) block",
        "C×H×W",
        (
            ("1×1 conv, softmax: H·W weights", "convolution"),
            ("weighted sum over positions", "context"),
            ("1×1 conv, C/16 (at least 16)", "convolution"),
            ("LayerNorm, ReLU", "plain"),
            ("1×1 conv, C", "convolution"),
        ),
        "one vector, added at every position",
        rectified=False,
        sides=("", "1×H×W", "C×1×1", "", "", "C×1×1"),
        again=1,
    ),
)
"""Figure 2. Batch norm follows a convolution of (a) to (c), ReLU all but the last; shortcuts as at stride 1."""


def network_stages(network: LPN, input_hw: tuple[int, int] = (256, 192)) -> list[Stage]:
    """The parts of a network, with the shapes that they give in a forward pass of an image of that size."""
    shapes: dict[Any, tuple[int, int, int]] = {}
    parts = [network.stem, *network.layers, *network.upsample, network.head]
    hooks = [part.register_forward_hook(lambda part, _, out: shapes.update({part: tuple(out.shape[1:])}))
             for part in parts]  # fmt: skip
    training = network.training
    try:
        network.eval()(next(network.parameters()).new_zeros(1, 3, *input_hw))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    layers = [
        (f"layer{number}\n{len(list(layer.children()))} blocks", "depthwise")
        for number, layer in enumerate(network.layers, 1)
    ]
    ups = [(f"GD{number}\n+ 1×1 conv", "upsampling") for number, _ in enumerate(network.upsample, 1)]
    labels = [("7×7 conv\n+ max-pool", "convolution"), *layers, *ups, ("1×1 conv:\nheatmaps", "heatmaps")]
    stages = [Stage(*about, shapes[part]) for about, part in zip(labels, parts, strict=True)]
    return [Stage("image", "pixels", (3, *input_hw)), *stages]


def draw_network(name: str, stages: Sequence[Stage], path: str | Path) -> None:
    """Figure 1: a box for each stage, its height the map's, its width by the channels. Raises as `check_plot` does."""
    figure = check_plot(path)(figsize=(12.5, 4.6), layout="constrained")
    axes = _canvas(figure.subplots())
    x, most = 0.0, max(_height(stage) for stage in stages)
    for number, stage in enumerate(stages):
        width, height = 0.14 * math.log2(stage.shape[0] + 1), _height(stage)
        _cuboid(axes, x, -height / 2, width, height, COLORS[stage.color])
        middle = x + width / 2
        axes.text(middle, most / 2 + 0.75, stage.label, ha="center", va="bottom", fontsize=10.5, color=INK)
        shape = "×".join(map(str, stage.shape))
        axes.text(middle, -most / 2 - 0.2, shape, ha="center", va="top", fontsize=10.5, color=INK)
        x += width + 0.12 * height + 0.75
        if number < len(stages) - 1:
            _arrow(axes, (x - 0.67, 0), (x - 0.08, 0))
    axes.set(xlim=(-0.5, x - 0.3), ylim=(-most / 2 - 1.2, most / 2 + 1.7))
    axes.text(x / 2 - 0.4, -most / 2 - 0.75, "channels × rows × columns; GD: group deconvolution, 4×4, stride 2",
              ha="center", va="top", fontsize=10.5, color=INK)  # fmt: skip
    axes.set_title(f"Figure 1. {name}: the network and the shapes that its stages give", color=INK)
    _write(figure, path)


def draw_blocks(path: str | Path) -> None:
    """Figure 2: `BLOCKS` as flow charts. Raises as `check_plot` does."""
    figure = check_plot(path)(figsize=(14, 7.6), layout="constrained")
    for axes, block in zip(figure.subplots(1, len(BLOCKS)), BLOCKS, strict=True):
        _flow(_canvas(axes), block)
    figure.suptitle("Figure 2. The blocks; batch norm follows each convolution of (a) to (c), "
                    "and ReLU all but the last", color=INK)  # fmt: skip
    _write(figure, path)


def draw_learning_rate(rates: Sequence[float], starts: Sequence[int], path: str | Path) -> None:
    """Figure 3: the learning rate of each epoch, and where the stages start. Raises as `check_plot` does."""
    figure = check_plot(path)(figsize=(11, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.stairs(rates, range(len(rates) + 1), baseline=None, color="#c8553d", linewidth=2)
    for number, (start, end) in enumerate(zip(starts, (*starts[1:], len(rates)), strict=True)):
        axes.axvspan(start, end, color="#5b8db8", alpha=0.14 if number % 2 else 0.0, linewidth=0)
        axes.text((start + end) / 2, max(rates) * 1.35, f"stage {number}", ha="center", fontsize=10.5, color=INK)
    axes.set(yscale="log", xlim=(0, len(rates)), ylim=(min(rates) / 2, max(rates) * 2.2), xlabel="epoch of the run",
             ylabel="learning rate", xticks=(*starts, len(rates)))  # fmt: skip
    axes.grid(alpha=0.25)
    axes.set_title(f"Figure 3. The iterative training strategy, {len(rates)} epochs", color=INK)
    _write(figure, path)


def _flow(axes: Any, block: Block) -> None:
    """A column of boxes from the top down, with the shortcut at its left."""
    plus = -STEP * (len(block.boxes) + 1)
    axes.text(0, 0.12, block.start, ha="center", va="bottom", fontsize=10.5, color=INK)
    for number, (text, color) in enumerate(block.boxes):
        y = -STEP * (number + 1)
        _arrow(axes, (0, y + STEP - (BOX_HEIGHT / 2 if number else 0)), (0, y + BOX_HEIGHT / 2))
        _box(axes, (0, y), text, COLORS[color])
    _arrow(axes, (0, plus + STEP - BOX_HEIGHT / 2), (0, plus + 0.2))
    _shortcut(axes, plus)
    if block.again is not None:
        _bypass(axes, -0.14, -STEP * (block.again + 1))
    for number, side in enumerate(block.sides):
        axes.text(0.12, -STEP * (number + 0.5), side, va="center", fontsize=9, color=INK)
    end = plus - STEP * (0.9 if block.rectified else 0.7)
    _arrow(axes, (0, plus - 0.2), (0, end + (BOX_HEIGHT / 2 if block.rectified else 0)))
    if block.rectified:
        _box(axes, (0, end), "ReLU", COLORS["plain"])
    axes.text(0, end - 0.45, block.caption, ha="center", va="top", fontsize=10.5, color=INK, style="italic")
    axes.set(xlim=(-1.8, 1.8), ylim=(-STEP * 7.4 - 0.3, 0.6))
    axes.set_title(block.title, fontsize=11.5, color=INK)


def _shortcut(axes: Any, plus: float) -> None:
    """The line from the input to the sum, and the sum."""
    top, side = -0.14, -BOX_WIDTH / 2 - 0.4
    axes.plot([0, side, side], [top, top, plus], color=INK, linewidth=1.2)
    _arrow(axes, (side, plus), (-0.2, plus))
    axes.text(0, plus, "+", ha="center", va="center", fontsize=12, color=INK,
              bbox={"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": INK})  # fmt: skip


def _bypass(axes: Any, top: float, y: float) -> None:
    """The line from the input, at the boxes' right, into one of them."""
    side = BOX_WIDTH / 2 + 0.3
    axes.plot([0, side, side], [top, top, y], color=INK, linewidth=1.2)
    _arrow(axes, (side, y), (BOX_WIDTH / 2, y))


def _box(axes: Any, middle: tuple[float, float], text: str, color: str) -> None:
    x, y = middle[0] - BOX_WIDTH / 2, middle[1] - BOX_HEIGHT / 2
    corners = [(x, y), (x + BOX_WIDTH, y), (x + BOX_WIDTH, y + BOX_HEIGHT), (x, y + BOX_HEIGHT)]
    axes.fill(*zip(*corners, strict=True), facecolor=color, edgecolor=INK, linewidth=1)
    axes.text(*middle, text, ha="center", va="center", fontsize=9.5, color=INK)


def _cuboid(axes: Any, x: float, y: float, width: float, height: float, color: str) -> None:
    """A box seen a little from the right and above: front, top and side."""
    deep = 0.12 * height
    right, top = x + width, y + height
    faces = (
        ((x, y), (right, y), (right, top), (x, top)),
        ((x, top), (right, top), (right + deep, top + deep), (x + deep, top + deep)),
        ((right, y), (right + deep, y + deep), (right + deep, top + deep), (right, top)),
    )
    for face, alpha in zip(faces, (1.0, 0.6, 0.8), strict=True):
        axes.fill(*zip(*face, strict=True), facecolor=color, edgecolor=INK, alpha=alpha, linewidth=1)


def _height(stage: Stage) -> float:
    """Height of a stage's box: less than in proportion, so that the small maps are seen beside the image."""
    return 0.24 * math.sqrt(stage.shape[1])


def _arrow(axes: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    about = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=about)


def _canvas(axes: Any) -> Any:
    axes.set_axis_off()
    return axes


def _write(figure: Any, path: str | Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format=Path(path).suffix.lower().removeprefix("."), dpi=150)
    write_aside(path, content.getvalue())
