"""Other projects' top-down networks, run as they are: normalised pixels in, what their family gives out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError, WeightsError
from lightpose.runtime import EngineName, PrecisionName, check_crops
from lightpose.runtime.devices import CPU, openvino_name
from lightpose.runtime.graph import GraphInput, Outputs, Pixels, are_numbers, open_hw
from lightpose.runtime.image_graph import OPEN_SIDE
from lightpose.runtime.layouts import OPEN_HW, PoseLayout, Probe, find_pose_layout
from lightpose.runtime.one_stage_layouts import OneStageLayout, OneStageProbe, find_one_stage_layout
from lightpose.runtime.onnx import Session, SplitSession, read_ap_loss
from lightpose.types import SOURCE_KEY, FloatArray, ImageArray, ModelSpec

__all__ = ["AdoptedRuntime", "OpenVinoGraph", "Shown", "look_at"]

GREY = 114


@dataclass(frozen=True)
class Shown:
    """What a graph shows of itself when it is run on a grey crop, or image.

    input: what it takes. input_hw: its size, or the one assumed where the graph leaves it open. joints: how many it
    finds. shape: of what its layout reads, for one crop. stride: input pixels to one of its heatmaps; 1 without any.
    """

    input: GraphInput
    input_hw: tuple[int, int]
    layout: PoseLayout | OneStageLayout
    joints: int
    shape: tuple[int, ...]
    stride: int = 1


def look_at(session: Session, input_hw: tuple[int, int] | None = None) -> Shown:
    """Run a graph once, and see what it is. input_hw: its size, where the graph leaves that open.

    Raises WeightsError, without the file's name, if it is no pose network that is known.
    """
    taken = GraphInput.of(session.inputs, "pose network")
    if input_hw and taken.hw and taken.hw != input_hw:
        raise WeightsError(f"it takes crops of {_size(taken.hw)}, not {_size(input_hw)}")
    told = open_hw(session.metadata)
    hw = input_hw or taken.size(told or OPEN_HW)
    given = _of_grey(session, taken, hw)
    if whole := find_one_stage_layout(probe := OneStageProbe(hw, session.metadata, _of_first(given))):
        if taken.batch not in (None, 1):
            raise WeightsError(f"it takes {taken.batch} images at a time; export it for one")
        joints = whole.joints(probe)
        return Shown(taken, input_hw or taken.size(told or (OPEN_SIDE, OPEN_SIDE)), whole, joints, (joints, 3))
    layout = find_pose_layout(Probe(hw, given))
    read = layout.read(given, hw)
    if len(read) != (taken.batch or 1):
        raise WeightsError(
            f"it is no pose network that takes crops in batches: for {taken.batch or 1} of them it gives "
            f"{Probe(hw, given).to_text()}"
        )
    stride = hw[0] // read.shape[2] if layout.family == "heatmaps" else 1
    return Shown(taken, hw, layout, read.shape[1], read.shape[1:], stride)


def _of_grey(session: Session, taken: GraphInput, hw: tuple[int, int]) -> Outputs:
    """What the graph gives for a grey crop, or as many as it takes. Raises WeightsError unless it is numbers."""
    grey = np.full((taken.batch or 1, *hw, 3), GREY, np.uint8)
    try:
        given = _run(session, taken.name, taken.tensor(grey, Pixels()))
    except WeightsError as error:
        raise WeightsError(f"it fails when it is run on a crop of {_size(hw)} ({error})") from error
    if not given or not all(map(are_numbers, given.values())):
        shapes = ", ".join(f"{name} {getattr(value, 'shape', type(value).__name__)}" for name, value in given.items())
        raise WeightsError(f"it is no pose network: it gives {shapes or 'nothing'}, not arrays of numbers")
    return given


def _of_first(given: Outputs) -> Outputs:
    """The outputs of a batch's first image, in a batch of one."""
    return {name: value[:1] if value.ndim else value for name, value in given.items()}


def _size(hw: tuple[int, int]) -> str:
    return f"{hw[0]}x{hw[1]}"


def _run(session: Session, name: str, tensor: NDArray[Any]) -> Outputs:
    return dict(zip([output.name for output in session.outputs], session.run({name: tensor}), strict=True))


