"""A shard's work as other systems call it: with a row of a table, and with a row for an answer."""

from __future__ import annotations

import pickle
import platform
import queue
from collections.abc import Iterable, Mapping
from typing import Any

from lightpose.errors import LightposeError, StoreError
from lightpose.scale.local import LocalEngine
from lightpose.scale.manifest import part_name, read_head
from lightpose.scale.report import summaries
from lightpose.scale.store import open_store
from lightpose.scale.worker import ShardDone, ShardWorker

__all__ = ["ShardActor"]


class ShardActor:
    """What a worker of Ray or Spark holds: a process for the shards, as on one computer, and what watches it.

    It is called with a batch of shards' numbers, and gives a row for each: a `ShardDone`, or the error, as bytes of
    pickle. An image that kills its process is found here, so that the other system has only to replace machines. A
    shard whose part is there, because a worker died after it wrote it, is not done again.
    """

    def __init__(self, worker: ShardWorker, threads: int) -> None:
        self._settings = worker.settings
        self._shards: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._said = LocalEngine(1, threads).run(worker, iter(self._shards.get, None))

    def __del__(self) -> None:
        self._shards.put(None)  # else its thread would wait for the next shard, and keep the actor from ending

    def __call__(self, batch: Mapping[str, Iterable[Any]]) -> dict[str, list[bytes]]:
        """Do the shards in the column `shard`, and tell of each in the column `said`."""
        return {"said": [pickle.dumps(self._told(int(shard))) for shard in batch["shard"]]}

    def _told(self, shard: int) -> ShardDone | LightposeError:
        try:
            return self._do(shard)
        except LightposeError as error:
            return error

    def _do(self, shard: int) -> ShardDone:
        store = open_store(self._settings.out)
        head = read_head(store)
        if head is None:
            raise StoreError(
                f"{self._settings.out} is not the same place on {platform.node()}; give --out a bucket, or a folder "
                "that all machines share"
            )
        if part_name(shard) in store.names(part_name(shard)):
            return ShardDone(next(iter(summaries(store, head, [shard]))), won=False)
        self._shards.put(shard)
        for said in self._said:
            if isinstance(said, ShardDone):
                return said
        raise StoreError(f"the process for shard {shard} ended; run the command again")
