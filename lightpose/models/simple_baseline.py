"""SimpleBaseline: a ResNet and three transposed convolutions (Xiao et al., ECCV 2018, arXiv:1804.06208).

Checkpoints of Microsoft's pose_resnet and of MMPose name the ResNet as `resnet.py` says (MMPose with `backbone.` before
it), the transposed part deconv_layers (`deconvs` here, same numbers) and the output final_layer (`head`).

By the LPN paper's rule ResNet-152 does 15.76 GFLOPs at 256×192 and 35.47 at 384×288, which has 2.25 times the pixels.
Its Table 1 has 15.7 and 35.6 from the HRNet paper, whose authors later gave 35.3; no one rule gives 15.7 and 35.6.
"""

from __future__ import annotations

from torch import Tensor, nn

from lightpose.models.blocks import initialise_kaiming, initialise_small
from lightpose.models.resnet import DEPTHS, ResNet, check_size

__all__ = ["SimpleBaseline", "simple50", "simple101", "simple152"]

WIDTH = 256


class SimpleBaseline(nn.Module):
    """(N, 3, H, W) normalised crops, H and W divisible by 32 → heatmaps (N, joints, H/4, W/4).

    The authors start the ResNet from ImageNet; without that it starts from He et al.'s weights, the rest from
    N(0, 0.001) as theirs does. depths: bottlenecks in each layer of the ResNet.
    """

    size_multiple = 32

    def __init__(self, depths: tuple[int, int, int, int], joints: int = 17) -> None:
        super().__init__()
        self.backbone = ResNet(depths)
        layers: list[nn.Module] = []
        for inputs in (2048, WIDTH, WIDTH):
            layers += [
                nn.ConvTranspose2d(inputs, WIDTH, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(WIDTH),
                nn.ReLU(inplace=True),
            ]
        self.deconvs = nn.Sequential(*layers)
        self.head = nn.Conv2d(WIDTH, joints, 1)
        initialise_kaiming(self.backbone)
        self.deconvs.apply(initialise_small)
        self.head.apply(initialise_small)

    def forward(self, x: Tensor) -> Tensor:
        check_size(x, self.size_multiple)
        out: Tensor = self.head(self.deconvs(self.backbone(x)[-1]))
        return out


def simple50(joints: int = 17) -> SimpleBaseline:
    """SimpleBaseline with ResNet-50: 34.0 M parameters."""
    return SimpleBaseline(DEPTHS[50], joints)


def simple101(joints: int = 17) -> SimpleBaseline:
    """SimpleBaseline with ResNet-101: 53.0 M parameters."""
    return SimpleBaseline(DEPTHS[101], joints)


def simple152(joints: int = 17) -> SimpleBaseline:
    """SimpleBaseline with ResNet-152: 68.6 M parameters."""
    return SimpleBaseline(DEPTHS[152], joints)
