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
    """Train a pose network or person detector, or continue a run that was stopped.

    config: a TOML file, a TrainConfig or a DetectorConfig. callbacks: objects that are told how the run goes, in the
    first process only. Files for TensorBoard are written in any case. Under torchrun, every process calls this
    function, and they train together. Raises ConfigError, DataError or WeightsError if the configuration, the data or
    the initial weights cannot be used. Raises TrainingError if the loss becomes NaN or infinite.

        config = train.read_config("mine.toml")
        best = train.run(dataclasses.replace(config, out="runs/other"), [train.Lines(print)])
    """
    try:
        from lightpose.train.places import check_files
        from lightpose.train.session import train
    except ImportError as error:
        raise MissingPackageError("torch", "train") from error
    file = Path(config) if isinstance(config, str | Path) else None
    settings = read_config(config) if isinstance(config, str | Path) else config
    check_files(settings, file)
    return train(settings, callbacks)


def read_config(path: str | Path) -> AnyConfig:
    """Read a TOML file: a DetectorConfig if its model is a detector, otherwise a TrainConfig.

    Raises ConfigError, which names the key, if a key is unknown, missing or of the wrong type.
    """
    try:
        from lightpose.train import tasks
    except ImportError as error:
        raise MissingPackageError("torch", "train") from error
    return tasks.read_config(path)
