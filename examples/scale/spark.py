"""Bulk inference on a Spark cluster: shards as rows of a DataFrame, done by `mapInPandas` with lightpose's own worker.

    pip install 'lightpose[scale]' pyspark
    python examples/scale/spark.py photos rows                              # this computer
    spark-submit --master spark://HOST:7077 examples/scale/spark.py s3://BUCKET/photos s3://BUCKET/rows

Spark hands out the shards and gives those of a lost executor to another one. That each image counts once is lightpose's
doing: a part is written once, whoever does its shard. So a run that was killed goes on with the same command, and
`lightpose bulk status rows` and `verify` know it.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Generator, Iterator
from typing import Any

from lightpose.errors import LightposeError
from lightpose.scale.actor import ShardActor
from lightpose.scale.bulk import run_bulk
from lightpose.scale.local import At
from lightpose.scale.settings import Settings
from lightpose.scale.worker import ShardDone, ShardWorker


class SparkEngine:
    """Runs a shard in each of Spark's task slots. threads: of each; set `spark.task.cpus` to as many."""

    def __init__(self, spark: Any, threads: int = 1) -> None:
        self.spark, self.threads = spark, threads
        self.processes = int(spark.sparkContext.defaultParallelism)

    def run(self, worker: ShardWorker, shards: Iterator[int]) -> Generator[ShardDone | At]:
        """What was done, shard by shard. Spark gives the answers in the order of the shards."""
        import pandas as pd  # type: ignore[import-untyped,unused-ignore]

        threads = self.threads

        def work(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
            actor = ShardActor(worker, threads)
            for frame in frames:
                yield pd.DataFrame(actor({"shard": frame["shard"].tolist()}))

        numbers = [(number,) for number in shards]
        slices = max(1, min(len(numbers), 4 * self.processes))
        rows = self.spark.sparkContext.parallelize(numbers, slices).toDF("shard long")
        for row in rows.mapInPandas(work, "said binary").toLocalIterator(prefetchPartitions=True):
            said: ShardDone | LightposeError = pickle.loads(row.said)
            if isinstance(said, LightposeError):
                raise said
            yield said


def main(source: str, out: str) -> None:
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName("lightpose").config("spark.ui.enabled", "false").getOrCreate()
    try:
        report = run_bulk([source], out, Settings(shard=200), SparkEngine(spark))
    finally:
        spark.stop()
    print(f"{report.images:,} images, {report.people:,} people, {report.failed:,} failures")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: spark.py IN OUT")
    main(sys.argv[1], sys.argv[2])
