"""The configuration of a pose network's training: frozen dataclasses that a TOML file fills."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lightpose.data.augment import AugmentConfig
from lightpose.errors import ConfigError
from lightpose.skeletons import get_skeleton
from lightpose.train.loss import LossConfig
from lightpose.train.run_config import FeatureDistillationConfig, OptimConfig, PlanConfig, RunConfig
from lightpose.types import PADDING, DecoderName, GeometryName, ModelSpec

__all__ = [
    "DataConfig",
    "DistillConfig",
    "FeatureDistillationConfig",
    "ModelConfig",
    "OptimConfig",
    "PlanConfig",
    "SourceConfig",
    "TrainConfig",
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

    padding: how much wider than the box an unaugmented crop is. decoder: how heatmaps are read, to choose the best
    epoch and ever after. gc: global context, of the LPN models.
    init: `paper` (every convolution from N(0, 0.001)), `kaiming`, or a .safetensors file to start from; joints that it
    does not have start anew.
    """

    name: str = "lpn50"
    skeleton: str = "coco17"
    input_hw: tuple[int, int] = (256, 192)
    gc: bool = True
    geometry: GeometryName = "msra"
    padding: float = PADDING
    decoder: DecoderName = "softargmax"
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
            padding=self.padding,
            decoder=self.decoder,
            sigma=self.sigma,
        )


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


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunConfig):
    """A whole run that trains a pose network."""

    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
