"""`lightpose train`: train a network as a TOML file says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from lightpose.cli.console import bars

if TYPE_CHECKING:
    from rich.progress import Progress

    from lightpose.evaluate.coco import Evaluation


@dataclass(frozen=True)
class Train:
    """Train a network as a TOML file says, or go on with a run that was stopped.

    Needs `pip install 'lightpose[train]'`. Example: lightpose train examples/paper.toml
    """

    config: Positional[Path]
    """The TOML file; see examples/."""

    def run(self) -> int:
        """0 when the last epoch is done."""
        from lightpose.errors import MissingPackageError

        try:
            from lightpose.train.config import read_config
            from lightpose.train.loop import Trainer
        except ImportError as error:
            raise MissingPackageError("torch", "train") from error
        config = read_config(self.config)
        with bars() as progress:
            best = Trainer(config, _Console(progress, config.optim.epochs)).run()
        weights = Path(config.out) / "best.safetensors"
        print(f"best AP {100 * best.best_ap:.1f} at epoch {best.best_epoch + 1}: {weights}")
        print(f"to use it without torch: lightpose export {weights} --out {config.out}/best.onnx")
        return 0


class _Console:
    """Shows a run as progress bars and a line for each validated epoch."""

    def __init__(self, progress: Progress, epochs: int) -> None:
        self._progress, self._epochs = progress, epochs
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

    def evaluated(self, epoch: int, loss: float, evaluation: Evaluation, best: bool) -> None:
        scores = evaluation.scores
        figures = f"AP {100 * scores.ap:5.1f}  AP50 {100 * scores.ap50:5.1f}  PCK@0.1 {100 * evaluation.pck():5.1f}"
        self._progress.print(f"epoch {epoch + 1:4}  loss {loss:.4f}  {figures}{'  best' if best else ''}")
