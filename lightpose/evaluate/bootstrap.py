"""How far the figures would move on other images of the same kind: percentile intervals of the bootstrap.

Images are drawn with replacement, as many as there are, and the figures computed anew (Efron & Tibshirani, An
Introduction to the Bootstrap, ch. 13). Images, not people, are what a data set is a sample of: the people of one
image share its light, its crowd and its camera. Matching is within an image and done once; a draw only counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightpose.data.coco import CocoFile
from lightpose.errors import ConfigError
from lightpose.evaluate.evaluation import Evaluation
from lightpose.evaluate.matching import Matches, average_precision, candidates, match, read_truth

__all__ = ["CELLS", "Interval", "Intervals", "bootstrap", "draw_pictures", "gain_intervals", "interval"]

CELLS = 2_000_000
"""Draws are worked on in groups of about so many poses times draws, to bound memory."""


@dataclass(frozen=True)
class Interval:
    """low, high: the bounds; NaN if the figure could not be computed in any draw."""

    low: float
    high: float


@dataclass(frozen=True)
class Intervals:
    """Intervals of the figures of that name. resamples, seed, level: how they were made."""

    ap: Interval
    ap50: Interval
    ap75: Interval
    pck: Interval
    resamples: int
    seed: int
    level: float


def bootstrap(
    source: CocoFile,
    evaluation: Evaluation,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    share: float = 0.1,
) -> Intervals:
    """Percentile intervals of AP, AP50, AP75 and PCK, over draws of all images of the file.

    share: the reach of PCK, see `Evaluation.pck`. A draw in which nobody is labelled is left out. Raises ConfigError
    if there are no resamples or the level is not within (0, 1).
    """
    return _intervals(_resampled(source, evaluation, resamples, seed, level, share), resamples, seed, level)


def gain_intervals(
    source: CocoFile,
    before: Evaluation,
    after: Sequence[Evaluation],
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    share: float = 0.1,
) -> list[Intervals]:
    """Percentile intervals of what the figures gain from one evaluation to each other one of the same file, on the
    same draws. Raises as `bootstrap` does.
    """
    first = _resampled(source, before, resamples, seed, level, share)
    gains = (_resampled(source, one, resamples, seed, level, share) - first for one in after)
    return [_intervals(gain, resamples, seed, level) for gain in gains]


def _intervals(figures: NDArray[np.float64], resamples: int, seed: int, level: float) -> Intervals:
    """Those of AP, AP50, AP75 and PCK, (resamples, 4)."""
    ap, ap50, ap75, pck = (interval(column, level) for column in figures.T)
    return Intervals(ap, ap50, ap75, pck, resamples, seed, level)


def _resampled(
    source: CocoFile, evaluation: Evaluation, resamples: int, seed: int, level: float, share: float = 0.1
) -> NDArray[np.float64]:
    """AP, AP50, AP75 and PCK of each draw, (resamples, 4). The draws depend on the seed and the file alone."""
    if resamples < 1:
        raise ConfigError(f"bootstrap needs at least one resample, not {resamples}; 1000 is usual")
    if not 0 < level < 1:
        raise ConfigError(f"the level of an interval must be between 0 and 1, not {level}")
    matches, hits, labelled = _counts(source, evaluation, share)
    generator = np.random.default_rng(seed)
    group = max(1, CELLS // max(len(matches.scores), len(matches.labelled), 1))
    rows = []
    for start in range(0, resamples, group):
        weights = draw_pictures(generator, len(matches.labelled), min(group, resamples - start))
        precision = average_precision(matches, weights)
        with np.errstate(invalid="ignore"):  # nobody labelled: 0 / 0
            shares = (weights @ hits) / (weights @ labelled)
        rows.append(np.column_stack([precision.mean(1), precision[:, 0], precision[:, 5], shares]))
    return np.concatenate(rows)


def draw_pictures(generator: np.random.Generator, pictures: int, resamples: int) -> NDArray[np.int64]:
    """How often each image is drawn, (resamples, images), when as many as there are are drawn with replacement."""
    drawn = generator.integers(0, max(pictures, 1), (resamples, pictures))
    places = drawn + pictures * np.arange(resamples)[:, None]
    return np.bincount(places.ravel(), minlength=resamples * pictures).reshape(resamples, pictures)


def _counts(
    source: CocoFile, evaluation: Evaluation, share: float
) -> tuple[Matches, NDArray[np.int64], NDArray[np.int64]]:
    """What each image adds: its matches, its joints within reach, and its labelled joints."""
    results = evaluation.results
    mine, theirs = results.skeleton.match(source.skeleton.joints)
    truth = read_truth(source, theirs)
    sigmas = np.array(results.skeleton.sigmas)[mine]
    matches = match(truth, candidates(results, truth, mine), sigmas)
    picture = np.searchsorted(truth.image_ids, evaluation.image_ids)
    per_person = (evaluation.errors <= share).sum(1), np.isfinite(evaluation.errors).sum(1)
    pictures = len(truth.image_ids)
    hits, labelled = (np.bincount(picture, count, pictures).astype(np.int64) for count in per_person)
    return matches, hits, labelled


def interval(values: NDArray[np.float64], level: float) -> Interval:
    known = values[np.isfinite(values)]
    if not len(known):
        return Interval(math.nan, math.nan)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
