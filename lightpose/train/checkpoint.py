"""Saving a run whole and taking it up again."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from lightpose.errors import ConfigError, WeightsError
from lightpose.io.files import write_aside
from lightpose.train.toml import RENAMED

__all__ = ["Progress", "load_checkpoint", "save_checkpoint"]


@dataclass
class Progress:
    """How far a run is: the epoch of the whole run, the steps done in it, and the best so far.

    loss: sum over the steps done. best_ap, best_epoch: of the run, stage_ap, stage_epoch: of the stage; -1 for none
    yet. epochs, stages: what was measured after each, as it is written to `log.json`.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    best_ap: float = -1.0
    best_epoch: int = -1
    stage_ap: float = -1.0
    stage_epoch: int = -1
    epochs: list[dict[str, float]] = field(default_factory=list)
    stages: list[dict[str, float]] = field(default_factory=list)


def save_checkpoint(path: Path, progress: Progress, fingerprint: dict[str, Any], parts: dict[str, Any]) -> None:
    """Write state dicts and progress, whole or not at all. parts: anything with a `state_dict`, by name."""
    content = io.BytesIO()
    states = {name: part.state_dict() for name, part in parts.items()}
    torch.save({"progress": vars(progress), "fingerprint": fingerprint, "states": states}, content)
    write_aside(path, content.getvalue())


def load_checkpoint(content: bytes, path: Path, fingerprint: dict[str, Any], parts: dict[str, Any]) -> Progress:
    """Fill the parts from a checkpoint's bytes and return its progress. path: where it was, for errors.

    Raises ConfigError if it is of a run with other settings, WeightsError if the file is damaged or of another version.
    """
    try:
        stored = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        found, states, progress = stored["fingerprint"], stored["states"], Progress(**stored["progress"])
        found = {RENAMED.get(name, name): value for name, value in found.items()}
        if stored["progress"].keys() != vars(progress).keys():
            raise ValueError("it lacks what this version writes")
    except Exception as error:  # torch raises a different kind for each way a file can be damaged
        raise WeightsError(f"{path} is not a whole checkpoint of this version; delete it to start anew") from error
    changed = _differences(found, fingerprint)
    if changed:
        raise ConfigError(
            f"{path.parent} holds a run with another {', '.join(changed)}; name another `out`, or delete that folder"
        )
    for name, part in parts.items():
        part.load_state_dict(states[name])
    return progress


def _differences(found: Any, wanted: Any, key: str = "") -> list[str]:
    """Dotted names of the settings that differ."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = sorted({*found, *wanted})
        return [
            each
            for name in names
            for each in _differences(found.get(name), wanted.get(name), f"{key}.{name}" if key else name)
        ]
    return [] if found == wanted else [key]
