"""`lightpose train`: train a network as a TOML file says."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from tyro.conf import Positional

from lightpose.cli.console import bars
from lightpose.paper.facts import STAGES

__all__ = ["Train"]

if TYPE_CHECKING:
    from rich.progress import Progress

    from lightpose.train.callbacks import Epoch, StageResult
    from lightpose.train.config import TrainConfig
    from lightpose.train.detector_config import DetectorConfig
    from lightpose.types import ImageArray

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of <malloc.h>."""


@dataclass(frozen=True)
class Train:
    """Train a network as a TOML file says, or go on with a run that was stopped.

    Needs `pip install 'lightpose[train]'`. Example: lightpose train examples/paper.toml

    On several GPUs: torchrun --nproc-per-node 8 -m lightpose train examples/paper.toml
    """

    config: Positional[Path]
    """The TOML file; see examples/."""

    def run(self) -> int:
        """0 when the last epoch is done."""
        from lightpose.errors import MissingPackageError

        try:
            from lightpose.train.config import read_config
        except ImportError as error:
            raise MissingPackageError("torch", "train") from error
        train(read_config(self.config))
        return 0


def train(config: TrainConfig | DetectorConfig) -> None:
    """Train as configured, with progress on the terminal and in TensorBoard."""
    from lightpose.train.callbacks import Reports
    from lightpose.train.distributed import join
    from lightpose.train.loop import Trainer
    from lightpose.train.schedule import total_epochs
    from lightpose.train.tensorboard import TensorBoard

    with (
        join(config.device) as (world, device),
        bars(world.first) as progress,
        contextlib.closing(TensorBoard(config.out)) as tensorboard,
    ):
        if device.type == "cpu":
            _keep_freed_memory()
        console = _Console(progress, config.model.name, total_epochs(config.plan, config.optim))
        best = Trainer(config, Reports([console, tensorboard]), world, device).run()
    if world.first:
        weights = Path(config.out) / "best.safetensors"
        print(f"best AP {100 * best.best_ap:.1f} at epoch {best.best_epoch + 1}: {weights}")
        print(f"to use it without torch: lightpose export {weights} --out {config.out}/best.onnx")


def _keep_freed_memory() -> None:
    """Let glibc keep what a step frees for the next one: returned pages cost a tenth of a step to be zeroed anew."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1)):
            mallopt(option, value)


class _Console:
    """Shows a run as progress bars, a line for each validated epoch, and a table after each stage."""

    def __init__(self, progress: Progress, model: str, epochs: int) -> None:
        self._progress, self._model, self._epochs = progress, model, epochs
        self._store = progress.add_task("cropping", total=None, visible=False, note="")
        self._epoch = progress.add_task("epoch", total=None, note="")

    def preparing(self, name: str, done: int, total: int) -> None:
        self._progress.update(self._store, completed=done, total=total, visible=done < total, note=name)

    def resumed(self, epoch: int, step: int) -> None:
        self._progress.print(f"going on at epoch {epoch + 1}, step {step + 1}")

    def stepped(self, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:
        note = f"loss {loss:.4f}  lr {lr:.1e}"
        description = f"epoch {epoch + 1}/{self._epochs}"
        self._progress.update(self._epoch, completed=step, total=steps, description=description, note=note)

    def evaluated(self, epoch: Epoch) -> None:
        from lightpose.train.callbacks import FIGURES

        figures = "  ".join(f"{FIGURES[name]} {100 * value:5.1f}" for name, value in epoch.figures.items())
        best = "  best" if epoch.best else ""
        self._progress.print(f"epoch {epoch.number + 1:4}  loss {epoch.loss:.4f}  {figures}{best}")

    def previewed(self, epoch: int, picture: ImageArray) -> None:
        """Nothing to show on a terminal."""

    def finished(self, stages: Sequence[StageResult]) -> None:
        paper = STAGES.get(self._model, ())
        table = Table("stage", "best AP", "gain", "epoch", "paper, COCO", "paper's gain", title="stages")
        for result in stages:
            gain = f"{100 * (result.ap - stages[result.stage - 1].ap):+.2f}" if result.stage else ""
            theirs = f"{paper[result.stage]:.2f}" if result.stage < len(paper) else ""
            their_gain = f"{paper[result.stage] - paper[result.stage - 1]:+.2f}" if theirs and result.stage else ""
            table.add_row(str(result.stage), f"{100 * result.ap:.2f}", gain, str(result.epoch + 1), theirs, their_gain)
        self._progress.print(table)
