"""From a checkpoint of another project to a network of ours, strictly: every tensor lands, none is left over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lightpose.errors import WeightsError
from lightpose.models import build
from lightpose.types import ModelSpec
from lightpose.weights.foreign.checkpoint import Checkpoint, read_checkpoint
from lightpose.weights.foreign.mmpose import read_meta
from lightpose.weights.foreign.names import their_name
from lightpose.weights.foreign.recognise import Recognised, recognise
from lightpose.weights.foreign.settings import Settings, settle

__all__ = ["CAFFE", "Imported", "fit_tensors", "identify", "import_checkpoint"]

_COUNTERS = re.compile(r"(^|\.)(num_batches_tracked|total_ops|total_params)$")
"""What a checkpoint may have or lack: batch norms' counts, and what the profiler thop leaves in networks."""

CAFFE = (
    "by its name {path} is a ResNet in Caffe's style, with strides elsewhere, which lightpose has not; rename it if it "
    "is none"
)


@dataclass(frozen=True, eq=False)
class Imported:
    """A network out of another project's checkpoint, in evaluation mode.

    found: what it was recognised as. origins: where each setting of the spec is from, see `settle`.
    """

    network: nn.Module
    spec: ModelSpec
    found: Recognised
    origins: dict[str, str]


def identify(path: str | Path, asked: Settings | None = None) -> tuple[Recognised, ModelSpec, dict[str, str]]:
    """What a checkpoint holds, its spec, and where each setting is from. Raises as `import_checkpoint` does."""
    return _identify(read_checkpoint(path), Path(path), asked)


def import_checkpoint(path: str | Path, asked: Settings | None = None) -> Imported:
    """Read a checkpoint of the LPN authors, Microsoft's pose_resnet or pose_hrnet, or MMPose.

    asked: settings that go before what the file says or such networks usually have. Raises WeightsError if the file
    cannot be read without running code, is no such network, or has a tensor too many, too few, of another shape or
    with values that are no numbers.
    """
    path = Path(path)
    checkpoint = read_checkpoint(path)
    found, spec, origins = _identify(checkpoint, path, asked)
    with torch.device("meta"):
        network = build(spec)
    state = fit_tensors(network.state_dict(), checkpoint.tensors, found.names, path, found.model)
    network.load_state_dict(state, assign=True)
    return Imported(network.eval(), spec, found, origins)


def _identify(
    checkpoint: Checkpoint, path: Path, asked: Settings | None
) -> tuple[Recognised, ModelSpec, dict[str, str]]:
    found = recognise({name: tuple(tensor.shape) for name, tensor in checkpoint.tensors.items()}, path)
    if found.model.startswith("simple") and "caffe" in path.name.lower():
        raise WeightsError(CAFFE.format(path=path))
    spec, origins = settle(found, asked or Settings(), read_meta(checkpoint.meta), path)
    return found, spec, origins


def fit_tensors(
    wanted: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    names: Mapping[str, str],
    path: Path,
    what: str,
    spare: re.Pattern[str] | None = None,
) -> dict[str, Tensor]:
    """The tensors of a checkpoint as float32 under our names; raises WeightsError unless they fit one to one.

    wanted: fresh ones. names: theirs without prefixes → as in the file. what: the network. spare: beginnings of names
    that may be left over.
    """
    theirs = {name: their_name(name) for name in wanted}
    missing = [name for name in theirs.values() if name not in names and not _COUNTERS.search(name)]
    if missing:
        raise WeightsError(f"{path} lacks {_listed(missing)} of {what}; it is not whole or of another kind")
    places = set(theirs.values())
    extra = [
        name
        for short, name in names.items()
        if short not in places and not _COUNTERS.search(short) and not (spare and spare.match(short))
    ]
    if extra:
        raise WeightsError(f"{path} holds {_listed(extra)}, for which {what} has no place")
    state = {}
    for name, fresh in wanted.items():
        own = names.get(theirs[name])
        if own is None:  # a batch norm's count
            state[name] = torch.zeros(fresh.shape, dtype=fresh.dtype)
        else:
            state[name] = _copy(tensors[own], fresh, f"{path}: {own}", what)
    return state


def _copy(stored: Tensor, fresh: Tensor, what: str, model: str) -> Tensor:
    """A copy, of the type wanted, that shares memory with no other. Raises WeightsError if it does not fit."""
    if stored.shape != fresh.shape:
        shapes = f"{tuple(stored.shape)}, not {tuple(fresh.shape)}"
        raise WeightsError(f"{what} has the shape {shapes} as in {model}; this is a variant that lightpose has not")
    if stored.layout != torch.strided or stored.is_quantized or stored.is_complex() or stored.is_meta:
        raise WeightsError(f"{what} is stored as {stored.dtype} ({stored.layout}); import the network in float32")
    copied = stored.detach().to(fresh.dtype, copy=True, memory_format=torch.contiguous_format)
    if not copied.isfinite().all():
        raise WeightsError(f"{what} has values that are no numbers; the file is damaged or its training diverged")
    return copied


def _listed(names: Iterable[str]) -> str:
    """The first names of several, and how many there are."""
    names = list(names)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"