class AdoptedRuntime:
    """Runs another project's ONNX file with ONNX Runtime, or OpenVINO.

    spec: what is known of the file, or assumed. Batches are split as by `SplitSession`; a file with a fixed batch gets
    that many crops at a time, the last ones filled up with black. engine: onnxruntime or openvino. bf16: OpenVINO's.
    device: as `find_device` gives it, one of the engine's. notes: a sentence for each thing that was assumed. Raises
    WeightsError if the file is no pose network that is known, or has another number of joints than its spec.
    """

    def __init__(
        self,
        path: str | Path,
        spec: ModelSpec,
        threads: int = 0,
        engine: EngineName = "onnxruntime",
        bf16: bool = False,
        notes: tuple[str, ...] = (),
        device: str = CPU,
    ) -> None:
        self._made = (Path(path).absolute(), spec, threads, engine, bf16, notes, device)
        self.path: Path | None = Path(path)
        self.spec, self.notes, self.name = spec, notes, engine
        self._sessions = SplitSession(path, threads, CPU if engine == "openvino" else device)
        metadata = self._sessions.first.metadata
        try:
            self._shown = look_at(self._sessions.first, spec.input_hw)
            self._layout = self._fitting(self._shown)
        except WeightsError as error:
            raise WeightsError(f"{path}: {error}") from error
        self.made_from = metadata.get(SOURCE_KEY)
        self.ap_loss = read_ap_loss(metadata)
        self.precision: PrecisionName = "int8" if self.made_from else "bf16" if bf16 else "float32"
        self._openvino = OpenVinoGraph(self._made[0], threads, bf16, device) if engine == "openvino" else None
        if self._openvino and self.made_from:
            raise ConfigError(f"{path} is in int8 for ONNX Runtime, and OpenVINO computes it wrongly")

    def __reduce__(self) -> tuple[Any, ...]:
        return AdoptedRuntime, self._made  # a copy opens the file again

    def _fitting(self, shown: Shown) -> PoseLayout:
        """The layout of what was shown, if that fits the spec."""
        layout, spec = shown.layout, self.spec
        fits = (shown.joints, layout.family) == (len(spec.skeleton), spec.family)
        if not fits or not isinstance(layout, PoseLayout):
            raise WeightsError(
                f"it gives {shown.layout.name} of {shown.joints} joints, not {spec.family} of {len(spec.skeleton)} as "
                "its description says; adopt it again: lightpose weights adopt"
            )
        return layout

    def heatmaps(self, crops: ImageArray) -> FloatArray:
        check_crops(crops, self.spec)
        if not len(crops):
            return np.zeros((0, *self._shown.shape), np.float32)
        if self._openvino is not None:
            return self._in_batches(crops, self._openvino.run)

        def run(session: Session, part: ImageArray) -> FloatArray:
            return self._in_batches(part, lambda tensor: _run(session, self._shown.input.name, tensor))

        return self._sessions.run(crops, run, int8=self.precision == "int8")

    def tensor(self, crops: ImageArray) -> NDArray[Any]:
        """Crops as the graph takes them at once: normalised, and filled up with black to its batch if that is fixed."""
        count = self._shown.input.batch or len(crops)
        black = np.zeros((count - len(crops), *crops.shape[1:]), np.uint8)
        return self._shown.input.tensor(np.concatenate([crops, black]) if len(black) else crops, Pixels.of(self.spec))

    def _in_batches(self, crops: ImageArray, run: Callable[[NDArray[Any]], Outputs]) -> FloatArray:
        """What the layout reads from the outputs, for crops taken as many at a time as the graph is made for."""
        shown = self._shown
        count = shown.input.batch or len(crops)
        found = []
        for start in range(0, len(crops), count):
            part = crops[start : start + count]
            read = self._layout.read(run(self.tensor(part)), shown.input_hw)
            if read.shape != (count, *shown.shape):
                raise WeightsError(f"{self.path} gives {shown.layout.name} of shape {read.shape} for {count} crops")
            found.append(read[: len(part)])
        return found[0] if len(found) == 1 else np.concatenate(found)


class OpenVinoGraph:
    """The graph in OpenVINO; opened again in a forked process."""

    def __init__(self, path: Path, threads: int, bf16: bool, device: str = CPU) -> None:
        self._made = (path, threads, bf16, device)
        self._open()

    def _open(self) -> None:
        from lightpose.runtime.openvino import compile_graph, load_graph

        path, threads, bf16, device = self._made
        self._compiled = compile_graph(load_graph(path), threads, bf16=bf16, device=openvino_name(device))
        self._process, self._lock = os.getpid(), Lock()

    def run(self, tensor: NDArray[Any]) -> Outputs:
        if self._process != os.getpid():
            self._inherited = self._compiled  # kept: closing it would wait for threads that a fork lacks
            self._open()
        with self._lock:
            try:
                found = self._compiled(tensor)
            except RuntimeError as error:
                reason = str(error).strip().rpartition("\n")[2]
                raise WeightsError(f"{self._made[0]} fails when it is run on {tensor.shape}: {reason}") from error
            return {output.get_any_name(): np.array(value) for output, value in found.items()}
