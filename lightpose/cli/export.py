"""`lightpose export`: weights as a graph for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from lightpose.cli.marks import Reads, ReadsNamed, Writes
from lightpose.errors import ConfigError
from lightpose.weights import DEFAULT

__all__ = ["Export"]


@dataclass(frozen=True)
class Export:
    """Write trained weights as a graph that runs without lightpose, or as a small file to hand on.

    The graph takes uint8 RGB crops (N, H, W, 3) and gives `heatmaps` and `keypoints`. It is compared with PyTorch
    before it is kept. Example: lightpose export runs/mine/best.safetensors --out mine.onnx
    Example: lightpose export --to web site
    """

    weights: Positional[Reads]
    """A .safetensors file that training wrote. For --to web: the folder to write."""
    out: Writes | None = None
    """The file to write."""
    to: Literal["onnx", "openvino", "torchscript", "safetensors", "web"] | None = None
    """onnx (.onnx) runs anywhere; openvino (.xml, and .bin beside it) on OpenVINO; torchscript (.pt) in PyTorch's C++
    library; safetensors (.safetensors) is the weights in float16, half the size. web is a folder for any file host: the
    page of lightpose serve, with the networks, which browsers run themselves. Not given: what the suffix says."""
    model: ReadsNamed = DEFAULT
    """For --to web: an .onnx file of lightpose, or bundled weights by name. lpn50_int8 is a third of the size."""
    images: Reads | None = None
    """A picture or a folder of them: compare on up to 16 of these, each taken whole, and not on noise."""
    input_hw: tuple[int, int] | None = None
    """Of a person detector: height and width of its input, if not what it was trained at; more pixels find smaller
    people and take longer."""
    opset: int | None = None
    """Of an .onnx file: ONNX's version of the operators, 17 to 20. Not given: 17, which the oldest runtimes open. The
    answers are the same."""

    def run(self) -> int:
        """0 if the file was written and, for a graph, agrees with PyTorch."""
        if self.to == "web":
            return self._write_site()
        from lightpose.export import run

        if self.out is None:
            raise ConfigError("say with --out which file to write")
        if self.model != DEFAULT:
            raise ConfigError("--model is for --to web; name the weights without an option")
        done = run(self.weights, self.out, to=self.to, images=self.images, input_hw=self.input_hw, opset=self.opset)
        height, width = done.spec.input_hw
        print(f"{done.path}: {done.size_bytes / 1e6:.1f} MB, {done.spec.model} {height}×{width}, {done.title}")
        if done.parity is not None:
            on = "noise" if done.images is None else str(done.images)
            print(f"largest difference from PyTorch, on {on}: {done.parity.to_text()}")
        return 0

    def _write_site(self) -> int:
        from lightpose.serve.site import write_site

        if (self.out, self.images, self.input_hw, self.opset) != (None, None, None, None):
            raise ConfigError("--to web takes the folder and --model alone; leave the other options out")
        site = write_site(self.weights, self.model)
        print(f"{site.folder}: {len(site.files)} files, {site.size_bytes / 1e6:.1f} MB; put it on any file host")
        print("browsers run it on one thread, on more if the host sends these headers:")
        print("  Cross-Origin-Opener-Policy: same-origin")
        print("  Cross-Origin-Embedder-Policy: require-corp")
        return 0
