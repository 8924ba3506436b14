"""Several ways of reading the same heatmaps, against one evaluation for each."""

import dataclasses
import gc
import itertools
import json
import weakref
from typing import get_args

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval")

from lightpose.data.coco import read_coco
from lightpose.errors import ConfigError
from lightpose.evaluate.evaluation import evaluate_decodings, evaluate_detections, evaluate_given_boxes
from lightpose.inference.top_down import Decoding, PredictOptions, predict_boxed, predict_decodings
from lightpose.paper.ablate import PAPER_BETAS, Bench, ablate_decoders, decodings
from lightpose.results import Boxes
from lightpose.skeletons import COCO17
from lightpose.types import DecoderName, ModelSpec
from tests.helpers import ColorRuntime, draw_set

SPEC = ModelSpec("colors", COCO17, (64, 48))
WAYS = [Decoding("argmax"), Decoding("softargmax", 40.0), Decoding("softargmax", 160.0), Decoding("dark")]


def options_of(way, flip):
    return PredictOptions(flip, way.decoder, way.beta, batch=3)


def boxes_of(source):
    rows = sorted(source.document["annotations"], key=lambda row: row["image_id"])
    groups = itertools.groupby(rows, key=lambda row: row["image_id"])
    return {image_id: Boxes(np.array([row["bbox"] for row in group], np.float32)) for image_id, group in groups}


@pytest.fixture
def source(tmp_path):
    drawn = draw_set(tmp_path / "drawn", people=(2, 0, 1, 2))
    return read_coco(drawn.annotations, drawn.images)


@pytest.mark.parametrize("flip", [False, True])
def test_each_way_gives_what_predicting_that_way_alone_gives(flip):
    rng = np.random.default_rng(0)
    pictures = [
        (key, rng.integers(0, 256, (90, 120, 3), np.uint8), Boxes(rng.uniform(20, 60, (key, 4)).astype(np.float32)))
        for key in (2, 0, 4, 1)
    ]
    runtime = ColorRuntime(SPEC)
    together = list(predict_decodings(pictures, runtime, PredictOptions(flip, batch=3), WAYS))
    assert sum(runtime.batches) == 7 * (1 + flip), "every crop, and its mirror image, once for all ways"
    for number, way in enumerate(WAYS):
        alone = list(predict_boxed(pictures, ColorRuntime(SPEC), options_of(way, flip)))
        assert [key for key, _ in together] == [key for key, _ in alone]
        for (_, variants), (_, expected) in zip(together, alone, strict=True):
            np.testing.assert_array_equal(variants[number].keypoints, expected.keypoints)
            np.testing.assert_array_equal(variants[number].scores, expected.scores)


@pytest.mark.parametrize("detected", [False, True])
def test_each_ways_figures_are_those_of_its_own_evaluation(source, detected):
    boxes = boxes_of(source) if detected else None
    done = []
    found = evaluate_decodings(source, boxes, ColorRuntime(SPEC), PredictOptions(True, batch=3), WAYS, done.append)
    assert done[-1] == 5
    for way, one in zip(WAYS, found, strict=True):
        runtime, options = ColorRuntime(SPEC), options_of(way, True)
        alone = (
            evaluate_detections(source, boxes, runtime, options)
            if detected
            else evaluate_given_boxes(source, runtime, options)
        )
        assert one.scores == alone.scores
        np.testing.assert_array_equal(one.errors, alone.errors)
        np.testing.assert_array_equal(one.image_ids, alone.image_ids)
        np.testing.assert_array_equal(one.results.keypoints, alone.results.keypoints)


class WatchedRuntime(ColorRuntime):
    """Knows how many of the heatmaps that it gave are still held."""

    def __init__(self, spec):
        super().__init__(spec)
        self.most, self._given = 0, []

    def heatmaps(self, crops):
        gc.collect()
        self.most = max(self.most, sum(ref() is not None for ref in self._given))
        maps = super().heatmaps(crops)
        self._given.append(weakref.ref(maps))
        return maps


@pytest.mark.slow
def test_no_heatmaps_are_held_beyond_the_batch_that_follows(tmp_path):
    drawn = draw_set(tmp_path / "many", people=(2,) * 6)
    runtime = WatchedRuntime(SPEC)
    evaluate_decodings(read_coco(drawn.annotations, drawn.images), None, runtime, PredictOptions(batch=2), decodings())
    assert len(runtime.batches) == 6
    assert runtime.most <= 1, "those that are decoded while the network runs"


def test_the_ways_are_all_decoders_with_each_beta_after_argmax():
    ways = decodings((40.0, 160.0))
    assert ways[0] == Decoding("argmax")
    assert {way.decoder for way in ways} == set(get_args(DecoderName))
    assert [way.beta for way in ways if way.decoder == "softargmax"] == [40.0, 160.0]
    assert len(decodings()) == 5 + 2 * len(PAPER_BETAS)


@pytest.mark.parametrize("beta", [0.0, -1.0, float("inf"), float("nan")])
def test_a_beta_that_reads_nothing_is_refused(beta):
    with pytest.raises(ConfigError, match="beta must be above 0"):
        decodings((beta,))


def test_the_ablation_reports_each_way_with_its_manner_and_its_gain_over_the_first(source):
    told = []
    bench = Bench(source, PredictOptions(False), progress=lambda *what: told.append(what), resamples=20)
    [found] = ablate_decoders(bench, ["lpn50"], WAYS)
    assert told[-1] == ("lpn50", 5, 5)
    assert [(one.report.how["decoder"], one.report.how["beta"]) for one in found] == [
        (way.decoder, way.beta) for way in WAYS
    ]
    first, *others = found
    assert (first.gain, first.interval) == (None, None)
    for one in others:
        assert one.gain == pytest.approx(one.report.figures["ap"] - first.report.figures["ap"])
        assert one.interval.low <= one.gain <= one.interval.high or one.interval.low == one.interval.high
    record = others[-1].to_record()
    assert (record["decoder"], record["flip"], record["boxes"], record["geometry"]) == ("dark", False, "given", "msra")
    assert record["gain"] == pytest.approx(others[-1].gain, abs=1e-6)
    assert json.loads(json.dumps(record)) == record


def test_a_set_without_labels_is_refused_before_the_work(source):
    bare = dataclasses.replace(source, document={**source.document, "annotations": []})
    with pytest.raises(ConfigError, match="has no annotations, so no AP; give a labelled file"):
        Bench(bare, PredictOptions())
