"""A run's figures and images as TensorBoard shows them, and the images as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightpose.errors import MissingPackageError
from lightpose.io.files import write_aside
from lightpose.io.images import encode_image
from lightpose.train.callbacks import FIGURES, Epoch, StageResult, Started
from lightpose.train.places import PREVIEWS
from lightpose.types import ImageArray

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError as error:
    raise MissingPackageError("tensorboard", "train") from error

__all__ = ["TensorBoard"]


class TensorBoard:
    """A Report that TensorBoard shows: it writes to `out`/tensorboard, and previews to `out`/previews as well.

    What a killed run wrote beyond its last checkpoint is hidden once the run is taken up again.
    """

    def __init__(self, out: str | Path) -> None:
        self._out = Path(out)
        self._writer: SummaryWriter | None = None
        self._steps = 0

    def close(self) -> None:
        """Write out what is left, and let the files go."""
        if self._writer is not None:
            self._writer.close()

    def preparing(self, name: str, done: int, total: int) -> None:
        """Nothing to keep."""

    def started(self, run: Started) -> None:
        """Nothing to keep."""

    def resumed(self, epoch: int, step: int) -> None:
        """Nothing to keep."""

    def stepped(self, epoch: int, step: int, steps: int, loss: float, lr: float) -> None:
        self._steps = epoch * steps + step
        if self._writer is None:
            folder = self._out / "tensorboard"
            self._writer = SummaryWriter(str(folder), purge_step=self._steps)
        self._scalar("train/loss", loss)
        self._scalar("train/learning_rate", lr)

    def evaluated(self, epoch: Epoch) -> None:
        for name, value in epoch.figures.items():
            self._scalar(f"val/{FIGURES[name]}", value)
        self._scalar("train/epoch_loss", epoch.loss)

    def previewed(self, epoch: int, picture: ImageArray) -> None:
        path = self._out / PREVIEWS / f"epoch_{epoch + 1:04}.jpg"
        path.parent.mkdir(exist_ok=True)
        write_aside(path, encode_image(picture, ".jpg"))
        if self._writer is not None:
            self._writer.add_image("val/labels_and_predictions", picture, self._steps, dataformats="HWC")

    def finished(self, stages: Sequence[StageResult]) -> None:
        self._scalar("stage/AP", stages[-1].ap)
        if self._writer is not None:
            self._writer.flush()

    def _scalar(self, name: str, value: float) -> None:
        if self._writer is not None:
            self._writer.add_scalar(name, value, self._steps)
