"""The page's formulas give what Python's give: the same inputs go through both."""

import base64
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_args

import numpy as np
import pytest

from lightpose.inference.smooth import Smoother
from lightpose.inference.track import Tracker
from lightpose.ops.angles import angle_rules, angles_of, known_angles
from lightpose.ops.assignment import assign
from lightpose.ops.boxes import iou, nms, to_xyxy
from lightpose.ops.codec import encode
from lightpose.ops.colors import color_vectors
from lightpose.ops.families import FAMILIES
from lightpose.ops.geometry import cut_crops
from lightpose.ops.letterbox import letterbox
from lightpose.ops.oks import oks_nms
from lightpose.results import Boxes, Poses
from lightpose.serve.networks import pose_facts
from lightpose.serve.site import PAGE
from lightpose.skeletons import BODY25, COCO17, HALPE26
from lightpose.types import DecoderName, ModelSpec
from tests.serve.page.conftest import hosted
from tests.test_docs import ROOT

pytestmark = pytest.mark.slow

WEB = ROOT / "lightpose" / "serve" / "web"
IMAGE_HW = (480, 640)

Call = Callable[..., Any]

PACKING = """
    const opened = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const floats = (text) => new Float32Array(opened(text).buffer);
    const letter = (byte) => String.fromCharCode(byte);
    const packed = ({ buffer }) => btoa(Array.from(new Uint8Array(buffer), letter).join(""));
"""
"""Arrays go in and out as base64: lists of numbers take minutes."""


@pytest.fixture(scope="module")
def call(browser) -> Any:
    """Calls a function of one of the page's modules, in Chromium."""
    page = browser.new_page()
    with hosted(WEB) as address:
        page.goto(address + PAGE.replace("index.html", "icon.svg"))

        def run(module: str, function: str, *given: Any) -> Any:
            code = f"async (given) => {{ {PACKING} const m = await import('{address}{module}'); "
            code += f"return ({function})(...given) }}"
            return page.evaluate(code, list(given))

        yield run
    page.close()


