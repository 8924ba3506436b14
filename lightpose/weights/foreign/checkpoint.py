"""Reading a checkpoint without running any code that it may carry."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightpose.errors import MissingPackageError, WeightsError, brief
from lightpose.types import SPEC_KEY

__all__ = ["Checkpoint", "read_checkpoint"]

_WRAPPERS = ("state_dict", "model_state_dict", "model")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a file holds: tensors by name, and what MMPose wrote beside them (its `meta`), if it did."""

    tensors: dict[str, Tensor]
    meta: Mapping[Any, Any]


class _Ignored:
    """Takes the place of what training leaves beside the tensors, such as a best score; does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Ignored:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


_BESIDE_TENSORS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    type(name, (_Ignored,), {"__module__": module})
    for module, names in {
        "numpy": ("dtype", "ndarray"),
        "numpy.core.multiarray": ("_reconstruct", "scalar"),
        "numpy._core.multiarray": ("_reconstruct", "scalar"),
        "numpy.dtypes": ("Float32DType", "Float64DType", "Int32DType", "Int64DType", "UInt8DType", "BoolDType"),
        "mmengine.logging.history_buffer": ("HistoryBuffer",),
    }.items()
    for name in names
]
"""In place of numpy's arrays and scalars and of MMPose's records of training: read as nothing, to have the tensors."""


def read_checkpoint(path: str | Path) -> Checkpoint:
    """The tensors of a PyTorch (.pth, .pth.tar, .pt) or safetensors file, on the CPU; nothing in it is executed.

    A state dict under `state_dict`, `model_state_dict` or `model` is found. Raises WeightsError if the file is missing,
    damaged, not a checkpoint, or holds anything beyond tensors that reading would have to execute.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no checkpoint at {path}; give a file")
    if path.suffix.lower() == ".onnx":
        raise WeightsError(f"{path} is an ONNX graph, not a checkpoint; a .pth or .safetensors file can be imported")
    content = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read_torch(path)
    meta = content.get("meta") if isinstance(content, Mapping) else None
    found = _unwrap(content)
    tensors = {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, Tensor)}
    strange = next((name for name in found if name not in tensors), None)
    if not tensors or strange is not None:
        what = "no tensors" if not tensors else f"{strange!r}, which is no tensor"
        raise WeightsError(f"{path} holds {what}; give a checkpoint, or the state_dict() of a network alone")
    return Checkpoint(tensors, meta if isinstance(meta, Mapping) else {})


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        import safetensors
    except ImportError as error:
        raise MissingPackageError("safetensors", "train") from error
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            if SPEC_KEY in (file.metadata() or {}):
                raise WeightsError(f"{path} is lightpose's own already; use it as it is")
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file ({brief(error)})") from error


def _read_torch(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        raise WeightsError(f"{path} is empty; copy or download it again")
    if start.lstrip()[:1] in (b"<", b"{") or start.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"{path} is text, perhaps a download page saved in place of the checkpoint; download it again"
        )
    try:
        if start.startswith(b"PK"):
            _check_archive(path)
        with torch.serialization.safe_globals(_BESIDE_TENSORS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # torch raises many kinds, one for each way a pickle can be damaged
        raise WeightsError(_refusal(path, str(error))) from error


def _check_archive(path: Path) -> None:
    """Refuse programs, and archives that grow when they are read: torch.save writes neither."""
    with zipfile.ZipFile(path) as archive:
        if any(name.endswith("/constants.pkl") for name in archive.namelist()):
            raise WeightsError(f"{path} is a TorchScript program; save the state_dict() of the network instead")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise WeightsError(f"{path} is a compressed archive, not a file that PyTorch wrote; unpack it first")


def _refusal(path: Path, reason: str) -> str:
    code = re.search(r"GLOBAL ([\w.]+)|function ([\w.<> ]+)", reason)
    if code:
        return (
            f"{path} would have to run code to be read ({code[1] or code[2]}), which lightpose does not; save the "
            "state_dict() of the network alone"
        )
    return f"{path} is not a whole PyTorch checkpoint; copy or download it again"


def _unwrap(content: Any) -> Mapping[Any, Any]:
    """The state dict, out of what training scripts wrap around it."""
    if not isinstance(content, Mapping):
        return {}
    for key in _WRAPPERS:
        if isinstance(content.get(key), Mapping):
            return _unwrap(content[key])
    return content
