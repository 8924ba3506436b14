"""Other projects' ONNX graphs as networks to run: what they show, what is known of their kind, and what is assumed."""

from __future__ import annotations

import atexit
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightpose.errors import ConfigError, MissingPackageError, WeightsError
from lightpose.io.files import write_aside
from lightpose.runtime import EngineName
from lightpose.runtime.adopted import AdoptedRuntime, Shown, look_at
from lightpose.runtime.devices import CPU
from lightpose.runtime.onnx import Session
from lightpose.skeletons import AP10K, COCO17, HALPE26, HAND21, MPII16, SKELETONS, WHOLEBODY133, Skeleton
from lightpose.types import PADDING, SPEC_KEY, DecoderName, FloatArray, GeometryName, ModelSpec, task_of
from lightpose.weights.foreign.archive import open_archive
from lightpose.weights.foreign.settings import ASSUMED, LikeName, Settings
from lightpose.weights.foreign.wire import read_beginning, read_metadata, with_metadata

__all__ = ["LIKES", "Identified", "adopt_graph", "identify_graph", "is_adopted", "open_adopted"]


@dataclass(frozen=True)
class Like:
    """What files of a project usually have. source: where that is said."""

    geometry: GeometryName
    decoder: DecoderName
    source: str


_SIMCC = Like("msra", "argmax", "MMPose's rtmpose configurations")
_MSRA = Like("msra", "quarter", "MMPose's topdown_heatmap configurations")
LIKES: dict[LikeName, Like] = {
    "rtmpose": _SIMCC,
    "rtmw": Like("msra", "argmax", "MMPose's rtmw configurations"),
    "dwpose": Like("msra", "argmax", "DWPose's configurations"),
    "hrnet": _MSRA,
    "simplebaseline": _MSRA,
    "litehrnet": _MSRA,
    "vitpose": Like("udp", "dark_udp", "ViTPose's configurations"),
    "movenet": Like("msra", "argmax", "MoveNet's model card"),
}

_USUAL: dict[int, Skeleton] = {len(each): each for each in (COCO17, HALPE26, WHOLEBODY133, HAND21, MPII16)}
"""By the number of joints. Of 14 and 25 there are several in use, in orders of their own: those must be named."""


@dataclass(frozen=True)
class Identified:
    """What a graph is. origins: for each setting `asked`, `read`, or `assumed: why`. path: the graph."""

    path: Path
    shown: Shown
    spec: ModelSpec
    origins: dict[str, str]

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence on what was assumed; nothing if nothing was."""
        assumed = [name for name, origin in self.origins.items() if origin.startswith(ASSUMED)]
        if not assumed:
            return ()
        told = ", ".join(map(self._told, assumed))
        return (
            f"{self.path.name} gives {self.shown.layout.name} of {self.shown.joints} joints; assumed: {told}. "
            "Put right what is not so, and keep it, with lightpose weights adopt",
        )

    def _told(self, name: str) -> str:
        value = getattr(self.spec, name)
        if name == "skeleton":
            value = value.name
        if isinstance(value, tuple):
            value = " ".join(f"{each:.4g}" for each in value)
        return f"{name} {value}"


def open_adopted(
    path: Path, threads: int = 0, engine: EngineName = "onnxruntime", bf16: bool = False, device: str = CPU
) -> AdoptedRuntime:
    """Another project's .onnx file, adopted or as it is, or MMDeploy's .zip. `notes`: what was assumed.

    device: as `find_device` gives it.

    Raises WeightsError if it is no pose network that is known, or its joints fit no skeleton that is.
    """
    metadata = read_metadata(path)
    if SPEC_KEY in metadata:
        return AdoptedRuntime(path, ModelSpec.from_json(metadata[SPEC_KEY]), threads, engine, bf16, device=device)
    found = identify_graph(path)
    return AdoptedRuntime(found.path, found.spec, threads, engine, bf16, found.notes, device)


def adopt_graph(path: Path, out: Path, asked: Settings, like: LikeName | None = None) -> Identified:
    """Write another project's graph with what it is in its metadata, whole or not at all.

    asked: goes before what is read or assumed. Raises WeightsError if `out` is no .onnx file or the graph no pose
    network that is known, MissingPackageError without onnx if its weights lie in other files.
    """
    if out.suffix != ".onnx":
        raise WeightsError(f"{out} must end in .onnx")
    if SPEC_KEY in (told := read_metadata(path)) and not ModelSpec.from_json(told[SPEC_KEY]).adopted:
        raise WeightsError(f"{path} is lightpose's own; it can be used as it is")
    found = identify_graph(path, asked, like)
    content = found.path.read_bytes()
    if read_beginning(content).external:
        content = _joined(found.path)
    write_aside(out, with_metadata(content, SPEC_KEY, found.spec.to_json()))
    return found


def identify_graph(path: Path, asked: Settings | None = None, like: LikeName | None = None) -> Identified:
    """What an .onnx file, or the one in MMDeploy's .zip, is, and where each setting is from. See `adopt_graph`."""
    asked = asked or Settings()
    graph, read, name = _unpacked(path) if path.suffix.lower() == ".zip" else (path, Settings(), "")
    with _naming(path):
        session = Session(graph, threads=1)
        shown = look_at(session, asked.input_hw or read.input_hw)
        if not read.mean:
            read = dataclasses.replace(read, **_normalisation(graph, shown))
        kind = like or _like(shown, f"{path.stem} {name}".lower())
        if shown.layout.family != "heatmaps" and (asked.decoder or asked.sigma):
            raise WeightsError(f"it gives {shown.layout.name}; a decoder is for heatmaps: leave --decoder out")
        if shown.input.takes_bytes and (asked.mean or asked.std):
            raise WeightsError("it takes bytes as they are, and normalises them itself: leave --mean and --std out")
        spec, origins = _settle(shown, asked, read, kind, f"{path.stem} {name}".lower())
    return Identified(graph, shown, spec, origins)


