"""What graphs of detectors and of other projects' networks take, and what their exporters wrote beside them."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import WeightsError
from lightpose.types import LARGEST_SIDE, ColorOrder, ImageArray, ModelSpec

__all__ = [
    "GraphInput",
    "Outputs",
    "Pixels",
    "are_numbers",
    "class_names",
    "grid_cells",
    "naming",
    "open_hw",
    "person_class",
    "read_literal",
]

Outputs = Mapping[str, NDArray[Any]]
"""What a run gives, by name."""

TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
}
MOST_PIXELS = 2**27
"""Of all images that a graph with a fixed batch takes at once."""
_LONGEST_LITERAL = 100_000
"""Characters of metadata that are read: a thousand classes of long names."""


@dataclass(frozen=True)
class Pixels:
    """How RGB pixels become a network's input: (pixel / 255 - mean) / std, colours in that order."""

    color_order: ColorOrder = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @classmethod
    def of(cls, spec: ModelSpec) -> Pixels:
        """As a spec says."""
        return cls(spec.color_order, spec.mean, spec.std)


@dataclass(frozen=True)
class GraphInput:
    """What a graph takes. text: ONNX Runtime's description. type: numbers' type. batch: a fixed number of images, or
    None for any. is_batched: whether it has that dimension. sides: height and width; None: left open."""

    name: str
    text: str
    type: type[np.generic]
    batch: int | None
    channels_last: bool
    sides: tuple[int | None, int | None]
    is_batched: bool = True

    @classmethod
    def of(cls, inputs: Sequence[Any], what: str, ranks: tuple[int, ...] = (4,)) -> GraphInput:
        """Read ONNX Runtime's description of inputs. what: the graph should be, for errors. ranks: 3 without a batch.

        Raises WeightsError unless it is one image, or a batch of them, of three colours.
        """
        if not inputs:
            raise WeightsError(f"it is no {what}: it takes no image")
        text = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        shape = list(inputs[0].shape) if len(inputs) == 1 else []
        image = shape[-3:]
        if len(shape) not in ranks or 3 not in (image[0], image[2]) or inputs[0].type not in TYPES:
            raise WeightsError(f"it is no {what}: it takes {text}, not images of three colours")
        last = image[0] != 3
        height, width = (side if isinstance(side, int) else None for side in (image[:2] if last else image[1:]))
        if not all(side is None or 1 <= side <= LARGEST_SIDE for side in (height, width)):
            raise WeightsError(f"its input has {height}x{width} pixels; sides are at most {LARGEST_SIDE}")
        count = 1 if len(shape) == 3 else shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None
        if count and count * math.prod(side or 256 for side in (height, width)) > MOST_PIXELS:
            raise WeightsError(
                f"it takes {count} crops at a time, and so many do not fit into memory; export it for fewer"
            )
        return cls(inputs[0].name, text, TYPES[inputs[0].type], count, last, (height, width), len(shape) == 4)

    @property
    def hw(self) -> tuple[int, int] | None:
        """Its size, None if a side is left open."""
        height, width = self.sides
        return None if height is None or width is None else (height, width)

    def size(self, usual: tuple[int, int]) -> tuple[int, int]:
        """Its size, with the usual one for sides that it leaves open."""
        height, width = self.sides
        return usual[0] if height is None else height, usual[1] if width is None else width

    @property
    def takes_bytes(self) -> bool:
        """Whether pixels go in as they are, 0 to 255."""
        return np.issubdtype(self.type, np.integer)

    def tensor(self, images: ImageArray, pixels: Pixels) -> NDArray[Any]:
        """RGB images (N, H, W, 3) as the graph wants them, in its type; bytes as they are.

        Without a batch's dimension if the graph has none, of the first image then.
        """
        ordered = images[..., ::-1] if pixels.color_order == "bgr" else images
        if not self.channels_last:
            ordered = ordered.transpose(0, 3, 1, 2)
        if not self.is_batched:
            ordered = ordered[0]
        if self.takes_bytes:
            return np.ascontiguousarray(ordered, dtype=self.type)
        side = (3,) if self.channels_last else (3, 1, 1)
        std = np.array(pixels.std)
        tensor = np.multiply(ordered, (1 / (255 * std)).astype(np.float32).reshape(side), dtype=np.float32, order="C")
        tensor -= (np.array(pixels.mean) / std).astype(np.float32).reshape(side)
        return tensor.astype(self.type, copy=False)


def are_numbers(value: object) -> bool:
    """Whether what a run gave is an array of numbers."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub"


def grid_cells(hw: tuple[int, int]) -> set[int]:
    """How many places a one-stage network of that input has, over the strides that are usual."""
    return {
        sum((hw[0] // stride) * (hw[1] // stride) for stride in strides)
        for strides in ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32))
    }


def read_literal(metadata: Mapping[str, str], key: str) -> Any:
    """A value in Python's notation; None where there is none, or what stands there is none or longer than a list is."""
    text = metadata.get(key, "")
    try:
        return ast.literal_eval(text) if len(text) <= _LONGEST_LITERAL else None
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def open_hw(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    """Height and width that a graph was exported with, where its exporter wrote that down, else None."""
    try:
        height, width = (int(side) for side in read_literal(metadata, "imgsz"))
    except (ValueError, TypeError):
        return None
    if not all(32 <= side <= LARGEST_SIDE for side in (height, width)):
        raise WeightsError(f"its metadata says imgsz {height}x{width}; sides are from 32 to {LARGEST_SIDE}")
    return height, width


def class_names(metadata: Mapping[str, str]) -> dict[int, str]:
    """The classes that Ultralytics' exports name, in Python's notation of a dictionary or list; {} where none do."""
    names = read_literal(metadata, "names")
    pairs = names.items() if isinstance(names, dict) else enumerate(names if isinstance(names, list) else [])
    return {number: str(name) for number, name in pairs if isinstance(number, int)}


def person_class(metadata: Mapping[str, str], usual: int = 0) -> int:
    """Number of the class of persons; the only one, whatever its name; the usual one if the file names none.

    Raises WeightsError if there is none.
    """
    names = class_names(metadata)
    if not names:
        return usual
    person = next((number for number, name in names.items() if name.lower() == "person"), None)
    if person is None and len(names) == 1:
        person = next(iter(names))
    if person is None:
        raise WeightsError(f"it finds no class 'person', but {', '.join(list(names.values())[:5])}; use another")
    return person


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put a file's name before what is wrong with it."""
    try:
        yield
    except WeightsError as error:
        told = str(error)
        raise WeightsError(told if told.startswith(str(path)) else f"{path}: {told}") from error
