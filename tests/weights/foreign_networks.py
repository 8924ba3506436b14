"""Networks as other projects build and name them, from their papers' and codes' description: the other side of imports.

Each takes normalised crops (N, 3, H, W) and gives heatmaps; forward is written out, unlike ours.
"""

import torch
from torch import nn

LAYERS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class Context(nn.Module):
    """GCNet's block as the LPN authors have it: pooled by attention, transformed, added."""

    def __init__(self, width):
        super().__init__()
        hidden = max(width // 16, 16)
        self.conv_mask = nn.Conv2d(width, 1, 1)
        self.channel_add_conv = nn.Sequential(
            nn.Conv2d(width, hidden, 1), nn.LayerNorm([hidden, 1, 1]), nn.ReLU(), nn.Conv2d(hidden, width, 1)
        )

    def forward(self, x):
        share = torch.softmax(self.conv_mask(x).flatten(1), 1)
        pooled = torch.einsum("nchw,nhw->nc", x, share.view(len(x), *x.shape[2:]))
        return x + self.channel_add_conv(pooled[:, :, None, None])


class Block(nn.Module):
    """Basic (two 3×3) or bottleneck (1×1, 3×3, 1×1) block; grouped: the LPN's, with one width and a depthwise 3×3."""

    def __init__(self, inputs, width, outputs, stride=1, grouped=False, context=False, basic=False):
        super().__init__()
        if basic:
            kernels = [(inputs, width, 3, 1), (width, outputs, 3, 1)]
        else:
            kernels = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
        self.count = len(kernels)
        for number, (before, after, kernel, step) in enumerate(kernels, start=1):
            groups = width if grouped and kernel == 3 else 1
            convolution = nn.Conv2d(before, after, kernel, step, kernel // 2, groups=groups, bias=False)
            self.add_module(f"conv{number}", convolution)
            self.add_module(f"bn{number}", nn.BatchNorm2d(after))
        self.att = Context(outputs) if context else None
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        out = x
        for number in range(1, self.count + 1):
            out = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(out))
            out = out if number == self.count else out.relu()
        out = out if self.att is None else self.att(out)
        return (out + (x if self.downsample is None else self.downsample(x))).relu()


class PoseResNet(nn.Module):
    """Microsoft's pose_resnet, and (lightweight) the LPN that its authors made of it."""

    def __init__(self, depth=50, joints=17, lightweight=False, context=False):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        inputs, grow = 64, 1 if lightweight else 4
        strides = (1, 2, 2, 1 if lightweight else 2)
        for number, (count, stride) in enumerate(zip(LAYERS[depth], strides, strict=True)):
            blocks = []
            for place in range(count):
                width = 64 * 2**number
                step = stride if place == 0 else 1
                blocks.append(Block(inputs, width, grow * width, step, lightweight, context))
                inputs = grow * width
            self.add_module(f"layer{number + 1}", nn.Sequential(*blocks))
        parts = []
        for _ in range(2 if lightweight else 3):
            groups = 256 if lightweight else 1
            parts += [nn.ConvTranspose2d(inputs, 256, 4, 2, 1, groups=groups, bias=False), nn.BatchNorm2d(256)]
            parts += [nn.ReLU()]
            if lightweight:
                parts += [nn.Conv2d(256, 256, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU()]
            inputs = 256
        self.deconv_layers = nn.Sequential(*parts)
        self.final_layer = nn.Conv2d(256, joints, 1)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        for number in (1, 2, 3, 4):
            x = getattr(self, f"layer{number}")(x)
        return self.final_layer(self.deconv_layers(x))


def conv(inputs, outputs, kernel, stride, relu):
    parts = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*parts, nn.ReLU()) if relu else nn.Sequential(*parts)


class Exchange(nn.Module):
    """A module of HRNet: four basic blocks on each branch, then sums over all branches."""

    def __init__(self, widths, outputs):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(Block(width, width, width, basic=True) for _ in range(4))) for width in widths
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self.path(widths, source, target) for source in range(len(widths)))
            for target in range(outputs)
        )

    @staticmethod
    def path(widths, source, target):
        if source == target:
            return None
        if source > target:
            grow = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
            return nn.Sequential(*conv(widths[source], widths[target], 1, 1, False), grow)
        steps = target - source
        return nn.Sequential(
            *(
                conv(widths[source], widths[target if last else source], 3, 2, not last)
                for last in (step == steps - 1 for step in range(steps))
            )
        )

    def forward(self, maps):
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        sums = []
        for paths in self.fuse_layers:
            total = 0
            for path, x in zip(paths, maps, strict=True):
                total = total + (x if path is None else path(x))
            sums.append(total.relu())
        return sums


class PoseHRNet(nn.Module):
    """Microsoft's pose_hrnet."""

    def __init__(self, width=32, joints=17):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64)
        self.conv2, self.bn2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Block(64, 64, 256), *(Block(256, 64, 256) for _ in range(3)))
        before = [256]
        for stage, modules in ((2, 1), (3, 4), (4, 3)):
            widths = [width * 2**branch for branch in range(stage)]
            paths = [None if a == b else conv(b, a, 3, 1, True) for a, b in zip(widths, before, strict=False)]
            paths.append(nn.Sequential(conv(before[-1], widths[-1], 3, 2, True)))
            self.add_module(f"transition{stage - 1}", nn.ModuleList(paths))
            outputs = [stage] * (modules - 1) + [1 if stage == 4 else stage]
            self.add_module(f"stage{stage}", nn.Sequential(*(Exchange(widths, given) for given in outputs)))
            before = widths
        self.final_layer = nn.Conv2d(width, joints, 1)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        maps = [self.layer1(self.bn2(self.conv2(x)).relu())]
        for stage in (2, 3, 4):
            paths = getattr(self, f"transition{stage - 1}")
            sources = [*maps, maps[-1]] if stage > 2 else [maps[0], maps[0]]
            maps = [x if path is None else path(x) for path, x in zip(paths, sources, strict=True)]
            maps = getattr(self, f"stage{stage}")(maps)
        return self.final_layer(maps[0])


def trained(network, seed=0):
    """The network with weights and statistics that let a signal of size 1 through, none of them as it was born."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, generator=generator)
        elif isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.2, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
        if getattr(module, "bias", None) is not None:
            nn.init.uniform_(module.bias, -0.2, 0.2, generator=generator)
    with torch.no_grad():
        network.train()(torch.randn(4, 3, 64, 64, generator=generator))
        for name, value in network.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                value.mul_(torch.empty_like(value).uniform_(0.8, 1.25, generator=generator))
    return network.eval()
