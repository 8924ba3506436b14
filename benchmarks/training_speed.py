"""Crops per second in training: lightpose's batches against a conventional loader, around the same network.

The conventional loader reads each picture with OpenCV, warps and flips it, and draws its targets one joint after the
other, in worker processes of a torch DataLoader, as most pose code does. The network alone, on one batch over and over,
is the ceiling. The three take turns; medians are printed, and the hours that the paper's schedule would take.

    python benchmarks/training_speed.py --annotations data/lspet/train.json --images data/lspet/images
    OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 benchmarks/training_speed.py …   # two processes together
"""

import dataclasses
import statistics
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightpose.data.augment import AugmentConfig
from lightpose.data.coco import read_coco
from lightpose.data.crops import open_store
from lightpose.ops.geometry import crop_regions, region_matrices, transform_points
from lightpose.train.batches import Batch, Batches
from lightpose.train.config import DataConfig, ModelConfig, OptimConfig, SourceConfig, TrainConfig
from lightpose.train.distributed import World, join
from lightpose.train.learner import Learner
from lightpose.train.pose import PoseTask
from lightpose.train.sampling import Share
from lightpose.types import ModelSpec, Person

PAPER_EPOCHS, COCO_PERSONS = 690, 149_813


@dataclasses.dataclass(frozen=True)
class Options:
    """batch: of all processes. workers: of the conventional loader, in each. steps: of a turn. repeats: turns."""

    annotations: Path
    images: Path
    model: str = "lpn50"
    input_hw: tuple[int, int] = (256, 192)
    batch: int = 32
    amp: str = "auto"
    device: str = "auto"
    workers: int = 2
    steps: int = 6
    repeats: int = 5
    store: Path = Path("runs/crops")


class Conventional(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """One person at a time: picture, warp, flip, targets; no flip of left and right, which costs nothing."""

    def __init__(self, persons: list[Person], spec: ModelSpec, augment: AugmentConfig) -> None:
        self.persons, self.spec, self.augment = persons, spec, augment

    def __len__(self) -> int:
        return len(self.persons)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        person, spec, generator = self.persons[number], self.spec, np.random.default_rng()
        image = cv2.imread(str(person.image_path), cv2.IMREAD_COLOR_RGB)
        assert image is not None, person.image_path
        center, size = crop_regions(person.box_xywh[None], spec.input_hw, spec.padding)
        scale = np.clip(generator.normal(1, self.augment.scale), 0.7, 1.3)
        angle = np.clip(generator.normal(0, self.augment.rotation_deg, 1), -80, 80)
        matrix = region_matrices(center, size * scale, spec.input_hw, spec.geometry, angle)
        crop = cv2.warpAffine(image, matrix[0], spec.input_hw[::-1], flags=cv2.INTER_LINEAR)
        points = transform_points(person.keypoints[None, : len(spec.skeleton)], matrix)[0] / spec.stride
        if generator.random() < 0.5:
            crop, points[:, 0] = crop[:, ::-1], spec.heatmap_hw[1] - 1 - points[:, 0]
        pixels = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1).float()
        return pixels, *self._targets(points, person.visibility)

    def _targets(self, points: np.ndarray, visibility: np.ndarray) -> tuple[Tensor, Tensor]:
        height, width = self.spec.heatmap_hw
        joints = len(self.spec.skeleton)
        targets, weights = np.zeros((joints, height, width), np.float32), np.zeros(joints, np.float32)
        rows, columns = np.mgrid[:height, :width]
        for joint in range(joints):
            x, y = np.floor(points[joint] + 0.5)
            if visibility[joint] and -6 <= x < width + 6 and -6 <= y < height + 6:
                targets[joint] = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * self.spec.sigma**2))
                weights[joint] = 1
        return torch.from_numpy(targets), torch.from_numpy(weights)


def config_of(options: Options) -> TrainConfig:
    """A run of the paper's kind."""
    source = SourceConfig(str(options.annotations), str(options.images))
    return TrainConfig(
        data=DataConfig((source,), source),
        out="",
        model=ModelConfig(options.model, input_hw=options.input_hw),
        optim=OptimConfig(batch=options.batch),
        device=options.device,
        amp=options.amp,  # type: ignore[arg-type]
    )


def ours(
    options: Options, config: TrainConfig, spec: ModelSpec, device: torch.device, world: World
) -> Iterator[list[Batch]]:
    """Batches of a crop store, for ever."""
    file = read_coco(options.annotations, options.images)
    store = open_store(file, spec.skeleton, spec.input_hw, options.store, verify=False, padding=spec.padding)
    batches = Batches([store], config.data.train, spec, config.augment, options.batch, 0, False, device, True)
    for epoch in cycle([0]):
        yield from batches.epoch(epoch, 0, Share(world.rank, world.size))


def conventional(
    options: Options, config: TrainConfig, spec: ModelSpec, device: torch.device, world: World
) -> Iterator[list[Batch]]:
    """Batches of the conventional loader, for ever."""
    persons = read_coco(options.annotations, options.images).persons()
    data = Conventional(persons, spec, config.augment)
    share = options.batch // world.size
    loader = DataLoader(data, share, shuffle=True, num_workers=options.workers, drop_last=True, pin_memory=True)
    while True:
        for parts in loader:
            images, targets, weights = (part.to(device, non_blocking=True) for part in parts)
            yield [Batch(images, targets, weights, 1 / world.size)]


def measure(options: Options, world: World, device: torch.device) -> dict[str, list[float]]:
    """Take turns. Crops per second of all processes together, of each turn, by road."""
    config = config_of(options)
    spec = config.model.spec()
    learner = Learner(config, PoseTask(config, device), world, device)
    mine, theirs = (road(options, config, spec, device, world) for road in (ours, conventional))
    if not world.first:  # which builds the store
        world.wait()
    same = next(mine)
    if world.first:
        world.wait()
    roads: dict[str, Iterator[list[Batch]]] = {
        "network alone": cycle([same]), "lightpose": mine, f"DataLoader, {options.workers} workers": theirs
    }  # fmt: skip
    rates: dict[str, list[float]] = {name: [] for name in roads}

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()
        world.wait()

    for repeat in range(options.repeats + 1):  # the first is to warm up
        for name, batches in roads.items():
            for _ in islice(batches, 2 * options.workers):  # made ready while others had their turn
                pass
            wait()
            start = time.perf_counter()
            for parts in islice(batches, options.steps):
                learner.step(parts, 1e-4)
            wait()
            if repeat:
                rates[name].append(options.steps * options.batch / (time.perf_counter() - start))
    return rates


def main(options: Options) -> None:
    """Measure and print the table."""
    cv2.setNumThreads(1)
    with join(options.device) as (world, device):
        rates = measure(options, world, device)
    if not world.first:
        return
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    height, width = options.input_hw
    print(f"{options.model} {height}x{width}, batch {options.batch}, amp {options.amp}, {world.size} × {name}")
    ceiling = statistics.median(rates["network alone"])
    print("| | crops/s | spread | of the ceiling | paper's 690 epochs of COCO |\n|---|---|---|---|---|")
    for name, values in rates.items():
        rate = statistics.median(values)
        hours = PAPER_EPOCHS * COCO_PERSONS / rate / 3600
        print(f"| {name} | {rate:.1f} | {min(values):.1f}-{max(values):.1f} | {rate / ceiling:.0%} | {hours:,.0f} h |")


if __name__ == "__main__":
    main(tyro.cli(Options))
