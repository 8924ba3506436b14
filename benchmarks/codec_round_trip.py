"""How far each decoder is from the truth on perfect heatmaps: encode random sub-pixel points, decode them, compare.

python benchmarks/codec_round_trip.py
"""

from typing import get_args

import numpy as np

from lightpose.ops.codec import decode, encode
from lightpose.skeletons import COCO17
from lightpose.types import DecoderName

POINTS, HEATMAP_HW, MARGIN = 17_000, (64, 48), 8


def main() -> None:
    """Print a markdown table: mean and largest distance in heatmap pixels (one is four crop pixels)."""
    generator = np.random.default_rng(0)
    limits = np.array(HEATMAP_HW[::-1]) - 2 * MARGIN
    points = (MARGIN + generator.random((POINTS // 17, 17, 2)) * limits).astype(np.float32)
    weights = np.ones(points.shape[:2], np.float32)
    print(f"{POINTS} random points, heatmap {HEATMAP_HW[0]}×{HEATMAP_HW[1]}, sigma 2, beta 160\n")
    print("| decoder | rounded target: mean | largest | exact target: mean | largest |")
    print("|---|---|---|---|---|")
    for decoder in get_args(DecoderName):
        cells = []
        for exact in (False, True):
            heatmaps, _ = encode(points, weights, HEATMAP_HW, exact=exact)
            distance = np.linalg.norm(decode(heatmaps, decoder, sigmas=COCO17.sigmas)[..., :2] - points, axis=-1)
            cells += [f"{distance.mean():.3f}", f"{distance.max():.3f}"]
        print(f"| {decoder} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
