"""Bulk inference: a million images on many processes or machines, each counted once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightpose.errors import ConfigError

if TYPE_CHECKING:
    from lightpose.scale.bulk import Progress
    from lightpose.scale.report import Report

__all__ = ["run"]


def run(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    workers: int = 0,
    threads: int = 0,
    ray: str | None = None,
    num_gpus: float = 0.0,
    resume: bool = False,
    metrics: str | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    **options: Any,
) -> Report:
    """Find the people in many images or in videos, and write rows as Parquet; the same call goes on after a kill.

        report = lightpose.scale.run("photos", "out", workers=4, model="lpn50", rows="person")
        report.images, report.people, report.failures

    inputs: folders, files, patterns, lists or tables. out: a folder or a bucket's address. workers: processes; 0 for
    one on each core. threads: of each. ray: do it on the Ray cluster at that address; "auto" for the one of the
    environment, "local" for a new one. num_gpus: of each worker there. resume: refuse to begin anew. metrics: a port or
    an address at which Prometheus reads how far it is. progress: called often with a `Progress`. options: fields of
    `Settings`, `Network` and `OfVideos` in `lightpose.scale.settings`. In a script, call it below
    `if __name__ == "__main__"`: each process loads the script.
    Raises LightposeError as `run_bulk` does.
    """
    from dataclasses import fields

    from lightpose.scale.bulk import run_bulk
    from lightpose.scale.engines import open_engine
    from lightpose.scale.metrics import watched
    from lightpose.scale.settings import Network, OfVideos, Settings

    kinds = {kind: {each.name for each in fields(kind)} for kind in (Network, OfVideos, Settings)}
    unknown = sorted(options.keys() - set().union(*kinds.values()))
    if unknown:
        raise ConfigError(f"{unknown[0]} is no option of a bulk run; see lightpose.scale.settings")
    own = {kind: {name: options[name] for name in names & options.keys()} for kind, names in kinds.items()}
    network, videos = Network(**own[Network]), OfVideos(**own[OfVideos])
    settings = Settings(**{"network": network, "videos": videos, **own[Settings]})
    given = [inputs] if isinstance(inputs, str | Path) else inputs
    with (
        watched(metrics, progress) as (tell, _),
        open_engine(workers, threads, network.device, ray, num_gpus) as engine,
    ):
        return run_bulk([str(each) for each in given], str(out), settings, engine, resume=resume, progress=tell)
