"""Training: configuration, loss, the loop, checkpoints.

from lightpose import train
print(train.run("examples/paper.toml", [train.Lines(print)]).weights)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightpose.errors import MissingPackageError
from lightpose.train.callbacks import Lines, Report, TrainingResult

__all__ = ["Lines", "Report", "TrainingResult", "read_config", "run"]

if TYPE_CHECKING:
    from lightpose.train.tasks import AnyConfig


def run(config: str | Path | AnyConfig, callbacks: Sequence[Report] = ()) -> TrainingResult:
    """Train a pose network or person detector, or go on with a run that was stopped.

    config: a TOML file, or a TrainConfig or DetectorConfig. callbacks: told of the run as it goes on, in the first
    process alone; TensorBoard always is. The processes that torchrun starts train together: each calls this.
    Raises ConfigError, DataError or WeightsError for what cannot be trained, TrainingError if the loss is no number.

        config = train.read_config("mine.toml")
        best = train.run(dataclasses.replace(config, out="runs/other"), [train.Lines(print)])
    """
    try:
        from lightpose.train.session import train
    except ImportError as error:
        raise MissingPackageError("torch", "train") from error
    return train(read_config(config) if isinstance(config, str | Path) else config, callbacks)


def read_config(path: str | Path) -> AnyConfig:
    """The configuration in a TOML file; a DetectorConfig if its model is a detector, else a TrainConfig.

    Raises ConfigError naming the key that is unknown, missing or of the wrong kind.
    """
    try:
        from lightpose.train import tasks
    except ImportError as error:
        raise MissingPackageError("torch", "train") from error
    return tasks.read_config(path)
