"""What every training run is told, whatever it trains: frozen dataclasses that a TOML file fills."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lightpose.errors import ConfigError
from lightpose.limits import FACTORS, LARGEST_INT, check_range

__all__ = ["FeatureDistillationConfig", "OptimConfig", "PlanConfig", "RunConfig"]

RATES, NORMS = (1e-10, 10.0), (1e-6, 1e9)
"""Of less, float32 weights do not move; of more, they leave all sense in a step."""
LARGEST_BATCH, LARGEST_EPOCHS, LARGEST_STAGES, LARGEST_PAUSE_S = 2**16, 10**6, 1000, 1e9


@dataclass(frozen=True)
class OptimConfig:
    """Optimizer and learning rate. The defaults are the paper's: Adam, 1e-3, divided by 10 at epochs 90 and 120 of 150.

    schedule: `steps` divides by 10 at the milestones; `cosine` falls to zero, after warmup_epochs of linear rise.
    batch: persons a step (images, for a detector), over all processes; accumulate: parts that a process takes them
    in, one after the other. ema: decay of a running average of the weights that is evaluated and kept instead of them;
    0 for none. sync_bn: batch norm over all GPUs instead of each for itself. frozen: parts of the network, by name,
    that stay as they start, statistics of batch norm included; `stem` and `layers.0` are the first of an LPN.
    """

    optimizer: Literal["adam", "adamw"] = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    batch: int = 32
    accumulate: int = 1
    epochs: int = 150
    schedule: Literal["steps", "cosine"] = "steps"
    milestones: tuple[int, ...] = (90, 120)
    warmup_epochs: float = 0.0
    ema: float = 0.0
    clip_norm: float = 0.0
    sync_bn: bool = False
    frozen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_range("optim.lr", self.lr, *RATES)
        check_range("optim.weight_decay", self.weight_decay, 0, 1)
        for name in ("batch", "accumulate"):
            check_range(f"optim.{name}", getattr(self, name), 1, LARGEST_BATCH)
        check_range("optim.epochs", self.epochs, 1, LARGEST_EPOCHS)
        for number, milestone in enumerate(self.milestones):
            check_range(f"optim.milestones[{number}]", milestone, 1, LARGEST_EPOCHS)
        if not 0 <= self.warmup_epochs <= self.epochs:
            raise ConfigError(
                f"optim.warmup_epochs must be from 0 to optim.epochs, which is {self.epochs}, not {self.warmup_epochs}"
            )
        if not 0 <= self.ema < 1:
            raise ConfigError(f"optim.ema must be in [0, 1), not {self.ema}")
        check_range("optim.clip_norm", self.clip_norm, *NORMS, or_zero=True)


@dataclass(frozen=True)
class PlanConfig:
    """Stages of a run. `single` is one; `iterative` is the paper's strategy (Section 3.3).

    There, `stages` more follow the first, each from the best weights of the stage before, with a fresh optimizer and
    the learning rate of epoch `restart_epoch` on: 150 + 6 · 90 = 690 epochs in all.
    """

    kind: Literal["single", "iterative"] = "single"
    stages: int = 6
    restart_epoch: int = 60

    def __post_init__(self) -> None:
        check_range("plan.stages", self.stages, 1, LARGEST_STAGES)
        check_range("plan.restart_epoch", self.restart_epoch, 0, LARGEST_EPOCHS)


@dataclass(frozen=True)
class FeatureDistillationConfig:
    """Learning from the feature maps of a trained network beside the labels, from every image alike.

    teacher: a file of a program from normalised images to maps, such as examples/default/nanodet.py makes: .onnx for
    a CPU, or what torch.export.save wrote; empty for none. weight: factor of the loss against them, which is from 0 to
    2. trust: whether a teacher of the second kind may be opened, which can run any code that its maker put into it.
    """

    teacher: str = ""
    weight: float = 4.0
    trust: bool = False

    def __post_init__(self) -> None:
        if self.teacher and Path(self.teacher).suffix != ".onnx" and not self.trust:
            raise ConfigError(
                f"feature_distillation.teacher {self.teacher} is no .onnx file: opening it can run code that is in it; "
                "name an .onnx file, or set trust = true beside it if you know who made it"
            )
        check_range("feature_distillation.weight", self.weight, *FACTORS, or_zero=True)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A training run, save what it trains and on which data.

    out: folder for checkpoints, weights and logs. device: `auto` takes a GPU if there is one. amp: half precision in
    the network; `auto` is bf16 where the device computes in it natively. compile: torch.compile, seconds to minutes at
    the start. evaluate_every: epochs between validations. preview_every: epochs between images of predictions, 0 for
    none; they are made at validations. checkpoint_every_s: seconds between checkpoints within an epoch.
    """

    out: str
    optim: OptimConfig = field(default_factory=OptimConfig)
    plan: PlanConfig = field(default_factory=PlanConfig)
    feature_distillation: FeatureDistillationConfig = field(default_factory=FeatureDistillationConfig)
    seed: int = 0
    device: str = "auto"
    amp: Literal["off", "auto", "bf16", "fp16"] = "off"
    compile: bool = False
    evaluate_every: int = 1
    preview_every: int = 5
    checkpoint_every_s: float = 300.0

    def __post_init__(self) -> None:
        check_range("evaluate_every", self.evaluate_every, 1, LARGEST_INT)
        for name in ("seed", "preview_every"):
            check_range(name, getattr(self, name), 0, LARGEST_INT)
        check_range("checkpoint_every_s", self.checkpoint_every_s, 0, LARGEST_PAUSE_S)
        if self.plan.kind == "iterative" and self.plan.restart_epoch >= self.optim.epochs:
            raise ConfigError(
                f"plan.restart_epoch {self.plan.restart_epoch} must be before the end, optim.epochs {self.optim.epochs}"
            )