def _unpacked(path: Path) -> tuple[Path, Settings, str]:
    """The graph of MMDeploy's .zip in a file that lasts as long as the process, and what stands beside it."""
    archive = open_archive(path)
    folder = Path(tempfile.mkdtemp(prefix="lightpose-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    graph = folder / f"{path.stem}.onnx"
    graph.write_bytes(archive.graph)
    return graph, archive.read, archive.name


def _like(shown: Shown, name: str) -> LikeName:
    """The project that a file is most likely of, by what it gives and what it is called."""
    if shown.layout.name == "MoveNet":
        return "movenet"
    if shown.layout.family == "simcc":
        return next((each for each in ("rtmw", "dwpose") if each in name), "rtmpose")
    return next((each for each in ("vitpose", "litehrnet") if each in name), "hrnet")


def _normalisation(graph: Path, shown: Shown) -> dict[str, Any]:
    """Mean, spread and order of colours, if the graph begins by shifting and scaling its pixels itself."""
    if shown.input.takes_bytes:
        return {}
    scales = read_beginning(graph.read_bytes()).scales
    if not scales:
        return {}
    kind, numbers = scales[0]
    bytes_in = _of_bytes(kind, numbers)
    found: dict[str, Any] = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255,) * 3 if bytes_in else (1.0, 1.0, 1.0)}
    means = next((each for name, each in scales if name == "Sub" and each.size == 3), None)
    if means is not None and means[0] != means[2]:
        found["color_order"] = "rgb" if means[0] > means[2] else "bgr"  # ImageNet is redder than blue
    return found


def _of_bytes(kind: str, numbers: FloatArray | np.ndarray[Any, Any]) -> bool:
    """Whether a first shift or scale is one for pixels of 0 to 255, and not of 0 to 1."""
    if kind == "Mul":
        return bool(np.abs(numbers).max() < 0.1)
    if kind == "BatchNormalization":
        return bool(np.abs(numbers[6:9]).max() > 1.5)
    return bool(np.abs(numbers).max() > 1.5)


