"""A whole run, in one process or one of several: devices, TensorBoard, the loop, and what came of it."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Sequence
from pathlib import Path

from lightpose.train.callbacks import Report, Reports, TrainingResult
from lightpose.train.distributed import join
from lightpose.train.loop import Trainer
from lightpose.train.tasks import AnyConfig
from lightpose.train.tensorboard import TensorBoard

__all__ = ["train"]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of <malloc.h>."""


def train(config: AnyConfig, callbacks: Sequence[Report]) -> TrainingResult:
    """Train as configured to the end; see `lightpose.train.run`."""
    with join(config.device) as (world, device), contextlib.closing(TensorBoard(config.out)) as tensorboard:
        if device.type == "cpu":
            _keep_freed_memory()
        best = Trainer(config, Reports([*callbacks, tensorboard]), world, device).run()
        ap, epoch = world.share((best.best_ap, best.best_epoch))
    out = Path(config.out)
    return TrainingResult(out / "best.safetensors", out / "log.json", ap, epoch)


def _keep_freed_memory() -> None:
    """Let glibc keep what a step frees for the next one: returned pages cost a tenth of a step to be zeroed anew."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1)):
            mallopt(option, value)
