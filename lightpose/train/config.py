"""The configuration of a training run: frozen dataclasses that a TOML file fills."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lightpose.data.augment import AugmentConfig
from lightpose.errors import ConfigError
from lightpose.skeletons import get_skeleton
from lightpose.train.loss import LossConfig
from lightpose.train.toml import read_toml
from lightpose.types import GeometryName, ModelSpec

__all__ = [
    "DataConfig",
    "DistillConfig",
    "ModelConfig",
    "OptimConfig",
    "PlanConfig",
    "SourceConfig",
    "TrainConfig",
    "read_config",
]


@dataclass(frozen=True)
class SourceConfig:
    """A COCO keypoint file and the folder of its pictures.

    repeat: how often each person is shown in an epoch; of 2.5, everybody twice and a random half once more.
    label_weights: what joints of visibility 1 (hidden, or labelled by a network) and 2 (visible) weigh in the loss.
    """

    annotations: str
    images: str
    repeat: float = 1.0
    label_weights: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 < self.repeat < math.inf:
            raise ConfigError(f"data source {self.annotations}: repeat must be above 0, not {self.repeat}")
        if not all(0 <= weight < math.inf for weight in self.label_weights) or not any(self.label_weights):
            raise ConfigError(
                f"data source {self.annotations}: label_weights must not be below 0, nor both 0: {self.label_weights}"
            )


@dataclass(frozen=True)
class DataConfig:
    """train: what to learn from. val: what chooses the best epoch. store: where cut-out crops are kept between runs.

    verify: compare the stored crops with their checksums before each run. on_device: keep all crops in the GPU's memory
    where they fit in half of it, so that nothing but the GPU limits training.
    """

    train: tuple[SourceConfig, ...]
    val: SourceConfig
    store: str = "runs/crops"
    verify: bool = True
    on_device: bool = True

    def __post_init__(self) -> None:
        if not self.train:
            raise ConfigError("the configuration has no [[data.train]] source; name at least one")


@dataclass(frozen=True)
class ModelConfig:
    """The network to train; see ModelSpec. skeleton: a built-in name or a .toml file.

    gc: global context, of the LPN models. init: `paper` (every convolution from N(0, 0.001)), `kaiming`, or a
    .safetensors file to start from; joints that it does not have start anew.
    """

    name: str = "lpn50"
    skeleton: str = "coco17"
    input_hw: tuple[int, int] = (256, 192)
    gc: bool = True
    geometry: GeometryName = "msra"
    sigma: float = 2.0
    exact_target: bool = False
    init: str = "paper"

    def spec(self) -> ModelSpec:
        """What the trained weights will say of themselves."""
        return ModelSpec(
            model=self.name,
            skeleton=get_skeleton(self.skeleton),
            input_hw=self.input_hw,
            options={"gc": self.gc} if self.name.startswith("lpn") else {},
            geometry=self.geometry,
            sigma=self.sigma,
        )


@dataclass(frozen=True)
class OptimConfig:
    """Optimizer and learning rate. The defaults are the paper's: Adam, 1e-3, divided by 10 at epochs 90 and 120 of 150.

    schedule: `steps` divides by 10 at the milestones; `cosine` falls to zero, after warmup_epochs of linear rise.
    batch: persons a step, over all processes; accumulate: parts that a process takes them in, one after the other.
    ema: decay of a running average of the weights that is evaluated and kept instead of them; 0 for none.
    sync_bn: batch norm over all GPUs instead of each for itself.
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

    def __post_init__(self) -> None:
        for name in ("lr", "batch", "accumulate", "epochs"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"optim.{name} must be finite and above 0, not {getattr(self, name)}")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"optim.ema must be in [0, 1), not {self.ema}")
        for name in ("weight_decay", "warmup_epochs", "clip_norm"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"optim.{name} must be finite and not below 0, not {getattr(self, name)}")


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
        if self.stages < 1 or self.restart_epoch < 0:
            raise ConfigError("plan.stages must be at least 1 and plan.restart_epoch not below 0")


@dataclass(frozen=True)
class DistillConfig:
    """Learning from another network's heatmaps beside the labels.

    teacher: its weights, .safetensors or .onnx, or the name of bundled ones; empty for none. Its joints are matched by
    name. weight: factor of the loss against its heatmaps. min_score: joints that it is less sure of are left out.
    """

    teacher: str = ""
    weight: float = 1.0
    min_score: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise ConfigError(f"distill.weight must be finite and not below 0, not {self.weight}")


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run.

    out: folder for checkpoints, weights and logs. device: `auto` takes a GPU if there is one. amp: half precision in
    the network; `auto` is bf16 where the device computes in it natively. compile: torch.compile, seconds to minutes at
    the start. evaluate_every: epochs between validations. preview_every: epochs between pictures of predictions, 0 for
    none; they are made at validations. checkpoint_every_s: seconds between checkpoints within an epoch.
    """

    data: DataConfig
    out: str
    model: ModelConfig = field(default_factory=ModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    plan: PlanConfig = field(default_factory=PlanConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    seed: int = 0
    device: str = "auto"
    amp: Literal["off", "auto", "bf16", "fp16"] = "off"
    compile: bool = False
    evaluate_every: int = 1
    preview_every: int = 5
    checkpoint_every_s: float = 300.0

    def __post_init__(self) -> None:
        if self.evaluate_every < 1:
            raise ConfigError(f"evaluate_every must be at least 1, not {self.evaluate_every}")
        if self.seed < 0 or self.preview_every < 0:
            raise ConfigError("seed and preview_every must not be below 0")
        if self.plan.kind == "iterative" and self.plan.restart_epoch >= self.optim.epochs:
            raise ConfigError(
                f"plan.restart_epoch {self.plan.restart_epoch} must be before the end, optim.epochs {self.optim.epochs}"
            )


def read_config(path: str | Path) -> TrainConfig:
    """The configuration in a TOML file.

    Raises ConfigError naming the key that is unknown, missing or of the wrong kind.
    """
    return read_toml(path, TrainConfig)