def packed(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def opened(text: str, kind: type, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind).reshape(shape)


def rgba(image: np.ndarray) -> dict[str, Any]:
    """As a canvas gives it, with its data packed."""
    alpha = np.full((*image.shape[:2], 1), 255, np.uint8)
    return {"width": image.shape[1], "height": image.shape[0], "data": packed(np.concatenate([image, alpha], 2))}


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    "hw",
    [(97, 203), (480, 640), (320, 320), (640, 640), (30, 41), (1, 7), (500, 3), (321, 321), (319, 200), (720, 1280),
     (1283, 1926), (900, 1604), (2, 2600)],
)  # fmt: skip
def test_an_image_fits_into_the_detectors_input_as_in_python(call: Call, hw: tuple[int, int]):
    image = noise(*hw)
    expected = letterbox(image, (320, 320), 114)
    code = """(image) => {
        const { pixels, scaleXy } = m.letterbox({ ...image, data: opened(image.data) }, [320, 320], 114);
        return [packed(pixels), scaleXy];
    }"""
    found = call("pixels.js", code, rgba(image))
    assert found[1] == pytest.approx(expected.scale_xy, rel=1e-12)
    pixels = opened(found[0], np.uint8, (320, 320, 3))
    difference = np.abs(pixels - expected.pixels.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


@pytest.mark.parametrize("geometry", ["msra", "udp"])
@pytest.mark.parametrize(
    "box", [[50.3, 20.1, 80.7, 160.2], [-30, -20, 90, 100], [150, 150, 300, 40], [10, 10, 3.2, 5.1], [0, 0, 203, 197]]
)
def test_a_box_becomes_the_crop_that_python_cuts(call: Call, geometry: str, box: list[float]):
    image = noise(197, 203)
    crops, matrices = cut_crops(image, [box], (256, 192), geometry, 1.15)
    code = """(image, box, geometry) => {
        const map = m.cropMap(box, [256, 192], geometry, 1.15);
        const crop = new Uint8Array(256 * 192 * 3);
        m.cut({ ...image, data: opened(image.data) }, map, [256, 192], crop);
        return [map.scale, map.shift, packed(crop)];
    }"""
    scale, shift, crop = call("pixels.js", code, rgba(image), box, geometry)
    assert [scale[0], shift[0], scale[1], shift[1]] == pytest.approx(matrices[0][[0, 0, 1, 1], [0, 2, 1, 2]], rel=1e-9)
    difference = np.abs(opened(crop, np.uint8, (256, 192, 3)) - crops[0].astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


def random_boxes(generator: np.random.Generator, count: int) -> np.ndarray:
    """(N, 4) left, top, width, height, in clusters."""
    centers = generator.uniform(50, 400, (max(count // 4, 1), 4))[generator.integers(0, max(count // 4, 1), count)]
    boxes = centers + generator.normal(0, 15, (count, 4))
    boxes[:, 2:] = np.abs(boxes[:, 2:]) + 10
    return boxes.astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_overlap_and_suppression_are_pythons(call: Call, seed: int):
    generator = np.random.default_rng(seed)
    boxes = to_xyxy(random_boxes(generator, 60))
    scores = generator.uniform(0, 1, 60).round(2).astype(np.float32)
    assert call("boxes.js", "m.nms", boxes.tolist(), scores.tolist(), 0.6) == nms(boxes, scores, 0.6).tolist()
    one, other = boxes[:2].astype(np.float64)
    assert call("boxes.js", "m.iou", one.tolist(), other.tolist()) == pytest.approx(iou(one[None], other[None])[0, 0])


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (3, 7), (7, 3), (6, 6)])
def test_pairs_are_pythons(call: Call, shape: tuple[int, int]):
    costs = np.random.default_rng(sum(shape)).normal(size=shape)
    expected = np.stack(assign(costs), 1).tolist()
    assert call("assign.js", "m.assign", costs.tolist()) == expected


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


@pytest.mark.parametrize(
    ("module", "name", "kind"), [("track.js", "trackerDefaults", Tracker), ("smooth.js", "smootherDefaults", Smoother)]
)
def test_settings_are_pythons(call: Call, module: str, name: str, kind: type):
    expected = {field.name: field.default for field in fields(kind) if field.init}
    expected.pop("confirm", None)  # the page always does
    assert {snake(key): value for key, value in call(module, f"() => m.{name}").items()} == expected


def walk(seed: int, frames: int = 60) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Times, boxes and scores of people who cross each other, leave, and are missed now and then; the order changes."""
    generator = np.random.default_rng(seed)
    places = random_boxes(generator, 6).astype(np.float64)
    speeds = generator.normal(0, 60, (6, 2))
    found, time_s = [], 0.0
    for _ in range(frames):
        step = float(generator.choice([0.0, 0.04, 0.1, 0.7], p=[0.05, 0.6, 0.3, 0.05]))
        time_s += step
        places[:, :2] += speeds * step
        seen = generator.permutation(np.flatnonzero(generator.uniform(size=6) < 0.8))
        boxes = places[seen] + generator.normal(0, 2, (len(seen), 4))
        found.append((time_s, boxes.astype(np.float32), generator.uniform(0.05, 1, len(seen)).astype(np.float32)))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_ids_are_pythons(call: Call, seed: int):
    tracker, expected, given = Tracker(), [], []
    for time_s, boxes, scores in walk(seed):
        count = len(boxes)
        poses = Poses(np.zeros((count, 1, 3), np.float32), scores, Boxes(boxes, scores), COCO17, IMAGE_HW)
        tracked = tracker.update(poses, time_s)
        expected.append([tracked.ids.tolist(), tracked.boxes.xywh.round(3).tolist()])
        people = [{"box": box, "boxScore": score} for box, score in zip(boxes.tolist(), scores.tolist(), strict=True)]
        given.append([people, time_s, {"width": IMAGE_HW[1], "height": IMAGE_HW[0]}])
    code = """(frames) => {
        const tracker = new m.Tracker();
        const found = frames.map((frame) => tracker.update(...frame));
        return found.map((people) => [people.map(({ id }) => id), people.map(({ box }) => box)]);
    }"""
    found = call("track.js", code, given)
    assert [ids for ids, _ in found] == [ids for ids, _ in expected]
    assert max(max(ids, default=0) for ids, _ in found) > 4
    for (_, mine), (_, theirs) in zip(found, expected, strict=True):
        assert np.allclose(mine, theirs, atol=1e-3)


def test_colours_of_a_box_are_pythons(call: Call):
    image = noise(90, 130)
    boxes = [[10, 5, 40, 80], [-20, -30, 60, 100], [100.5, 60.25, 80, 80], [500, 500, 3, 3], [50, 50, 0, 0]]
    code = "(image, boxes) => boxes.map((box) => [...m.colorVector({ ...image, data: opened(image.data) }, box)])"
    assert np.allclose(call("colors.js", code, rgba(image), boxes), color_vectors(image, boxes), atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_ids_are_pythons_where_colours_count(call: Call, seed: int):
    """People as rectangles of their colours, which cross; some frames come without pixels."""
    tracker, expected, given = Tracker(), [], []
    colors = np.random.default_rng(seed).integers(0, 256, (6, 3)).tolist()
    for number, (time_s, boxes, scores) in enumerate(walk(seed)):
        low = np.maximum(boxes[:, :2], 0).astype(int)
        high = np.maximum(boxes[:, :2] + boxes[:, 2:], 0).astype(int)
        painted = [*zip(low.tolist(), np.minimum(high, IMAGE_HW[::-1]).tolist(), colors, strict=False)]
        image = np.full((*IMAGE_HW, 3), 120, np.uint8)
        for (left, top), (right, bottom), color in painted:
            image[top:bottom, left:right] = color
        has_pixels = number % 7 > 0
        poses = Poses(np.zeros((len(boxes), 1, 3), np.float32), scores, Boxes(boxes, scores), COCO17, IMAGE_HW)
        expected.append(tracker.update(poses, time_s, image if has_pixels else None).ids.tolist())
        people = [{"box": box, "boxScore": score} for box, score in zip(boxes.tolist(), scores.tolist(), strict=True)]
        given.append([people, time_s, painted if has_pixels else None])
    code = """(frames, [height, width]) => {
        const tracker = new m.Tracker();
        const paint = (painted) => {
            const data = new Uint8Array(4 * width * height).fill(120);
            for (const [[left, top], [right, bottom], color] of painted)
                for (let y = top; y < bottom; y++)
                    for (let x = left; x < right; x++) data.set(color, 4 * (y * width + x));
            return data;
        };
        return frames.map(([people, timeS, painted]) => {
            const image = { width, height, data: painted && paint(painted) };
            return tracker.update(people, timeS, image).map(({ id }) => id);
        });
    }"""
    assert call("track.js", code, given, IMAGE_HW) == expected


@pytest.mark.parametrize("seed", range(5))
def test_calm_joints_are_pythons(call: Call, seed: int):
    generator = np.random.default_rng(seed)
    smoother, expected, given = Smoother(), [], []
    time_s, points = 0.0, generator.uniform(0, 400, (3, 5, 2))
    for _ in range(40):
        time_s += float(generator.choice([0.0, 0.04, 0.2, 1.3], p=[0.1, 0.6, 0.2, 0.1]))
        points = points + generator.normal(0, 6, points.shape)
        ids = generator.permutation(3)[: generator.integers(1, 4)]
        scores = generator.choice([0.0, 0.2, 0.9], (len(ids), 5, 1))
        keypoints = np.concatenate([points[ids], scores], -1).astype(np.float32)
        keypoints[generator.uniform(size=keypoints.shape[:2]) < 0.05] = np.nan, np.nan, 0
        boxes = np.tile(np.float32([10, 10, 90, 200]), (len(ids), 1))
        poses = Poses(keypoints, np.ones(len(ids), np.float32), Boxes(boxes), COCO17, IMAGE_HW, ids=ids + 1)
        expected.append(smoother.update(poses, time_s).keypoints)
        people = [
            {"id": int(one) + 1, "box": boxes[0].tolist(), "keypoints": joints}
            for one, joints in zip(ids, keypoints.tolist(), strict=True)
        ]
        given.append([people, time_s])
    code = """(frames) => {
        const smoother = new m.Smoother();
        return frames.map((frame) => smoother.update(...frame).map(({ keypoints }) => keypoints));
    }"""
    for mine, theirs in zip(call("smooth.js", code, given), expected, strict=True):
        assert np.allclose(np.array(mine, float), theirs, atol=1e-3, equal_nan=True)


@pytest.mark.parametrize("skeleton", [COCO17, HALPE26, BODY25], ids=lambda skeleton: skeleton.name)
def test_angles_are_pythons(call: Call, skeleton):
    generator = np.random.default_rng(3)
    names = known_angles(skeleton.joints)
    rules = angle_rules(skeleton.joints)
    assert [rule["name"] for rule in rules["angles"]] == names
    for _ in range(5):
        keypoints = generator.uniform(0, 300, (len(skeleton.joints), 3))
        keypoints[generator.uniform(size=len(keypoints)) < 0.1] = np.nan
        expected = angles_of(keypoints, skeleton.joints, names)
        given = {
            joint: {"x": None, "y": None} if np.isnan(x) else {"x": x, "y": y}
            for joint, (x, y, _) in zip(skeleton.joints, keypoints.tolist(), strict=True)
        }
        found = call("angles.js", "m.anglesOf", given, rules)
        assert [name for name, _ in found] == names
        assert np.allclose([np.nan if value is None else value for _, value in found], expected, equal_nan=True)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("geometry", ["msra", "udp"])
@pytest.mark.parametrize("decoder", get_args(DecoderName))
def test_heatmaps_are_read_as_in_python(call: Call, decoder: str, geometry: str, sigma: float):
    spec = ModelSpec("lpn50", COCO17, (96, 64), geometry=geometry, decoder=decoder, beta=30.0, sigma=sigma)
    pose = pose_facts(spec)
    generator = np.random.default_rng(5)
    points = generator.uniform((-2, -2), (17, 25), (4, 17, 2))  # of maps of 24 × 16, some outside
    heatmaps = encode(points, np.ones((4, 17)), spec.heatmap_hw, sigma, exact=True)[0]
    heatmaps = (heatmaps + generator.normal(0, 0.03, heatmaps.shape)).astype(np.float32)
    mirrored = np.roll(heatmaps[::-1], 1, 1)
    code = "(maps, pose) => packed(m.decode(floats(maps), pose))"
    for given in (heatmaps, np.zeros_like(heatmaps), -np.ones_like(heatmaps)):
        expected = FAMILIES["heatmaps"].read(given, spec, decoder, spec.beta)
        found = opened(call("codec.js", code, packed(given), pose), np.float32, expected.shape)
        which = slice(2, 3) if decoder == "expected_oks" and not np.ptp(given) else slice(None)  # no place is likelier
        assert np.abs(found - expected)[..., which].max() < 0.002
    merged = FAMILIES["heatmaps"].merge(heatmaps, mirrored, spec)
    code = "(one, other, pose) => packed(m.mergeFlip(floats(one), floats(other), pose))"
    found = call("codec.js", code, packed(heatmaps), packed(np.ascontiguousarray(mirrored)), pose)
    assert np.allclose(opened(found, np.float32, merged.shape), merged, atol=1e-6)


def test_crops_are_mirrored(call: Call):
    crops = np.stack([noise(6, 5), noise(6, 5)[::-1]])
    found = call("codec.js", "(crops) => packed(m.mirror(opened(crops), 5))", packed(crops))
    assert np.array_equal(opened(found, np.uint8, crops.shape), crops[:, :, ::-1])


@pytest.mark.parametrize("seed", range(5))
def test_who_counts_is_pythons(call: Call, seed: int):
    generator = np.random.default_rng(seed)
    groups = generator.uniform(50, 300, (4, 17, 2))[generator.integers(0, 4, 12)]
    keypoints = np.concatenate([groups + generator.normal(0, 3, groups.shape), np.ones((12, 17, 1))], -1)
    scores = generator.uniform(0, 1, 12)
    boxes = np.tile([0, 0, 80.0, 200], (12, 1))
    sure = np.flatnonzero(scores >= 0.2)
    kept = oks_nms(keypoints[sure].astype(np.float32), scores[sure], boxes[sure, 2:].prod(1), COCO17.sigmas, 0.6)
    expected = sure[np.sort(kept)].tolist()
    assert 0 < len(expected) < len(sure)
    people = [
        {"number": number, "score": scores[number], "box": boxes[number].tolist(), "keypoints": joints}
        for number, joints in enumerate(keypoints.tolist())
    ]
    networks = {
        "minPersonScore": 0.2,
        "samePerson": 0.6,
        "detector": {},
        "pose": {"skeleton": {"sigmas": COCO17.sigmas}},
    }
    assert (
        call("people.js", "(...given) => m.chosen(...given).map(({ number }) => number)", people, networks) == expected
    )
