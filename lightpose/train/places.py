"""The files that a training run reads and writes: none may be both."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lightpose.errors import ConfigError
from lightpose.io.files import check_folder, check_place
from lightpose.io.places import Place, check_apart
from lightpose.train.config import TrainConfig
from lightpose.train.tasks import AnyConfig

__all__ = ["LOCK", "PREVIEWS", "check_files"]

LOCK, PREVIEWS = ".lock", "previews"
"""In a run's folder: what keeps others out, and where images of predictions go."""


def check_files(config: AnyConfig, file: Path | None = None) -> None:
    """Raise ConfigError if a run would write a file that it reads, or cannot write one. file: its TOML file."""
    out, reads = Path(config.out), list(_reads(config))
    names = ["best.safetensors", "last.pt", "log.json", LOCK]
    if config.plan.kind == "iterative":
        names += [f"stage_{number}.safetensors" for number in range(config.plan.stages + 1)]
    writes = [Place("the run's", out / name) for name in names]
    check_apart([*reads, *([Place("", file)] if file else [])], writes)
    for folder in (out, Path(config.data.store)):
        check_folder(folder)
    for place in writes:
        if os.path.lexists(place.path):
            check_place(place.path)
    for place in reads:
        if place.path.is_dir() and place.path.resolve().is_relative_to((out / PREVIEWS).resolve()):
            raise ConfigError(f"{place} is where the run writes previews; name another `out`")


def _reads(config: AnyConfig) -> Iterator[Place]:
    """Files and folders that the settings name."""
    for number, source in enumerate((*config.data.train, config.data.val)):
        key = f"data.train[{number}]" if number < len(config.data.train) else "data.val"
        yield Place(f"{key}.annotations", Path(source.annotations))
        yield Place(f"{key}.images", Path(source.images))
    yield Place("model.init", Path(config.model.init))
    yield Place("feature_distillation.teacher", Path(config.feature_distillation.teacher))
    if isinstance(config, TrainConfig):
        yield Place("model.skeleton", Path(config.model.skeleton))
        yield Place("model.backbone", Path(config.model.backbone))
        yield Place("distill.teacher", Path(config.distill.teacher))
