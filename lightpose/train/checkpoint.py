"""Saving a run whole and taking it up again."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lightpose.errors import ConfigError, WeightsError
from lightpose.images import write_aside

__all__ = ["Progress", "load_checkpoint", "save_checkpoint"]


@dataclass
class Progress:
    """How far a run is: the epoch, the steps done in it, and the best validation AP so far."""

    epoch: int = 0
    step: int = 0
    best_ap: float = -1.0
    best_epoch: int = -1


def save_checkpoint(path: Path, progress: Progress, fingerprint: dict[str, Any], parts: dict[str, Any]) -> None:
    """Write state dicts and progress, whole or not at all. parts: anything with a `state_dict`, by name."""
    content = io.BytesIO()
    states = {name: part.state_dict() for name, part in parts.items()}
    torch.save({"progress": vars(progress), "fingerprint": fingerprint, "states": states}, content)
    write_aside(path, content.getvalue())


def load_checkpoint(path: Path, fingerprint: dict[str, Any], parts: dict[str, Any]) -> Progress:
    """Fill the parts from a checkpoint and return its progress.

    Raises ConfigError if it is of a run with other settings, WeightsError if the file is damaged.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found, states = content["fingerprint"], content["states"]
    except Exception as error:  # torch raises a different kind for each way a file can be damaged
        raise WeightsError(f"{path} is not a whole checkpoint; delete it to start anew") from error
    changed = sorted(key for key in {*found, *fingerprint} if found.get(key) != fingerprint.get(key))
    if changed:
        raise ConfigError(
            f"{path.parent} holds a run with another {', '.join(changed)}; name another `out`, or delete that folder"
        )
    for name, part in parts.items():
        part.load_state_dict(states[name])
    return Progress(**content["progress"])
