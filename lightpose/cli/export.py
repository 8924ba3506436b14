"""`lightpose export`: weights as an ONNX graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional


@dataclass(frozen=True)
class Export:
    """Write trained weights as an ONNX graph that runs without torch, or as a small file to hand on.

    The graph takes uint8 RGB crops (N, H, W, 3) and gives `heatmaps` and `keypoints`. It is compared with PyTorch
    before it is kept. Example: lightpose export runs/mine/best.safetensors --out mine.onnx
    """

    weights: Positional[Path]
    """A .safetensors file that training wrote."""
    out: Path
    """The file to write: .onnx, or .safetensors for half the size (float16)."""

    def run(self) -> int:
        """0 if the file was written and, for a graph, agrees with PyTorch."""
        from lightpose.errors import MissingPackageError, WeightsError

        try:
            from lightpose.export import export_checked
            from lightpose.weights.network import load_network, save_network
        except ImportError as error:
            raise MissingPackageError("torch", "train") from error
        if self.out.suffix not in (".onnx", ".safetensors"):
            raise WeightsError(f"{self.out} must end in .onnx or .safetensors")
        network, spec = load_network(self.weights)
        agreement = ""
        if self.out.suffix == ".onnx":
            parity = export_checked(network, spec, self.out)
            agreement = f"heatmaps {parity.heatmaps:.1e}, keypoints {parity.keypoints_px:.1e} px"
        else:
            save_network(self.out, network, spec, half=True)
        height, width = spec.input_hw
        size = self.out.stat().st_size / 1e6
        print(f"{self.out}: {size:.1f} MB, {spec.model} {height}×{width}, {len(spec.skeleton)} joints")
        if agreement:
            print(f"largest difference from PyTorch: {agreement}")
        return 0
