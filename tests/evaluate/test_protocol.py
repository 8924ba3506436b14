"""Protocols: their settings by hand, and the paper's whole road against plain loops written from LPN_FACTS."""

import math

import numpy as np
import pytest

from lightpose.errors import ConfigError
from lightpose.evaluate.protocol import PROTOCOLS, Protocol
from lightpose.inference.top_down import PredictOptions, predict_boxed
from lightpose.ops.oks import oks_nms, soft_oks_nms
from lightpose.results import Boxes, Poses
from lightpose.skeletons import COCO17
from lightpose.types import ModelSpec

SPEC = ModelSpec("random", COCO17, (64, 48))
SIGMAS = np.array(COCO17.sigmas)


def poses_at(points, scores, boxes=None):
    keypoints = np.concatenate([points, np.full((*points.shape[:2], 1), 0.5)], -1).astype(np.float32)
    boxes = np.tile(np.array([[0, 0, 100, 100]], np.float32), (len(points), 1)) if boxes is None else boxes
    return Poses(keypoints, np.array(scores, np.float32), Boxes(boxes), COCO17)


def test_near_equal_poses_are_suppressed_best_first():
    """OKS-NMS at 0.9: a tenth of a pixel is the same person, thirty pixels are another."""
    first = np.random.default_rng(0).uniform(0, 100, (17, 2))
    points = np.stack([first, first + 30, first + 0.1])
    poses = poses_at(points, [0.3, 0.9, 0.5])
    assert Protocol("hard").keep(poses, SPEC).tolist() == [1, 2]
    assert Protocol("soft", nms="soft").keep(poses, SPEC).tolist() == [1, 2, 0]
    assert Protocol("none", nms="none").keep(poses, SPEC).tolist() == [1, 2, 0]
    for nms in ("hard", "soft", "none"):
        assert Protocol("any", nms=nms).keep(poses_at(points[:0], []), SPEC).tolist() == []


def test_areas_are_the_boxes_or_the_crops():
    """A box 30 x 100 widens to 75 x 100 under 48:64, and by 1.25 to 93.75 x 125; one 90 x 30 heightens to 90 x 120."""
    boxes = np.array([[10, 20, 30, 100], [3, 4, 90, 30]], np.float32)
    poses = poses_at(np.zeros((2, 17, 2)), [0.5, 0.5], boxes)
    np.testing.assert_allclose(Protocol("a")._areas(poses.boxes, SPEC), [3000, 2700])
    crops = Protocol("b", areas="crop")._areas(poses.boxes, SPEC)
    np.testing.assert_allclose(crops, [75 * 100 * 1.5625, 90 * 120 * 1.5625])


@pytest.mark.parametrize("nms", ["hard", "soft"])
def test_the_paper_suppresses_by_the_crops_areas(nms):
    """Between these two the OKS is below 0.9 for their boxes and above it for their crops, twelve times as large."""
    first = np.random.default_rng(1).uniform(0, 100, (17, 2))
    boxes = np.tile(np.array([[0, 0, 20, 100]], np.float32), (3, 1))
    poses = poses_at(np.stack([first, first + 2.5, first + 300]), [0.9, 0.8, 0.3], boxes)
    area = {"box": 2000.0, "crop": 75 * 100 * 1.5625}
    function = {"hard": oks_nms, "soft": soft_oks_nms}[nms]
    kept = {}
    for areas, size in area.items():
        kept[areas] = Protocol("x", areas=areas, nms=nms).keep(poses, SPEC).tolist()
        assert kept[areas] == function(poses.keypoints, poses.scores, np.full(3, size), SIGMAS).tolist()
    assert kept["box"] == [0, 1, 2]
    assert kept["crop"] == {"hard": [0, 2], "soft": [0, 2, 1]}[nms]


def test_the_paper_and_its_code_differ_by_the_quarter_pixel():
    paper, code = PROTOCOLS["paper"].options(), PROTOCOLS["paper-code"].options()
    assert (paper.flip, paper.decoder, paper.beta, paper.padding) == (True, "softargmax", 160, 1.25)
    assert (code.flip, code.decoder, code.beta, code.padding) == (True, "softargmax_quarter", 160, 1.25)
    assert {PROTOCOLS[name].areas for name in ("paper", "paper-code")} == {"crop"}
    assert {(PROTOCOLS[name].nms, PROTOCOLS[name].nms_oks) for name in PROTOCOLS} == {("hard", 0.9)}


def test_lightpose_leaves_decoder_and_padding_to_the_user_and_the_weights():
    free = PROTOCOLS["lightpose"]
    assert free.options() == PredictOptions(flip=True, decoder=None, beta=None, padding=None, batch=32)
    assert free.areas == "box"
    asked = free.options(flip=False, decoder="dark", beta=100.0, padding=1.1, batch=4)
    assert (asked.flip, asked.decoder, asked.beta, asked.padding, asked.batch) == (False, "dark", 100.0, 1.1, 4)


