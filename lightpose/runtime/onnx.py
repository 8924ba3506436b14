"""The ONNX Runtime engine: what a plain install uses."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import onnxruntime

from lightpose.errors import WeightsError
from lightpose.runtime import OutputName, PrecisionName, check_crops, check_output
from lightpose.runtime.devices import CPU, provider_of, say_cpu_instead
from lightpose.runtime.threads import Lanes, choose_threads
from lightpose.types import AP_LOSS_KEY, SOURCE_KEY, SPEC_KEY, FloatArray, ImageArray, ModelSpec

__all__ = ["OnnxRuntime", "Session", "SplitSession", "open_session", "read_ap_loss"]

PARTS = 2
"""How many parts of a batch there are for each thread: one that the system has halted leaves the rest to others."""


def open_session(path: str | Path, threads: int = 0, profile: Path | None = None, device: str = CPU) -> Any:
    """Any ONNX file, ready to run, as ONNX Runtime's InferenceSession.

    threads: 0 for one on each usable core. profile: beginning of the name of the file into which the session's
    `end_profiling` writes what each node took. device: as `find_device` gives it; if the file cannot be opened on it,
    the CPU takes its place, with a warning in the log. Raises WeightsError if the file is missing or damaged.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = choose_threads(threads)  # its own default does not know a container's limits
    # else idle threads of one session keep the cores busy that the next one, or a reader of images, wants
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 4  # its errors are raised as well
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    if not Path(path).is_file():
        raise WeightsError(f"there is no file {path}; if it was moved, open it where it is now")
    if device != CPU and (session := _open_on(device, path, options)) is not None:
        return session
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a kind of its own for each way a file can be damaged
        if strange := re.search(r"([\w.]+:\w+)\(-?\d+\) is not a registered function/op", str(error)):
            told = f"{path} needs {strange[1]}, which ONNX Runtime has not; export it for ONNX Runtime"
            raise WeightsError(told) from error
        raise WeightsError(f"{path} is not a whole ONNX file ({type(error).__name__})") from error


def _open_on(device: str, path: str | Path, options: Any) -> Any:
    """The file on a device other than the CPU; None if that cannot be, which is said in the log."""
    provider = provider_of(device)
    memory_pattern = options.enable_mem_pattern
    options.enable_mem_pattern = memory_pattern and not device.startswith("directml")  # which refuses it
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=[provider, "CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:
        say_cpu_instead(device, str(error).partition("\n")[0][-200:])
    else:
        if session.get_providers()[0] == provider[0]:
            return session
        say_cpu_instead(device, "its driver or libraries are missing, or of another version than ONNX Runtime needs")
    options.enable_mem_pattern = memory_pattern
    return None


class Session:
    """An ONNX file, ready to run: `open_session` that names the file in its errors, and travels.

    A copy, a pickle and a forked process open the file again: an engine's threads are no part of them. metadata: what
    stands beside the graph. inputs, outputs: with name, type and shape, as ONNX Runtime has them. Raises WeightsError
    as `open_session` does, and if the metadata is no text.
    """

    def __init__(self, path: str | Path, threads: int = 0, device: str = CPU) -> None:
        self.path, self._made = Path(path).absolute(), (threads, None, device)
        self._session, self._process = open_session(path, *self._made), os.getpid()
        self._alone = Lock() if device.startswith("directml") else nullcontext()  # which runs one call at a time
        self.inputs, self.outputs = self._session.get_inputs(), self._session.get_outputs()
        try:
            self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        except UnicodeDecodeError as error:
            raise WeightsError(f"{path} has metadata that is no text in UTF-8; export it again") from error

    def __reduce__(self) -> tuple[type[Session], tuple[Path, int, str]]:
        return Session, (self.path, self._made[0], self._made[2])

    @property
    def on_cpu(self) -> bool:
        """Whether the CPU runs it."""
        return bool(self._session.get_providers()[0] == "CPUExecutionProvider")

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str] | None = None) -> list[Any]:
        """The outputs, all or those named. Raises WeightsError if the graph fails while it runs."""
        if self._process != os.getpid():
            self._inherited = self._session  # kept: closing it would wait for threads that a fork lacks
            self._session, self._process = open_session(self.path, *self._made), os.getpid()
        try:
            with self._alone:
                found: list[Any] = self._session.run(outputs, inputs)
        except Exception as error:  # ONNX Runtime raises a kind of its own for each way a run can fail
            shapes = ", ".join(f"{name} {value.shape}" for name, value in inputs.items())
            reason = str(error).partition("\n")[0][-200:]
            remedy = "" if self.on_cpu else "; leave --device out to run it on the CPU"
            raise WeightsError(f"{self.path} fails when it is run on {shapes}: {reason}{remedy}") from error
        return found


