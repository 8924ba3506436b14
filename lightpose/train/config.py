"""The configuration of a training run: frozen dataclasses that a TOML file fills."""

from __future__ import annotations

import dataclasses
import math
import tomllib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lightpose.data.augment import AugmentConfig
from lightpose.errors import ConfigError
from lightpose.skeletons import get_skeleton
from lightpose.train.loss import LossConfig
from lightpose.types import GeometryName, ModelSpec

__all__ = ["DataConfig", "ModelConfig", "OptimConfig", "SourceConfig", "TrainConfig", "read_config"]


@dataclass(frozen=True)
class SourceConfig:
    """A COCO keypoint file and the folder of its pictures. repeat: how often each person is shown in an epoch."""

    annotations: str
    images: str
    repeat: int = 1

    def __post_init__(self) -> None:
        if self.repeat < 1:
            raise ConfigError(f"data source {self.annotations}: repeat must be at least 1, not {self.repeat}")


@dataclass(frozen=True)
class DataConfig:
    """train: what to learn from. val: what chooses the best epoch. store: where cut-out crops are kept between runs."""

    train: tuple[SourceConfig, ...]
    val: SourceConfig
    store: str = "runs/crops"

    def __post_init__(self) -> None:
        if not self.train:
            raise ConfigError("the configuration has no [[data.train]] source; name at least one")


@dataclass(frozen=True)
class ModelConfig:
    """The network to train; see ModelSpec. skeleton: a built-in name or a .toml file.

    init: `paper` (every convolution from N(0, 0.001)), `kaiming`, or a .safetensors file to start from.
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
            options={"gc": self.gc},
            geometry=self.geometry,
            sigma=self.sigma,
        )


@dataclass(frozen=True)
class OptimConfig:
    """Optimizer and learning rate. The defaults are the paper's: Adam, 1e-3, divided by 10 at epochs 90 and 120 of 150.

    schedule: `steps` divides by 10 at the milestones; `cosine` falls to zero, after warmup_epochs of linear rise.
    ema: decay of a running average of the weights that is evaluated and kept instead of them; 0 for none.
    """

    optimizer: Literal["adam", "adamw"] = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    batch: int = 32
    epochs: int = 150
    schedule: Literal["steps", "cosine"] = "steps"
    milestones: tuple[int, ...] = (90, 120)
    warmup_epochs: float = 0.0
    ema: float = 0.0
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        for name in ("lr", "batch", "epochs"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"optim.{name} must be finite and above 0, not {getattr(self, name)}")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"optim.ema must be in [0, 1), not {self.ema}")
        for name in ("weight_decay", "warmup_epochs", "clip_norm"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"optim.{name} must be finite and not below 0, not {getattr(self, name)}")


@dataclass(frozen=True)
class TrainConfig:
    """A whole training run.

    out: folder for checkpoints and weights. device: `auto` takes a GPU if there is one. amp: bfloat16 autocast.
    evaluate_every: epochs between validations. checkpoint_every_s: seconds between checkpoints within an epoch.
    """

    data: DataConfig
    out: str
    model: ModelConfig = field(default_factory=ModelConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    seed: int = 0
    device: str = "auto"
    amp: bool = False
    evaluate_every: int = 1
    checkpoint_every_s: float = 300.0

    def __post_init__(self) -> None:
        if self.evaluate_every < 1:
            raise ConfigError(f"evaluate_every must be at least 1, not {self.evaluate_every}")
        if self.seed < 0:
            raise ConfigError(f"seed must not be below 0, not {self.seed}")


def read_config(path: str | Path) -> TrainConfig:
    """The configuration in a TOML file.

    Raises ConfigError naming the key that is unknown, missing or of the wrong kind.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file ({error})") from error
    config: TrainConfig = _fill(TrainConfig, table, str(path), "")
    return config


def _fill(kind: Any, value: Any, path: str, key: str) -> Any:
    """Build a value of the annotated kind from what TOML gives; `key` is the dotted way to it, for errors."""
    if dataclasses.is_dataclass(kind):
        return _fill_dataclass(kind, value, path, key)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and isinstance(value, list):
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
        if len(kinds) == len(value):
            return tuple(
                _fill(each, item, path, f"{key}[{n}]") for n, (each, item) in enumerate(zip(kinds, value, strict=True))
            )
    elif origin is Literal and value in inner:
        return value
    elif kind is float and type(value) in (int, float):
        return float(value)
    elif type(value) is kind:
        return value
    wanted = " or ".join(repr(item) for item in inner) if origin is Literal else getattr(kind, "__name__", str(kind))
    raise ConfigError(f"{path}: {key} must be {wanted}, not {value!r}")


def _fill_dataclass(kind: Any, table: Any, path: str, key: str) -> Any:
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: {key} must be a table")
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(table) - set(hints))
    prefix = f"{key}." if key else ""
    if unknown:
        raise ConfigError(f"{path}: unknown key {prefix}{unknown[0]}; known are {', '.join(hints)}")
    for each in dataclasses.fields(kind):
        required = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
        if required and each.name not in table:
            raise ConfigError(f"{path}: {prefix}{each.name} is missing")
    return kind(**{name: _fill(hints[name], value, path, prefix + name) for name, value in table.items()})
