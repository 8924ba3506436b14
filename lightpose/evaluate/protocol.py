"""What is done to get a figure, named: the presets of `lightpose evaluate --protocol`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError
from lightpose.evaluate.pck import SizeName
from lightpose.inference.top_down import PredictOptions
from lightpose.ops.geometry import crop_regions
from lightpose.ops.oks import oks_nms, soft_oks_nms
from lightpose.results import Boxes, Poses
from lightpose.types import PADDING, DecoderName, ModelSpec

__all__ = ["LIGHTPOSE", "PROTOCOLS", "NmsName", "Protocol", "ProtocolName"]

NmsName = Literal["hard", "soft", "none"]
ProtocolName = Literal["lightpose", "paper", "paper-code"]


@dataclass(frozen=True)
class Protocol:
    """How predictions become the results that are scored.

    flip, decoder, beta, padding: what the protocol insists on; None for the user's or the weights' own. areas: what
    OKS-NMS takes for a person's area, its box or the padded region of the paper. nms, nms_oks: kind and threshold.
    head_bias_px: taken from coordinates before PCKh. size: what joint errors are measured by.
    """

    name: str
    flip: bool | None = None
    decoder: DecoderName | None = None
    beta: float | None = None
    padding: float | None = None
    areas: Literal["box", "crop"] = "box"
    nms: NmsName = "hard"
    nms_oks: float = 0.9
    head_bias_px: float = 0.0
    size: SizeName = "box"

    @property
    def bias_px(self) -> float:
        """What is taken from predicted coordinates before joint errors are measured."""
        return self.head_bias_px if self.size == "head" else 0.0

    def options(
        self,
        flip: bool = True,
        decoder: DecoderName | None = None,
        beta: float | None = None,
        padding: float | None = None,
        batch: int = 32,
    ) -> PredictOptions:
        """How to predict under this protocol. Raises ConfigError if it insists on something else than is asked for."""
        for name, asked in (("flip", flip), ("decoder", decoder), ("beta", beta), ("padding", padding)):
            own = getattr(self, name)
            if None not in (asked, own) and asked != own:
                raise ConfigError(
                    f"the protocol {self.name} has {name} {own}, not {asked}; leave that out, or use another protocol"
                )
        return PredictOptions(
            flip,
            decoder or self.decoder,
            self.beta if beta is None else beta,
            batch,
            self.padding if padding is None else padding,
        )

    def keep(self, poses: Poses, spec: ModelSpec) -> NDArray[np.intp]:
        """Numbers of the poses of one image that OKS-NMS keeps, best first."""
        if self.nms == "none":
            return np.argsort(-poses.scores, kind="stable")
        suppress = soft_oks_nms if self.nms == "soft" else oks_nms
        areas = self._areas(poses.boxes, spec)
        return suppress(poses.keypoints, poses.scores, areas, poses.skeleton.sigmas, self.nms_oks)

    def _areas(self, boxes: Boxes, spec: ModelSpec) -> NDArray[np.float64]:
        if self.areas == "crop":
            sides = crop_regions(boxes.xywh, spec.input_hw)[1]
        else:
            sides = boxes.xywh[:, 2:].astype(np.float64)
        return sides[:, 0] * sides[:, 1]


LIGHTPOSE = Protocol("lightpose")
PAPER = Protocol("paper", flip=True, decoder="softargmax", beta=160.0, padding=PADDING, areas="crop", head_bias_px=1.0)
PAPER_CODE = dataclasses.replace(PAPER, name="paper-code", decoder="softargmax_quarter")

PROTOCOLS = {protocol.name: protocol for protocol in (LIGHTPOSE, PAPER, PAPER_CODE)}
"""lightpose: the weights' own decoder and padding. paper: as its text says, flip test, β-soft-argmax with β 160, crops
of 1.25 times the boxes, and for OKS-NMS SimpleBaseline's areas, scale · 200 along both sides of the crop's region.
paper-code: as the authors' released code, which moves each joint by another quarter pixel. Under both, coordinates less
1.0 count for PCKh (its TEST.BIAS)."""
