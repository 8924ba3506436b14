"""An untrained network of lightpose, or another project's graph, in int8 for ONNX Runtime: to measure its speed.

    python benchmarks/untrained_int8.py lpn101 lpn101_int8.onnx
    python benchmarks/untrained_int8.py rtmpose-s.onnx rtmpose-s_int8.onnx
    lightpose bench lpn101 lpn101_int8.onnx --threads 1

Scales come from crops of noise, so the file says nothing of accuracy. `lightpose quantize` makes files to use.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from lightpose.bench.networks import export_graph
from lightpose.bench.variants import find_source
from lightpose.export.quantize import write_int8
from lightpose.weights.open import open_runtime


@dataclass(frozen=True)
class Options:
    """name: of a network, or an .onnx file. out: the int8 file. crops: of noise, for the scales."""

    name: tyro.conf.Positional[str]
    out: tyro.conf.Positional[Path]
    crops: int = 8


def main(options: Options) -> None:
    """Export if need be, quantize, write."""
    source = find_source(options.name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.onnx" if source.path is None else source.path
        if source.path is None:
            export_graph(source.spec, None, path)
        crops = np.random.default_rng(0).integers(0, 256, (options.crops, *source.spec.input_hw, 3), dtype=np.uint8)
        write_int8(open_runtime(path), path, options.out, crops)
    print(f"wrote {options.out}, {options.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(tyro.cli(Options))