def test_only_pckh_is_measured_a_pixel_off():
    assert [PROTOCOLS[name].bias_px for name in ("lightpose", "paper", "paper-code")] == [0, 0, 0]
    biases = {name: Protocol(**{**vars(one), "size": "head"}).bias_px for name, one in PROTOCOLS.items()}
    assert biases == {"lightpose": 0, "paper": 1, "paper-code": 1}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"flip": False}, "the protocol paper has flip True, not False"),
        ({"decoder": "dark"}, "has decoder softargmax, not dark; leave that out, or use another protocol"),
        ({"beta": 100.0}, "has beta 160.0, not 100.0"),
        ({"padding": 1.1}, "has padding 1.25, not 1.1"),
    ],
)
def test_a_setting_that_contradicts_the_protocol_is_refused(settings, text):
    with pytest.raises(ConfigError, match=text):
        PROTOCOLS["paper"].options(**settings)
    assert PROTOCOLS["paper"].options(decoder="softargmax", beta=160.0) == PROTOCOLS["paper"].options()


class RandomRuntime:
    """Heatmaps of a few blobs that depend on nothing but how many crops have come."""

    name = "random"
    precision = "float32"
    path = None

    def __init__(self):
        self.spec = SPEC
        self.given: list[np.ndarray] = []

    def heatmaps(self, crops):
        rng = np.random.default_rng(len(self.given))
        y, x = np.mgrid[:16, :12]
        maps = np.zeros((len(crops), 17, 16, 12), np.float32)
        for _ in range(2):
            center = rng.uniform(-1, [12, 16], (len(crops), 17, 2))
            square = (x - center[..., :1, None]) ** 2 + (y - center[..., 1:, None]) ** 2
            maps += rng.uniform(0, 0.5, (len(crops), 17, 1, 1)) * np.exp(-square / 8)
        self.given.append(maps)
        return maps.astype(np.float32)


def loop_decode(heatmap, quarter):
    """β-soft-argmax with β 160, the heatmap at the rounded pixel, and if wanted the authors' quarter."""
    peak = max(heatmap.ravel())
    share = [[math.exp(160 * (float(value) - float(peak))) for value in row] for row in heatmap]
    total = sum(map(sum, share))
    x = sum(value * column for row in share for column, value in enumerate(row)) / total
    y = sum(value * number for number, row in enumerate(share) for value in row) / total
    px, py = math.floor(x + 0.5), math.floor(y + 0.5)
    score = heatmap[py, px]
    if quarter and 1 < px < 11 and 1 < py < 15:
        x += 0.25 * np.sign(heatmap[py, px + 1] - heatmap[py, px - 1])
        y += 0.25 * np.sign(heatmap[py + 1, px] - heatmap[py - 1, px])
    return x, y, float(score)


def loop_person(heatmaps, mirrored, box, box_score, quarter):
    """Flip merge with the shift, decode, back to the picture, rescore; one person."""
    x0, y0, w, h = (float(value) for value in box)
    height = max(h, w * 64 / 48) * 1.25
    scale = height / 16  # of a heatmap pixel
    joints, sure = [], []
    for k, partner in enumerate(COCO17.flip_order):
        merged = np.zeros((16, 12))
        for row in range(16):
            for column in range(12):
                source = max(column - 1, 0)  # a pixel to the right, the first column kept
                merged[row, column] = (heatmaps[k, row, column] + mirrored[partner, row, 11 - source]) / 2
        x, y, score = loop_decode(merged.astype(np.float32), quarter)
        joints.append((x0 + w / 2 + (x - 6) * scale, y0 + h / 2 + (y - 8) * scale, score))
        sure += [score] if score > 0.2 else []
    return joints, box_score * (sum(sure) / len(sure) if sure else 0)


@pytest.mark.parametrize(("name", "quarter"), [("paper", False), ("paper-code", True)])
def test_the_papers_protocol_equals_plain_loops_from_box_to_kept_pose(name, quarter):
    rng = np.random.default_rng(2)
    xywh = np.column_stack([rng.uniform(0, 60, (12, 2)), rng.uniform(20, 90, (12, 2))]).astype(np.float32)
    boxes = Boxes(xywh, rng.random(12).astype(np.float32))
    runtime, protocol = RandomRuntime(), PROTOCOLS[name]
    picture = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    options = protocol.options(batch=12)
    [(_, poses)] = predict_boxed([(None, picture, boxes)], runtime, options)
    heatmaps, mirrored = runtime.given
    people = [loop_person(*one, quarter) for one in zip(heatmaps, mirrored, xywh, boxes.scores, strict=True)]
    np.testing.assert_allclose(poses.keypoints, [joints for joints, _ in people], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(poses.scores, [score for _, score in people], atol=1e-6)

    doubled = Poses(*(np.concatenate([part, part]) for part in (poses.keypoints, poses.scores)),
                    Boxes(np.concatenate([xywh, xywh])), COCO17)  # fmt: skip
    kept = protocol.keep(doubled, SPEC)
    assert sorted(kept.tolist()) == list(range(12)), "of each pair the first stays"
    assert (np.diff(doubled.scores[kept]) <= 0).all()