class SplitSession:
    """An ONNX file whose batches are split over threads.

    A batch of at least as many crops as threads is split, and each thread runs parts of it alone: on two threads, that
    is 1.3 times as fast as two threads on each convolution, and twice as fast in int8. Another device than the CPU
    takes whole batches. threads: 0 for one on each usable core. first: the file with one thread, open. lanes: the
    threads.
    """

    def __init__(self, path: str | Path, threads: int = 0, device: str = CPU) -> None:
        self.first = Session(path, 1, device)
        count = choose_threads(threads) or max(1, (os.cpu_count() or 1) // 2)
        self.lanes = Lanes(count if self.first.on_cpu else 1)

    def run(
        self, crops: ImageArray, run: Callable[[Session, ImageArray], FloatArray], int8: bool = False
    ) -> FloatArray:
        """What `run` gives for the parts, joined again.

        int8: one crop is then left to one thread, unless there are more than two.
        """
        count = self.lanes.count
        if count == 1 or (len(crops) < count and int8 and count == 2):
            return run(self.first, crops)
        if len(crops) < count:
            return run(self.together, crops)
        parts = np.array_split(crops, min(len(crops), PARTS * count))
        return np.concatenate(self.lanes.map(lambda part: run(self.first, part), parts))

    @cached_property
    def together(self) -> Session:
        """The graph with all threads on each convolution."""
        return self.first if self.lanes.count == 1 else Session(self.first.path, self.lanes.count)


class OnnxRuntime:
    """Runs a graph that lightpose exported, with ONNX Runtime.

    Batches are split as by `SplitSession`. threads: 0 for one on each usable core. device: as `find_device` gives it.
    made_from: SHA-256 of the float file that an int8 file was made from, or None. ap_loss: points of AP that it lost,
    NaN if unknown. Raises WeightsError if the file is no such graph.
    """

    name = "onnxruntime"

    def __init__(self, path: str | Path, threads: int = 0, device: str = CPU) -> None:
        self.path: Path | None = Path(path)
        self._sessions = SplitSession(path, threads, device)
        session = self._sessions.first
        metadata, outputs = session.metadata, {output.name for output in session.outputs}
        spec = ModelSpec.from_json(metadata[SPEC_KEY]) if SPEC_KEY in metadata else None  # which refuses a detector's
        if spec is None or not {"heatmaps", "keypoints"} <= outputs or not session.inputs:
            raise WeightsError(
                f"{path} does not say which model, joints and input it is for; export it with `lightpose export`"
            )
        self.spec = spec
        self.made_from = metadata.get(SOURCE_KEY)
        self.precision: PrecisionName = "float32" if self.made_from is None else "int8"
        self.ap_loss = read_ap_loss(metadata)
        self._input = session.inputs[0].name

    def heatmaps(self, crops: ImageArray) -> FloatArray:
        return self._run("heatmaps", crops)

    def keypoints(self, crops: ImageArray) -> FloatArray:
        """Keypoints (N, K, 3) as the graph itself decodes them: x, y in crop pixels, score."""
        return self._run("keypoints", crops)

    def _run(self, output: OutputName, crops: ImageArray) -> FloatArray:
        check_crops(crops, self.spec)

        def run(session: Session, part: ImageArray) -> FloatArray:
            found: FloatArray = session.run({self._input: part}, [output])[0]
            return found

        found = self._sessions.run(crops, run, int8=self.precision == "int8")
        return check_output(found, output, crops, self.spec)


def read_ap_loss(metadata: Mapping[str, str]) -> float:
    """Points of AP that an int8 file lost, as its metadata says; NaN if it does not."""
    try:
        return float(metadata.get(AP_LOSS_KEY, ""))
    except ValueError:
        return math.nan
