"""The example for Spark: the rows are those of the local engine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("pyspark", reason="pyspark is not installed")

from lightpose.scale.bulk import run_bulk
from lightpose.scale.local import LocalEngine
from tests.scale.small import draw_images, rows_of, tiny_settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java, which is not here"),
]

ROOT = Path(__file__).parents[2]

STARTED = """
import sys
sys.path.insert(0, "examples/scale")
from pathlib import Path
from pyspark.sql import SparkSession
from spark import SparkEngine
from lightpose.scale.bulk import run_bulk
from tests.scale.small import tiny_settings
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
run_bulk([sys.argv[1]], sys.argv[2], tiny_settings(Path(sys.argv[3]), shard=4), SparkEngine(spark))
spark.stop()
"""


def test_the_rows_are_those_of_the_local_engine(tmp_path: Path):
    folder = draw_images(tmp_path / "in", 16, broken=1)
    settings = tiny_settings(tmp_path / "networks", shard=4)
    run_bulk([str(folder)], str(tmp_path / "local"), settings, LocalEngine(1, 1))
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    given = [str(folder), str(tmp_path / "spark"), str(tmp_path / "networks")]
    done = subprocess.run(
        [sys.executable, "-c", STARTED, *given], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert rows_of(tmp_path / "spark") == rows_of(tmp_path / "local")
