"""The configuration of a pose network's training: frozen dataclasses that a TOML file fills."""

from __future__ import annotations

from dataclasses import dataclass, field

from lightpose.data.augment import AugmentConfig
from lightpose.errors import ConfigError
from lightpose.limits import FACTORS, check_factors, check_range
from lightpose.models import MODELS
from lightpose.skeletons import get_skeleton
from lightpose.train.loss import LossConfig
from lightpose.train.run_config import FeatureDistillationConfig, OptimConfig, PlanConfig, RunConfig
from lightpose.train.settings import REPEATS, check_model, named_in
from lightpose.types import PADDING, DecoderName, GeometryName, ModelSpec
from lightpose.weights.foreign.backbone import check_backbone

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

SIGMAS = (0.1, 100.0)
"""Of a target's Gaussian, in heatmap pixels: narrower it is one pixel, wider it is flat."""


@dataclass(frozen=True)
class SourceConfig:
    """A file of labels and the folder of its pictures.

    annotations: COCO, or labels of another tool; see `read_labels`. repeat: how often each person is shown in an epoch;
    of 2.5, everybody twice and a random half once more. label_weights: what joints of visibility 1 (hidden, or
    labelled by a network) and 2 (visible) weigh in the loss.
    """

    annotations: str
    images: str
    repeat: float = 1.0
    label_weights: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        check_range(f"data source {self.annotations}: repeat", self.repeat, *REPEATS)
        place = f"data source {self.annotations}: label_weights"
        check_factors({f"{place}[{number}]": weight for number, weight in enumerate(self.label_weights)})


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
    does not have start anew. backbone: a checkpoint of an ImageNet classifier that SimpleBaseline, CPN or HRNet start
    from, as torchvision, timm or HRNet's authors save it.
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
    backbone: str = ""

    def __post_init__(self) -> None:
        check_model(self.name, MODELS, self.init, ("paper", "kaiming"))
        if self.backbone:
            check_backbone(self.name, self.init)
        check_range("model.sigma", self.sigma, *SIGMAS)
        with named_in("model"):
            self.spec()

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
        check_range("distill.weight", self.weight, *FACTORS, or_zero=True)
        check_range("distill.min_score", self.min_score, 0, 1)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunConfig):
    """A whole run that trains a pose network."""

    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
