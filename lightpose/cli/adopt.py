"""`lightpose weights adopt`: write into another project's graph what it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from lightpose.cli.marks import Reads, ReadsNamed, Writes
from lightpose.cli.spec_table import print_origins
from lightpose.types import ColorOrder, DecoderName, GeometryName
from lightpose.weights.foreign.settings import LikeName

__all__ = ["Adopt", "print_identified"]

if TYPE_CHECKING:
    from lightpose.weights.foreign.graphs import Identified


@dataclass(frozen=True)
class Adopt:
    """Write into another project's graph what it is, so that it need not be said again.

    Reads .onnx files of networks that take crops: SimCC (RTMPose, RTMW, DWPose), heatmaps (HRNet, SimpleBaseline,
    ViTPose), points, MoveNet; of networks that find boxes and joints at once: YOLO-pose, RTMO; and the .zip of
    MMDeploy's model zoo. The graph stays as it is. What is neither in the file nor asked for is assumed, and printed
    with why.
    Example: lightpose weights adopt rtmpose-m.zip --out mine.onnx --skeleton halpe26
    """

    file: Positional[Reads]
    """The .onnx file, or MMDeploy's .zip."""
    out: Writes
    """The .onnx file to write."""
    like: LikeName | None = None
    """Assume what files of that project usually have."""
    skeleton: ReadsNamed | None = None
    """Names of the joints in the order of the outputs: coco17, halpe26, wholebody133, hand21, body25, ap10k, mpii16,
    lsp14, or a .toml file."""
    input_hw: tuple[int, int] | None = None
    """Height and width of its crops, such as 384 288, where the graph leaves them open."""
    color_order: ColorOrder | None = None
    """Order of the colours that it takes."""
    mean: tuple[float, float, float] | None = None
    """What is subtracted from each colour, of 255 or of 1: 123.675 116.28 103.53."""
    std: tuple[float, float, float] | None = None
    """What each colour is then divided by: 58.395 57.12 57.375."""
    geometry: GeometryName | None = None
    """How a box becomes a crop."""
    padding: float | None = None
    """How much wider than the box a crop is."""
    decoder: DecoderName | None = None
    """How heatmaps become points."""

    def run(self) -> int:
        """0 once the file is written."""
        from lightpose.skeletons import get_skeleton
        from lightpose.weights.foreign.graphs import adopt_graph
        from lightpose.weights.foreign.settings import Settings

        scale = 255 if max(*(self.mean or (0,)), *(self.std or (0,)), 0) > 1 else 1
        asked = Settings(
            skeleton=get_skeleton(self.skeleton) if self.skeleton else None,
            input_hw=self.input_hw,
            color_order=self.color_order,
            mean=_shares(self.mean, scale),
            std=_shares(self.std, scale),
            geometry=self.geometry,
            padding=self.padding,
            decoder=self.decoder,
        )
        print_identified(self.file, adopt_graph(self.file, self.out, asked, self.like))
        print(f"{self.out}: {self.out.stat().st_size / 1e6:.1f} MB")
        return 0


def print_identified(path: Path, found: Identified) -> None:
    """What a graph was recognised as, and each setting with where it is from."""
    print(f"{path}: {found.shown.layout.name} of {found.shown.joints} joints")
    print_origins(found.spec, found.origins)


def _shares(values: tuple[float, float, float] | None, scale: float) -> tuple[float, float, float] | None:
    if values is None:
        return None
    first, second, third = (value / scale for value in values)
    return first, second, third
