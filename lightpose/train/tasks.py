"""What can be trained: the configuration of each task, and what it becomes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lightpose.models import DETECTORS, MODELS
from lightpose.train.config import TrainConfig
from lightpose.train.detection import DetectionTask
from lightpose.train.detector_config import DetectorConfig
from lightpose.train.pose import PoseTask
from lightpose.train.task import Task
from lightpose.train.toml import fill, read_toml
from lightpose.types import TaskName

__all__ = ["TASKS", "AnyConfig", "Trainable", "read_config", "trainable"]

AnyConfig = TrainConfig | DetectorConfig


@dataclass(frozen=True)
class Trainable:
    """config: of a run. models: the names in it that mean this task. make: the Task of a configuration on a device.

    shows: what an epoch shows, in a word.
    """

    config: type[AnyConfig]
    models: Collection[str]
    make: Callable[[Any, torch.device], Task[Any]]
    shows: str


TASKS: dict[TaskName, Trainable] = {
    "pose": Trainable(TrainConfig, MODELS, PoseTask, "crops"),
    "detector": Trainable(DetectorConfig, DETECTORS, DetectionTask, "images"),
}


def trainable(config: AnyConfig) -> Trainable:
    """The row of a configuration."""
    return next(row for row in TASKS.values() if isinstance(config, row.config))


def read_config(path: str | Path) -> AnyConfig:
    """The configuration in a TOML file, of the task that its model is for; pose if that is told by none.

    Raises ConfigError naming the key that is unknown, missing or of the wrong kind.
    """
    table = read_toml(path)
    model = table.get("model")
    name = model.get("name") if isinstance(model, dict) else None
    row = next((row for row in TASKS.values() if name in list(row.models)), TASKS["pose"])
    return fill(row.config, table, path)