def _settle(
    shown: Shown, asked: Settings, read: Settings, like: LikeName, name: str
) -> tuple[ModelSpec, dict[str, str]]:
    """Each setting, and where it is from: asked, read, or assumed and why."""
    usual = _usual(shown, like, name, asked.geometry or read.geometry)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for field in dataclasses.fields(Settings):
        for value, origin in (
            (getattr(asked, field.name), "asked"),
            (getattr(read, field.name), "read"),
            usual.get(field.name, (None, "")),
        ):
            if value is not None and field.name not in values:
                values[field.name], origins[field.name] = value, origin
    _check_skeleton(values.get("skeleton"), shown)
    values["input_hw"] = shown.input_hw
    if shown.input.hw:
        origins["input_hw"] = "read"
    try:
        spec = ModelSpec(
            (name.split() or ["adopted"])[0], stride=shown.stride, family=shown.layout.family, adopted=True, **values
        )
    except ConfigError as error:
        raise WeightsError(f"it cannot be used: {error}") from error
    if shown.layout.family != "heatmaps":
        for unused in ("sigma", "decoder"):
            origins.pop(unused, None)
    return spec, origins


def _usual(shown: Shown, like: LikeName, name: str, geometry: GeometryName | None) -> Mapping[str, tuple[Any, str]]:
    """What files like it usually have, and why one thinks so."""
    kind = LIKES[like]
    why = f"{ASSUMED}: as in {kind.source}"
    bytes_in = shown.input.takes_bytes or like == "movenet"
    pixels = "read" if shown.input.takes_bytes else why
    udp = geometry == "udp"
    usual: dict[str, tuple[Any, str]] = {
        "input_hw": (shown.input_hw, f"{ASSUMED}: the usual size"),
        "color_order": ("rgb", why),
        "mean": ((0.0, 0.0, 0.0) if bytes_in else ModelSpec.mean, pixels if bytes_in else f"{why}, ImageNet's"),
        "std": ((1 / 255,) * 3 if bytes_in else ModelSpec.std, pixels if bytes_in else f"{why}, ImageNet's"),
        "geometry": (kind.geometry, why),
        "padding": (PADDING, why),
        "decoder": ("dark_udp" if udp else kind.decoder, f"{ASSUMED}: usual with UDP" if udp else why),
        "sigma": (3.0 if shown.input_hw[0] >= 384 else 2.0, f"{ASSUMED}: usual for inputs {shown.input_hw[0]} high"),
    }
    animals = shown.joints == 17 and any(each in name for each in ("ap10k", "ap-10k", "animal"))
    skeleton = AP10K if animals else _USUAL.get(shown.joints)
    if skeleton is not None:
        usual["skeleton"] = (skeleton, f"{ASSUMED}: the usual one of {shown.joints} joints")
    return usual


def _check_skeleton(skeleton: Skeleton | None, shown: Shown) -> None:
    count, known = shown.joints, sorted(SKELETONS.values(), key=len)
    if skeleton is None:
        near = sorted(known, key=lambda each: abs(len(each) - count))[:3]
        told = ", ".join(f"{each.name} ({len(each)})" for each in near)
        offsets = " or are these UDP's heatmaps with offsets, which cannot be read?" if count % 3 == 0 else ""
        raise WeightsError(
            f"which joints its {count} are is not known; near are {told}. Name them in a file, and give it to "
            f"lightpose weights adopt --skeleton{offsets and ';' + offsets}"
        )
    if len(skeleton) != count:
        fitting = ", ".join(each.name for each in known if len(each) == count) or "none of the built-in ones"
        raise WeightsError(
            f"it gives {count} joints, the skeleton {skeleton.name} has {len(skeleton)}; {fitting} would fit"
        )


def _joined(path: Path) -> bytes:
    """A graph with the weights that lie in other files."""
    try:
        import onnx
    except ImportError as error:
        raise MissingPackageError("onnx", "quantize") from error
    try:
        content: bytes = onnx.load(str(path)).SerializeToString()
    except Exception as error:  # the package raises kinds of its own for files that are missing or elsewhere
        raise WeightsError(f"{path}: its weights in other files cannot be read ({type(error).__name__})") from error
    return content


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with it."""
    try:
        yield
    except WeightsError as error:
        told = str(error)
        raise WeightsError(told if told.startswith(str(path)) else f"{path}: {told}") from error


def is_adopted(path: Path) -> bool:
    """Whether a file is run as another project's: a .zip, and an .onnx file without lightpose's own description."""
    if path.suffix.lower() == ".zip":
        return True
    told = read_metadata(path).get(SPEC_KEY)
    return told is None or (task_of(told) == "pose" and ModelSpec.from_json(told).adopted)
