"""Networks as safetensors files that carry their `ModelSpec` or `DetectorSpec`. Needs torch."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from lightpose.errors import ConfigError, MissingPackageError, WeightsError, brief
from lightpose.io.files import write_aside
from lightpose.models import BUILDERS, MODELS
from lightpose.models.detector import PersonDetector
from lightpose.types import SPEC_KEY, DetectorSpec, ModelSpec, Spec, TaskName, read_spec, task_of

try:
    import safetensors
    from safetensors.torch import load as load_tensors
    from safetensors.torch import save as save_tensors
except ImportError as error:
    raise MissingPackageError("safetensors", "train") from error

__all__ = [
    "average_networks",
    "load_any",
    "load_detector",
    "load_into",
    "load_network",
    "read_task",
    "save_network",
    "start_detector",
]

S = TypeVar("S", ModelSpec, DetectorSpec, Spec)


def save_network(path: str | Path, network: nn.Module, spec: Spec, half: bool = False) -> None:
    """Write a network's tensors and spec, whole or not at all. half: store as float16, half the size."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if half:
        state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    write_aside(path, save_tensors(state, metadata={SPEC_KEY: spec.to_json()}))


def load_network(path: str | Path) -> tuple[nn.Module, ModelSpec]:
    """The pose network of a file, float32, in evaluation mode, and its spec. Raises WeightsError if it does not fit."""
    return _load(Path(path), ModelSpec.from_json)


def load_detector(path: str | Path) -> tuple[PersonDetector, DetectorSpec]:
    """The person detector of a file, as `load_network`."""
    network, spec = _load(Path(path), DetectorSpec.from_json)
    return cast(PersonDetector, network), spec


def load_any(path: str | Path) -> tuple[nn.Module, Spec]:
    """The network of a file, whatever its task, as `load_network`."""
    return _load(Path(path), read_spec)


def average_networks(paths: Sequence[Path], shares: Sequence[float] | None = None) -> tuple[nn.Module, ModelSpec]:
    """One pose network of the mean of the files' weights, running statistics too (Wortsman et al., ICML 2022).

    shares: what each file counts, in proportion; alike if not given. The spec is the first file's. The mean is of use
    for networks trained on from the same weights. Raises ConfigError if the shares do not fit the files, WeightsError
    if the files are not of the same network, joints and colours.
    """
    shares = [1.0] * len(paths) if shares is None else shares
    if len(paths) < 2:
        raise ConfigError(f"an average takes two or more weights files, not {len(paths)}")
    if len(shares) != len(paths):
        raise ConfigError(
            f"an average takes a share of each file: there are {len(paths)} files, but {len(shares)} shares"
        )
    if not all(0 <= share < math.inf for share in shares) or not 0 < sum(shares) < math.inf:
        raise ConfigError(
            f"shares must be finite, not below 0, and not all 0: {', '.join(f'{share:g}' for share in shares)}"
        )
    networks = [load_network(path) for path in paths]
    network, spec = networks[0]
    mean = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    for path, share, (other, theirs) in zip(paths, shares, networks, strict=True):
        if _meaning(theirs) != _meaning(spec):
            raise WeightsError(f"{path} is not of the same network, joints and colours as {paths[0]}: no mean of both")
        for name, value in other.state_dict().items():
            if value.is_floating_point():
                mean[name] += value * (share / sum(shares))
            else:  # how many batches the running statistics are of
                mean[name] = torch.maximum(mean[name], value)
    network.load_state_dict(mean)
    return network, spec


def _meaning(spec: ModelSpec) -> tuple[object, ...]:
    """What two specs must share for their networks' tensors to mean the same."""
    return spec.model, dict(spec.options), spec.skeleton.joints, spec.color_order, spec.mean, spec.std


def read_task(path: str | Path) -> TaskName:
    """The task of the network in a file. Raises WeightsError if it holds none."""
    return task_of(_read(Path(path))[0])


