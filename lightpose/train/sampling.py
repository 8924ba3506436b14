"""What every kind of batch shares: which rows of which stores a step shows, and fetching their pixels in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightpose.errors import DataError
from lightpose.types import ImageArray

__all__ = ["Pixels", "Rows", "Sampler", "Share", "ahead", "epoch_batches"]

Rows = NDArray[np.intp]
"""(N, 2): store and row in it."""

B = TypeVar("B")


@dataclass(frozen=True)
class Share:
    """A part of every batch: number `index` of `count`, cut as evenly as can be."""

    index: int = 0
    count: int = 1

    def of(self, rows: Rows) -> Rows:
        """The rows of a batch that are in this share."""
        return np.array_split(rows, self.count)[self.index]

    def parts(self, rows: Rows, parts: int) -> list[Rows]:
        """The rows of a batch that are in this share, in that many parts."""
        return [Share(self.index * parts + number, self.count * parts).of(rows) for number in range(parts)]


class Sampler:
    """Spreads the rows of one or more stores over the steps of an epoch, at most `batch` in each.

    lengths: of the stores. repeats: how often each row is shown in an epoch; of a broken number, the broken part says
    how many are drawn at random for once more. Nobody else is left out or shown twice. All chance follows from (seed,
    epoch). Raises DataError if an epoch has nothing to show.
    """

    def __init__(self, lengths: Sequence[int], repeats: Sequence[float], batch: int, seed: int, what: str) -> None:
        self._lengths, self._repeats, self._seed = lengths, repeats, seed
        self.shown = sum(len(self._rows(number, np.random.default_rng(0))) for number in range(len(lengths)))
        if self.shown == 0:
            raise DataError(f"an epoch of the training data shows {what}; raise `repeat` of a source")
        self.steps = -(-self.shown // batch)

    def order(self, epoch: int) -> list[Rows]:
        """For each step of an epoch, the rows shown in it."""
        generator = np.random.default_rng([self._seed, epoch])
        index = np.concatenate(
            [
                np.stack([np.full_like(rows, number), rows], -1)
                for number, rows in enumerate(self._rows(number, generator) for number in range(len(self._lengths)))
            ]
        )
        return np.array_split(generator.permutation(index), self.steps)

    def _rows(self, number: int, generator: np.random.Generator) -> NDArray[np.intp]:
        """Rows of a store that an epoch shows, those of the broken part of its `repeat` drawn at random."""
        count = self._lengths[number]
        whole, part = divmod(self._repeats[number], 1)
        extra = generator.choice(count, round(part * count), replace=False)
        return np.concatenate([np.tile(np.arange(count), int(whole)), extra])


class Pixels:
    """The stored squares of several stores, (N, S, S, 3) each; on the GPU if so wanted and half of it has room."""

    def __init__(self, stores: Sequence[ImageArray], device: torch.device, on_device: bool) -> None:
        self._stores, self._device = stores, device
        self._resident = _on_device(stores, device) if on_device and device.type == "cuda" else None
        self.side = stores[0].shape[1]

    def gather(self, pieces: Sequence[Rows]) -> list[Tensor]:
        """Squares (N, S, S, 3) uint8 of each piece: on the device if they live there, else in pinned memory."""
        if self._resident is not None:
            tensor, starts = self._resident
            places = [torch.from_numpy(starts[rows[:, 0]] + rows[:, 1]) for rows in pieces]
            return [tensor[place.to(self._device, non_blocking=True)] for place in places]
        pinned = self._device.type == "cuda"
        out = []
        for rows in pieces:
            squares = torch.empty((len(rows), self.side, self.side, 3), dtype=torch.uint8, pin_memory=pinned)
            view = squares.numpy()
            for place, (store, row) in enumerate(rows):
                view[place] = self._stores[store][row]
            out.append(squares)
        return out


def ahead(
    pieces: Sequence[list[Rows]], gather: Callable[[list[Rows]], list[Tensor]]
) -> Iterator[tuple[list[Rows], list[Tensor]]]:
    """Each step's pieces and their pixels; those of the next are gathered while the present ones are in use."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gather, pieces[0]) if pieces else None
        for number, rows in enumerate(pieces):
            pixels = waiting.result() if waiting is not None else []
            waiting = pool.submit(gather, pieces[number + 1]) if number + 1 < len(pieces) else None
            yield rows, pixels


def epoch_batches(
    order: Sequence[Rows],
    start: tuple[int, int],
    share: Share,
    parts: int,
    gather: Callable[[list[Rows]], list[Tensor]],
    get: Callable[[Rows, tuple[int, ...], int, Tensor], B],
) -> Iterator[list[B]]:
    """A share of every batch of an epoch, each in that many parts; the next step's pixels are gathered meanwhile.

    order: the rows of each step. start: the epoch, and the step to begin with. gather: fetches the pixels of parts.
    get: makes a batch of its rows, (epoch, step, part), the size of the whole step's batch, and the pixels.
    """
    epoch, first = start
    pieces = [share.parts(rows, parts) for rows in order[first:]]
    for step, (rows_of, pixels_of) in enumerate(ahead(pieces, gather), start=first):
        offset = share.index * parts
        yield [
            get(rows, (epoch, step, offset + number), len(order[step]), pixels)
            for number, (rows, pixels) in enumerate(zip(rows_of, pixels_of, strict=True))
            if len(rows)
        ]


def _on_device(stores: Sequence[ImageArray], device: torch.device) -> tuple[Tensor, NDArray[np.intp]] | None:
    """All stored squares as one tensor on the GPU, and where each store starts; None if they need over half of it."""
    size = sum(store.nbytes for store in stores)
    if size > torch.cuda.mem_get_info(device)[0] / 2:
        return None
    tensor = torch.empty((sum(map(len, stores)), *stores[0].shape[1:]), dtype=torch.uint8, device=device)
    starts = np.cumsum([0, *map(len, stores)])
    for store, start in zip(stores, starts[:-1], strict=True):
        for first in range(0, len(store), 1024):
            part = torch.from_numpy(np.ascontiguousarray(store[first : first + 1024]))
            tensor[start + first : start + first + len(part)] = part.to(device)
    return tensor, starts
