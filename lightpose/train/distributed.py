"""Several processes that train one network: started by torchrun, or one alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from lightpose.errors import ConfigError

__all__ = ["World", "choose_device", "join", "this_process"]

Value = TypeVar("Value")

PATIENCE = timedelta(hours=3)
"""How long processes wait for one another: the first one cuts crops and validates while the others do nothing."""


@dataclass(frozen=True)
class World:
    """A process among those that train together. rank, local_rank: its number, of all and on
    its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def share(self, value: Value) -> Value:
        """The first process's value, in all."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def total(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.size > 1:
            dist.barrier()


def this_process() -> World:
    """The place of this process among those that torchrun started, as the environment tells it, or alone."""
    rank, size, local_rank = (
        int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    return World(rank, size, local_rank) if size > 1 else World()


@contextmanager
def join(device: str) -> Iterator[tuple[World, torch.device]]:
    """The processes that torchrun started (RANK, WORLD_SIZE, LOCAL_RANK in the environment), or this one alone.

    Gives this process's place among them and its device. Raises ConfigError if the device is not there.
    """
    world = this_process()
    chosen = choose_device(device, world.local_rank)
    if world.size == 1:
        yield world, chosen
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield world, chosen
    finally:
        dist.destroy_process_group()


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """The device that a configuration names; `auto` takes a GPU if there is one.

    Raises ConfigError if it is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"device must be auto, cpu or cuda, not {name!r}")
    if name == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigError("device is cuda, but PyTorch finds no such GPU; use auto or cpu")
    if local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"this machine has {torch.cuda.device_count()} GPUs; start torchrun with --nproc-per-node that many at most"
        )
    return torch.device("cuda", local_rank)