def start_detector(path: str | Path, network: PersonDetector) -> None:
    """Start a detector from a file: of the same detector, or of a pose network that begins with the same layers.

    Raises WeightsError if it does not fit.
    """
    text, state = _read(Path(path))
    if task_of(text) != "detector":
        fresh = network.state_dict()
        shared = {name for name in fresh if name.startswith(("stem.", "layers."))}
        if missing := shared - set(state):
            raise WeightsError(f"{path} has no {min(missing)}: a detector starts from an LPN-50, or a detector like it")
        state = {**fresh, **{name: state[name] for name in shared}}
    _fill(network, state, Path(path))


def load_into(path: str | Path, network: nn.Module, spec: ModelSpec) -> None:
    """Start a network from a file of the same architecture.

    Where the file has other joints, the outputs of those with the same name are taken over and the others left as they
    are. Raises WeightsError if the architectures differ.
    """
    found, state = _read_as(Path(path), ModelSpec.from_json)
    if found.skeleton.joints != spec.skeleton.joints:
        state = _match_joints(state, network.state_dict(), found, spec)
    _fill(network, state, Path(path))


def _match_joints(
    stored: dict[str, Tensor], fresh: dict[str, Tensor], theirs: ModelSpec, mine: ModelSpec
) -> dict[str, Tensor]:
    """The stored tensors, what belongs to a joint in the order of `mine`, matched by name; others as in `fresh`."""
    joints, others = mine.skeleton.joints, theirs.skeleton.joints
    shared = [(number, others.index(joint)) for number, joint in enumerate(joints) if joint in others]
    to, source = torch.tensor(shared, dtype=torch.long).reshape(-1, 2).unbind(1)
    matched = dict(stored)
    for name, axis in _joint_axes(mine).items():
        if name in stored and stored[name].dim() == fresh[name].dim():
            rows = stored[name].to(fresh[name]).transpose(0, axis)
            mixed = fresh[name].transpose(0, axis).clone()
            if rows.shape[1:] == mixed.shape[1:] and len(rows) == len(others):
                mixed[to] = rows[source]
                matched[name] = mixed.transpose(0, axis)
    return matched


def _joint_axes(spec: ModelSpec) -> dict[str, int]:
    """The tensors that hold something for each joint, and along which axis: those that grow with their number.

    A head has rows for them; where heatmaps are fed back, as in stacked hourglasses, a convolution has columns.
    """
    joints = len(spec.skeleton)
    with torch.device("meta"):
        few, many = (MODELS[spec.model](joints=count, **spec.options).state_dict() for count in (joints, joints + 1))
    sizes = {name: list(zip(few[name].shape, many[name].shape, strict=True)) for name in few}
    return {
        name: next(axis for axis, (one, other) in enumerate(pairs) if one != other)
        for name, pairs in sizes.items()
        if any(one != other for one, other in pairs)
    }


def _load(path: Path, read: Callable[[str], S]) -> tuple[nn.Module, S]:
    """The network of a file whose description `read` takes."""
    spec, state = _read_as(path, read)
    try:
        network = BUILDERS[spec.task](spec)
    except ConfigError as error:
        raise WeightsError(f"{path} is for another version of lightpose: {error}") from error
    _fill(network, state, path)
    return network.eval(), spec


def _read_as(path: Path, read: Callable[[str], S]) -> tuple[S, dict[str, Tensor]]:
    text, state = _read(path)
    try:
        return read(text), state
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    """The description in a file, still as text, and its tensors."""
    try:
        with safetensors.safe_open(os.fspath(path), framework="pt") as file:
            metadata = file.metadata() or {}
        state = load_tensors(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror or error}") from error
    except safetensors.SafetensorError as error:
        raise WeightsError(f"{path} is not a whole safetensors file ({brief(error)})") from error
    if SPEC_KEY not in metadata:
        raise WeightsError(
            f"{path} does not say which model, joints and input it is for; it was not written by lightpose"
        )
    return metadata[SPEC_KEY], state


def _fill(network: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"{path} does not fit its network: {str(error).splitlines()[-1].strip()}") from error
