"""`lightpose train`: train a network as a TOML file says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table
from tyro.conf import Positional

from lightpose.cli.console import bars
from lightpose.cli.marks import Reads
from lightpose.paper.facts import STAGES

__all__ = ["Train"]

if TYPE_CHECKING:
    from rich.progress import Progress

    from lightpose.train import TrainingResult
    from lightpose.train.callbacks import Epoch, StageResult, Started
    from lightpose.train.tasks import AnyConfig
    from lightpose.types import ImageArray


@dataclass(frozen=True)
class Train:
    """Train a network as a TOML file says, or go on with a run that was stopped.

    Needs `pip install 'lightpose[train]'`. Example: lightpose train examples/paper.toml

    On several GPUs: torchrun --nproc-per-node 8 -m lightpose train examples/paper.toml
    """

    config: Positional[Reads]
    """The TOML file; see examples/."""

    def run(self) -> int:
        """0 when the last epoch is done."""
        from lightpose.train import read_config

        config = read_config(self.config)
        from lightpose.train.distributed import this_process  # needs torch, of which the above tells if it is missing
        from lightpose.train.places import check_files

        check_files(config, self.config)
        best = train(config)

        if this_process().first:
            print(f"best AP {100 * best.best_ap:.1f} at epoch {best.best_epoch + 1}: {best.weights}")
            print(f"to use it without torch: lightpose export {best.weights} --out {best.weights.with_suffix('.onnx')}")
        return 0


def train(config: AnyConfig) -> TrainingResult:
    """Train as configured: bars and a line an epoch on a terminal, elsewhere lines alone, one a minute at least."""
    from lightpose.train import Lines, run
    from lightpose.train.distributed import this_process

    with bars(this_process().first) as progress:
        every_s = math.inf if progress.console.is_terminal else 60.0
        lines = Lines(lambda line: progress.console.print(line, markup=False, soft_wrap=True), every_s)
        return run(config, [lines, _Bars(progress, config.model.name)])


class _Bars:
    """Shows a run as progress bars, and a table after each stage."""

    def __init__(self, progress: Progress, model: str) -> None:
        self._progress, self._model, self._epochs = progress, model, 0
        self._store = progress.add_task("cropping", total=None, visible=False, note="")
        self._epoch = progress.add_task("epoch", total=None, note="")

    def preparing(self, name: str, done: int, total: int) -> None:
        self._progress.update(self._store, completed=done, total=total, visible=done < total, note=name)

    def started(self, run: Started) -> None:
        self._epochs = run.epochs

    def resumed(self, epoch: int, step: int) -> None:
        """The lines say it."""

    def stepped(self, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:
        note = f"loss {loss:.4f}  lr {lr:.1e}"
        description = f"epoch {epoch + 1}/{self._epochs}"
        self._progress.update(self._epoch, completed=step, total=steps, description=description, note=note)

    def evaluated(self, epoch: Epoch) -> None:
        """The lines say it."""

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
