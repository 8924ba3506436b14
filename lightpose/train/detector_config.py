"""The configuration of a person detector's training: frozen dataclasses that a TOML file fills."""

from __future__ import annotations

from dataclasses import dataclass, field

from lightpose.data.mosaic import SceneAugmentConfig
from lightpose.errors import ConfigError
from lightpose.limits import check_range
from lightpose.models import DETECTORS
from lightpose.train.detector_targets import DetectorLossConfig
from lightpose.train.run_config import RunConfig
from lightpose.train.settings import REPEATS, check_model, named_in
from lightpose.types import DetectorSpec

__all__ = ["DetectorConfig", "DetectorModelConfig", "SceneDataConfig", "SceneSourceConfig"]

STRIDES = (4, 8, 16)


@dataclass(frozen=True)
class SceneSourceConfig:
    """A COCO annotation file and the folder of its images.

    repeat: how often each image is shown in an epoch; of 2.5, all twice and a random half once more. complete:
    whether everybody in the images has a box; where not, what lies outside the boxes is unknown and not learned.
    """

    annotations: str
    images: str
    repeat: float = 1.0
    complete: bool = True

    def __post_init__(self) -> None:
        check_range(f"data source {self.annotations}: repeat", self.repeat, *REPEATS)


@dataclass(frozen=True)
class SceneDataConfig:
    """train: what to learn from. val: what chooses the best epoch. store, verify, on_device: see DataConfig."""

    train: tuple[SceneSourceConfig, ...]
    val: SceneSourceConfig
    store: str = "runs/pictures"
    verify: bool = True
    on_device: bool = True

    def __post_init__(self) -> None:
        if not self.train:
            raise ConfigError("the configuration has no [[data.train]] source; name at least one")


@dataclass(frozen=True)
class DetectorModelConfig:
    """The detector to train; see DetectorSpec.

    stride: input pixels to a position of its maps, 4, 8 or 16. gc: global context. init: `kaiming`, or a .safetensors
    file to start from: of a detector, or of an LPN-50, whose first layers are taken.
    """

    name: str = "lpn50_person"
    input_hw: tuple[int, int] = (320, 320)
    stride: int = 4
    gc: bool = True
    init: str = "kaiming"

    def __post_init__(self) -> None:
        check_model(self.name, DETECTORS, self.init, ("kaiming",))
        if self.stride not in STRIDES:
            raise ConfigError(f"model.stride must be {', '.join(map(str, STRIDES))}, not {self.stride}")
        with named_in("model"):
            self.spec()

    def spec(self) -> DetectorSpec:
        """What the trained weights will say of themselves."""
        return DetectorSpec(self.name, self.input_hw, {"stride": self.stride, "gc": self.gc})


@dataclass(frozen=True, kw_only=True)
class DetectorConfig(RunConfig):
    """A whole run that trains a person detector."""

    data: SceneDataConfig
    model: DetectorModelConfig = field(default_factory=DetectorModelConfig)
    loss: DetectorLossConfig = field(default_factory=DetectorLossConfig)
    augment: SceneAugmentConfig = field(default_factory=SceneAugmentConfig)
