"""`lightpose export`: weights as a graph for other programs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

__all__ = ["Export"]

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".pt", "safetensors": ".safetensors"}


@dataclass(frozen=True)
class Export:
    """Write trained weights as a graph that runs without lightpose, or as a small file to hand on.

    The graph takes uint8 RGB crops (N, H, W, 3) and gives `heatmaps` and `keypoints`. It is compared with PyTorch
    before it is kept. Example: lightpose export runs/mine/best.safetensors --out mine.onnx
    """

    weights: Positional[Path]
    """A .safetensors file that training wrote."""
    out: Path
    """The file to write."""
    to: Literal["onnx", "openvino", "torchscript", "safetensors"] | None = None
    """onnx (.onnx) runs anywhere; openvino (.xml, and .bin beside it) on OpenVINO; torchscript (.pt) in PyTorch's C++
    library; safetensors (.safetensors) is the weights in float16, half the size. Not given: what the suffix says."""
    images: Path | None = None
    """A picture or a folder of them: compare on up to 16 of these, each taken whole, and not on noise."""
    input_hw: tuple[int, int] | None = None
    """Of a person detector: height and width of its input, if not what it was trained at; more pixels find smaller
    people and take longer."""

    def run(self) -> int:
        """0 if the file was written and, for a graph, agrees with PyTorch."""
        from lightpose.errors import ConfigError, MissingPackageError

        out = self._out()
        try:
            from lightpose.export.pose import export_checked
            from lightpose.weights.network import is_detector, load_network, save_network
        except ImportError as error:
            raise MissingPackageError("torch", "train") from error
        if is_detector(self.weights):
            return self._detector(out)
        if self.input_hw is not None:
            raise ConfigError(f"{self.weights} is a pose network, whose input size is fixed; leave --input-hw out")
        network, spec = load_network(self.weights)
        agreement = ""
        if out.suffix == ".safetensors":
            save_network(out, network, spec, half=True)
        else:
            from lightpose.data.calibration import calibration_crops

            crops = None if self.images is None else calibration_crops(self.images, spec, 16)
            parity = export_checked(network, spec, out, crops)
            heatmaps = f"heatmaps {parity.heatmaps:.1e} (they reach {parity.reach:.2g})"
            agreement = f"{heatmaps}, keypoints {parity.keypoints_px:.1e} px"
        height, width = spec.input_hw
        size = sum(file.stat().st_size for file in {out, *_beside(out)}) / 1e6
        print(f"{out}: {size:.1f} MB, {spec.model} {height}×{width}, {len(spec.skeleton)} joints")
        if agreement:
            on = "noise" if self.images is None else str(self.images)
            print(f"largest difference from PyTorch, on {on}: {agreement}")
        return 0

    def _detector(self, out: Path) -> int:
        """The same for a person detector."""
        from lightpose.errors import ConfigError
        from lightpose.export.detector import export_detector
        from lightpose.weights.network import load_detector, save_network

        if self.images is not None or out.suffix not in (".onnx", ".safetensors"):
            raise ConfigError(
                f"{self.weights} is a person detector: it can be written as .onnx or .safetensors, and is compared "
                "on noise; leave --images out"
            )
        network, spec = load_detector(self.weights)
        spec = dataclasses.replace(spec, input_hw=self.input_hw or spec.input_hw)
        agreement = ""
        if out.suffix == ".onnx":
            parity = export_detector(network, spec, out)
            agreement = f"; largest difference from PyTorch: scores {parity.scores:.1e}, boxes {parity.boxes_px:.1e} px"
        else:
            save_network(out, network, spec, half=True)
        height, width = spec.input_hw
        print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, {spec.model} {height}×{width}, a person detector{agreement}")
        return 0

    def _out(self) -> Path:
        """The file to write, with the suffix of its format. Raises WeightsError if it has another one."""
        from lightpose.cli.console import check_place
        from lightpose.errors import WeightsError

        suffix = SUFFIXES[self.to] if self.to else self.out.suffix
        if suffix not in SUFFIXES.values():
            raise WeightsError(
                f"{self.out} must end in one of {', '.join(SUFFIXES.values())}, or say --to which format"
            )
        if self.out.suffix not in ("", suffix):
            raise WeightsError(f"{self.out} must end in {suffix} for --to {self.to}")
        check_place(self.out)
        return self.out.with_suffix(suffix)


def _beside(out: Path) -> list[Path]:
    """OpenVINO's file of numbers."""
    return [out.with_suffix(".bin")] if out.suffix == ".xml" else []
