"""Encoding, the seven decoders and the flip merge, each against a plain loop over pixels in double precision."""

import itertools
import math

import numpy as np
import pytest

from lightpose.errors import LightposeError, ShapeError
from lightpose.ops.codec import decode, encode, flip_shift, merge_flip, soft_argmax
from lightpose.skeletons import COCO17

DECODERS = ["argmax", "quarter", "softargmax", "softargmax_quarter", "dark", "dark_udp", "expected_oks"]
HW = (16, 12)
SIGMAS = (0.025, 0.062, 0.107, 0.079, 0.025, 0.062, 0.107)


def loop_encode(points, weights, height, width, sigma, exact):
    """A Gaussian on each map, pixel by pixel, within ±3 sigma of its centre; unlabelled and outside joints weigh 0."""
    maps, kept = np.zeros((*weights.shape, height, width)), np.zeros(weights.shape)
    for n, k in np.ndindex(weights.shape):
        cx, cy = (c if exact else int(c + 0.5) for c in map(float, points[n, k]))
        for y, x in itertools.product(range(height), range(width)):
            if weights[n, k] > 0 and abs(x - cx) <= 3 * sigma and abs(y - cy) <= 3 * sigma:
                maps[n, k, y, x] = math.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2))
                kept[n, k] = weights[n, k]
    return maps, kept


def read(maps, decoder, beta=160.0, sigmas=SIGMAS, sigma=2.0):
    """`decode` of joints with the first of the sigmas, as many as there are."""
    return decode(maps, decoder, beta, sigmas[: maps.shape[1]], sigma)


def highest_pixel(m):
    """x, y and value of the first highest pixel; x = y = 0 if it is not above 0."""
    best, _, y, x = max((m[y, x], -(y * m.shape[1] + x), y, x) for y, x in np.ndindex(m.shape))
    return (float(x), float(y), best) if best > 0 else (0.0, 0.0, best)


def expectation(m, beta):
    """Mean position under softmax(beta·m), and the value at the pixel nearest to it."""
    top, total, x_sum, y_sum = m.max(), 0.0, 0.0, 0.0
    for y, x in np.ndindex(m.shape):
        weight = math.exp(beta * (m[y, x] - top))
        total, x_sum, y_sum = total + weight, x_sum + weight * x, y_sum + weight * y
    x, y = x_sum / total, y_sum / total
    return x, y, m[math.floor(y + 0.5), math.floor(x + 0.5)]


def quarter_step(m, x, y):
    """A quarter pixel towards the higher neighbour of the nearest pixel, if 1 < x < w-1 and 1 < y < h-1."""
    px, py = math.floor(x + 0.5), math.floor(y + 0.5)
    if not (1 < px < m.shape[1] - 1 and 1 < py < m.shape[0] - 1):
        return x, y
    return x + 0.25 * np.sign(m[py, px + 1] - m[py, px - 1]), y + 0.25 * np.sign(m[py + 1, px] - m[py - 1, px])


KERNELS = {2.0: (5, 2.0), 3.0: (8, 2.9)}
"""DARK's reach by the heatmaps' sigma, and the sigma that OpenCV takes for it: 0.3·(reach - 1) + 0.8."""


def blurred(m, sigma=2.0):
    """An 11x11 Gaussian of sigma 2, or 17x17 of 2.9, with zeros around the map, written out."""
    reach, spread = KERNELS[sigma]
    weights = [math.exp(-(d**2) / (2 * spread**2)) for d in range(-reach, reach + 1)]
    weights = [weight / sum(weights) for weight in weights]
    wide = np.pad(m, reach)
    rows = sum(w * wide[:, d : d + m.shape[1]] for d, w in enumerate(weights))
    return sum(w * rows[d : d + m.shape[0]] for d, w in enumerate(weights))


def udp_step(m, x, y, sigma):
    """MMPose 1.x, codecs/utils/refinement.py, refine_keypoints_dark_udp, for one joint.

    The map blurred, brought back to its height, kept in [0.001, 50], its logarithm, framed by copies of its edge. Then
    minus the inverse of [[dxx, dxy], [dxy, dyy]] + eps·I times [dx, dy]. Steps of over 2 pixels are not taken.
    """
    soft = blurred(m, sigma)
    if m.max() <= 0 or soft.max() <= 0:
        return x, y
    log = np.log(np.clip(soft * (m.max() / soft.max()), 1e-3, 50))
    framed = np.pad(log, 1, mode="edge").ravel()
    wide = m.shape[1] + 2
    i = int(x) + 1 + (int(y) + 1) * wide
    i_, ix1, iy1 = framed[i], framed[i + 1], framed[i + wide]
    ix1_, iy1_, ix1y1, ix1_y1_ = framed[i - 1], framed[i - wide], framed[i + wide + 1], framed[i - wide - 1]
    gradient = [0.5 * (ix1 - ix1_), 0.5 * (iy1 - iy1_)]
    dxx, dyy = ix1 - 2 * i_ + ix1_, iy1 - 2 * i_ + iy1_
    dxy = 0.5 * (ix1y1 - ix1 - iy1 + i_ + i_ - ix1_ - iy1_ + ix1_y1_)
    dx, dy = np.linalg.inv(np.array([[dxx, dxy], [dxy, dyy]]) + 2.0**-23 * np.eye(2)) @ gradient
    return (x, y) if max(abs(dx), abs(dy)) > 2 else (x - dx, y - dy)


def dark_step(m, x, y, sigma):
    """Minus the inverse Hessian times the gradient of the log of the blurred map, if 1 < x < w-2 and 1 < y < h-2.

    Steps of over 2 pixels along an axis are not taken.
    """
    return taylor_step(blurred(m, sigma), x, y)


def expected_similarity(m, sigma):
    """For each pixel, the mean of exp(-d² / (2·size²·(2·sigma)²)) to all pixels, weighed by softmax(20·m)."""
    likely = np.exp(20 * (m - m.max()))
    likely /= likely.sum()
    rows, columns = np.mgrid[: m.shape[0], : m.shape[1]]
    size2 = 0.46**2 * m.size
    expected = np.zeros(m.shape)
    for y, x in np.ndindex(m.shape):
        expected[y, x] = (likely * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (8 * size2 * sigma**2))).sum()
    return expected


def taylor_step(m, x, y):
    """As in `dark_step`, on a map that is smooth already."""
    x, y = int(x), int(y)
    if not (1 < x < m.shape[1] - 2 and 1 < y < m.shape[0] - 2):
        return x, y
    p = np.log(np.maximum(m, 1e-10))
    gradient = [(p[y, x + 1] - p[y, x - 1]) / 2, (p[y + 1, x] - p[y - 1, x]) / 2]
    across = (p[y + 1, x + 1] - p[y - 1, x + 1] - p[y + 1, x - 1] + p[y - 1, x - 1]) / 4
    xx = (p[y, x + 2] - 2 * p[y, x] + p[y, x - 2]) / 4
    yy = (p[y + 2, x] - 2 * p[y, x] + p[y - 2, x]) / 4
    if xx * yy == across**2:  # flat after the blur: nowhere to go
        return x, y
    dx, dy = np.linalg.solve([[xx, across], [across, yy]], gradient)
    return (x, y) if max(abs(dx), abs(dy)) > 2 else (x - dx, y - dy)


def loop_decode(heatmaps, decoder, beta=160.0, sigma=2.0):
    """One map at a time."""
    found = np.zeros((*heatmaps.shape[:2], 3))
    for n, k in np.ndindex(heatmaps.shape[:2]):
        m = heatmaps[n, k].astype(np.float64)
        x, y, score = expectation(m, beta) if decoder.startswith("softargmax") else highest_pixel(m)
        if decoder.endswith("quarter"):
            x, y = quarter_step(m, x, y)
        elif decoder == "dark":
            x, y = dark_step(m, x, y, sigma)
        elif decoder == "dark_udp":
            x, y = udp_step(m, x, y, sigma)
        elif decoder == "expected_oks":
            expected = expected_similarity(m, SIGMAS[k])
            x, y = taylor_step(expected, *highest_pixel(expected)[:2])
        found[n, k] = x, y, score
    return found


def smooth_maps(seed, people=5, joints=4):
    """Sums of three blobs of different height and width."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: HW[0], : HW[1]]
    maps = np.zeros((people, joints, *HW))
    for _ in range(3):
        cx, cy = rng.uniform(0, HW[1] - 1, maps.shape[:2]), rng.uniform(0, HW[0] - 1, maps.shape[:2])
        height, sigma = rng.uniform(0.2, 1, maps.shape[:2]), rng.uniform(1.2, 3, maps.shape[:2])
        square = (x - cx[..., None, None]) ** 2 + (y - cy[..., None, None]) ** 2
        maps += height[..., None, None] * np.exp(-square / (2 * sigma[..., None, None] ** 2))
    return maps.astype(np.float32)


def noise_maps(seed, people=5, joints=4):
    return np.random.default_rng(seed).uniform(-0.1, 1, (people, joints, *HW)).astype(np.float32)


def border_maps():
    """One peak at every distance 0, 1, 2 from each border, and in the middle, not quite on a pixel: (7, 7, h, w)."""
    columns, rows = ([0, 1, 2, length // 2, length - 3, length - 2, length - 1] for length in (HW[1], HW[0]))
    points = np.array([[(x + 0.2, y - 0.3) for x in columns] for y in rows])
    return encode(points, np.ones((7, 7)), HW, exact=True)[0].astype(np.float32)


MAPS = {
    "smooth": smooth_maps(0),
    "noise": noise_maps(1),
    "border": border_maps(),
    "spikes": noise_maps(11) ** 15 - np.float32(0.06),
}

BORDER_POINTS = np.array(
    [
        [[0, 0], [11, 15], [5.5, 7.5], [5.49, 7.51]],
        [[-6, 5], [-6.51, 5], [17, 5], [17.5, 5]],
        [[5, -6.4], [5, -6.6], [5, 21.4], [5, 21.6]],
        [[-0.5, -0.5], [-3.2, 18.3], [-200, 4], [4, 3000]],
    ]
)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_encode_equals_a_plain_loop_inside_at_the_border_and_outside(exact, sigma):
    rng = np.random.default_rng(2)
    points = np.concatenate([BORDER_POINTS, rng.uniform(-8, 24, (6, 4, 2))])
    weights = rng.choice([0, 0.5, 1], (10, 4))
    maps, kept = encode(points, weights, HW, sigma, exact)
    expected_maps, expected_kept = loop_encode(points, weights, *HW, sigma, exact)
    np.testing.assert_allclose(maps, expected_maps, atol=1e-12)
    np.testing.assert_array_equal(kept, expected_kept)
    assert (kept != weights).any()


def test_encode_of_a_hand_worked_joint():
    """Centre (3.4, 2.5) becomes (3, 3); sigma 1 reaches three pixels."""
    maps, kept = encode(np.array([[[3.4, 2.5]]]), np.ones((1, 1)), (8, 8), sigma=1.0)
    row = [math.exp(-4.5), math.exp(-2), math.exp(-0.5), 1, math.exp(-0.5), math.exp(-2), math.exp(-4.5), 0]
    np.testing.assert_allclose(maps[0, 0, 3], row, rtol=1e-12)
    np.testing.assert_allclose(maps[0, 0], np.outer(row, row), rtol=1e-12)
    assert kept.tolist() == [[1]]


@pytest.mark.parametrize(
    ("x", "center"),
    [(-0.4, 0), (-0.5, 0), (-0.7, 0), (-1.4, 0), (-1.5, -1), (-2.4, -1), (-2.5, -2), (0.4, 0), (0.5, 1)],
)
def test_centres_left_of_and_above_the_map_are_cut_towards_zero_as_in_the_authors_code(x, center):
    """int(-0.7 + 0.5) is 0, not -1; sigma 1, so that exp(-d²/2) is the value at a distance d within 3."""
    expected = [math.exp(-((column - center) ** 2) / 2) if column - center <= 3 else 0 for column in range(8)]
    row = encode(np.array([[[x, 3.0]]]), np.ones((1, 1)), (8, 8), sigma=1.0)[0][0, 0, 3]
    column = encode(np.array([[[3.0, x]]]), np.ones((1, 1)), (8, 8), sigma=1.0)[0][0, 0, :, 3]
    np.testing.assert_allclose(row, expected, rtol=1e-12)
    np.testing.assert_allclose(column, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("point", "weight"), [((-7, 5), 1), ((-8, 5), 0), ((17, 5), 1), ((18, 5), 0), ((5, 21), 1), ((5, 22), 0)]
)
def test_a_joint_weighs_nothing_as_soon_as_no_pixel_of_its_gaussian_is_on_the_map(point, weight):
    maps, kept = encode(np.array([[point]], np.float64), np.ones((1, 1)), HW)
    assert kept.item() == weight
    assert maps.any() == bool(weight)


def test_a_joint_of_weight_zero_has_an_empty_map():
    maps, kept = encode(np.full((1, 2, 2), 5.0), np.array([[0.0, 1.0]]), HW)
    assert kept.tolist() == [[0, 1]]
    assert maps.max(axis=(2, 3)).tolist() == [[0, 1]]


def test_encode_leaves_its_inputs_alone_and_keeps_float32():
    points, weights = BORDER_POINTS.astype(np.float32), np.ones((4, 4), np.float32)
    given = points.copy(), weights.copy()
    points.flags.writeable = weights.flags.writeable = False
    maps, kept = encode(points, weights, HW)
    np.testing.assert_array_equal(points, given[0])
    np.testing.assert_array_equal(weights, given[1])
    assert (maps.dtype, kept.dtype) == (np.float32, np.float32)
    assert not np.shares_memory(kept, weights)


@pytest.mark.slow
@pytest.mark.parametrize("exact", [False, True])
def test_encode_gives_torch_what_it_gives_numpy(exact):
    torch = pytest.importorskip("torch")
    points, weights = BORDER_POINTS.astype(np.float32), np.array([[0, 0.5, 1, 1]] * 4, np.float32)
    maps, kept = encode(points, weights, HW, exact=exact)
    torch_maps, torch_kept = encode(torch.from_numpy(points), torch.from_numpy(weights), HW, exact=exact)
    np.testing.assert_allclose(torch_maps.numpy(), maps, atol=1e-6)
    np.testing.assert_array_equal(torch_kept.numpy(), kept)


def test_encode_of_nobody_is_empty():
    maps, kept = encode(np.zeros((0, 17, 2)), np.zeros((0, 17)), (64, 48))
    assert (maps.shape, kept.shape) == ((0, 17, 64, 48), (0, 17))


@pytest.mark.parametrize("kind", list(MAPS))
@pytest.mark.parametrize("decoder", DECODERS)
def test_decode_equals_a_plain_loop(decoder, kind):
    expected = loop_decode(MAPS[kind], decoder)
    np.testing.assert_allclose(read(MAPS[kind], decoder), expected, rtol=0, atol=3e-5)  # float32 against float64


@pytest.mark.parametrize("kind", ["smooth", "noise", "border"])
@pytest.mark.parametrize("decoder", ["dark", "dark_udp"])
def test_the_decoders_of_dark_blur_by_the_heatmaps_sigma(decoder, kind):
    found = read(MAPS[kind], decoder, sigma=3.0)
    np.testing.assert_allclose(found, loop_decode(MAPS[kind], decoder, sigma=3.0), rtol=0, atol=3e-5)
    assert np.abs(found - read(MAPS[kind], decoder)).max() > 0.01


@pytest.mark.parametrize("sigma", [0.01, 0.3, 1e9])
@pytest.mark.parametrize("decoder", ["dark", "dark_udp"])
def test_a_sigma_far_from_usual_gives_points_near_the_highest_pixel(decoder, sigma):
    found = read(MAPS["smooth"], decoder, sigma=sigma)
    assert np.abs(found - read(MAPS["smooth"], "argmax")).max() <= 2


@pytest.mark.parametrize("beta", [1.0, 20.0, 100.0])
@pytest.mark.parametrize("kind", list(MAPS))
def test_soft_argmax_equals_a_plain_loop_for_other_betas(kind, beta):
    expected = loop_decode(MAPS[kind], "softargmax", beta)
    np.testing.assert_allclose(decode(MAPS[kind], "softargmax", beta), expected, rtol=0, atol=1e-5)


def test_the_decoders_differ_on_these_maps():
    found = [read(MAPS["smooth"], decoder) for decoder in DECODERS]
    for one, other in itertools.combinations(found[:5] + found[6:], 2):  # of DARK's two below
        assert np.abs(one - other).max() > 0.05


@pytest.mark.parametrize("decoder", DECODERS)
def test_decode_leaves_the_maps_alone_and_returns_float32(decoder):
    maps = MAPS["smooth"].copy()
    maps.flags.writeable = False
    assert read(maps, decoder).dtype == np.float32
    np.testing.assert_array_equal(maps, MAPS["smooth"])


@pytest.mark.parametrize("decoder", DECODERS)
def test_decoding_a_batch_equals_decoding_each_map_alone(decoder):
    maps = np.concatenate([smooth_maps(3), noise_maps(4)])
    single = [
        [decode(maps[n : n + 1, k : k + 1], decoder, sigmas=SIGMAS[k : k + 1])[0, 0] for k in range(4)]
        for n in range(10)
    ]
    np.testing.assert_allclose(read(maps, decoder), single, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("decoder", DECODERS)
def test_decode_of_nobody_is_empty(decoder):
    assert read(np.zeros((0, 17, 64, 48), np.float32), decoder, sigmas=COCO17.sigmas).shape == (0, 17, 3)


@pytest.mark.parametrize(("ground", "peak"), [(0, 0), (-0.5, -0.25), (-0.5, 0)])
@pytest.mark.parametrize("decoder", ["argmax", "quarter", "dark", "dark_udp"])
def test_a_map_with_nothing_above_zero_gives_the_corner_under_the_argmax_family(decoder, ground, peak):
    maps = np.full((2, 3, *HW), ground, np.float32)
    maps[:, :, 8, 6] = peak
    expected = np.broadcast_to([0, 0, peak], (2, 3, 3))
    np.testing.assert_array_equal(decode(maps, decoder), expected)


def test_soft_argmax_of_a_flat_map_is_its_middle():
    np.testing.assert_allclose(decode(np.zeros((1, 1, 7, 5), np.float32)), [[[2, 3, 0]]], atol=1e-6)


@pytest.mark.parametrize("decoder", [decoder for decoder in DECODERS if decoder != "dark_udp"])
@pytest.mark.parametrize("hw", [(1, 1), (1, 6), (6, 1), (3, 3)])
def test_maps_too_small_for_a_step_give_the_pixel_itself(decoder, hw):
    maps = np.zeros((1, 1, *hw), np.float32)
    maps[0, 0, -1, -1] = 1
    np.testing.assert_allclose(read(maps, decoder), [[[hw[1] - 1, hw[0] - 1, 1]]], atol=1e-4)


def test_dark_udp_finds_the_top_of_a_gaussian_between_pixels():
    """A Gaussian of sigma 2 at (5.3, 7.6), blurred, is one of sigma √8, whose logarithm is a parabola.

    Its neighbours' second difference is -1/8 and its slope at the highest pixel (5, 8) is (0.3, -0.4)/8: the step is
    (0.3, -0.4).
    """
    y, x = np.mgrid[:16, :12]
    maps = np.exp(-((x - 5.3) ** 2 + (y - 7.6) ** 2) / 8)[None, None].astype(np.float32)
    np.testing.assert_allclose(decode(maps, "dark_udp")[0, 0, :2], [5.3, 7.6], atol=1e-3)


def test_dark_udp_moves_joints_at_the_border_half_a_pixel_outwards_where_dark_does_not():
    """Beyond the border stands the border's own value a: slope (b - a)/2, bend b - a, step -1/2."""
    maps, _ = encode(np.array([[[0.0, 7.0], [11.0, 15.0]]], np.float32), np.ones((1, 2), np.float32), HW, exact=True)
    assert decode(maps, "dark")[0, :, :2].tolist() == [[0, 7], [11, 15]]
    np.testing.assert_allclose(decode(maps, "dark_udp")[0, :, :2], [[-0.5, 7], [11.5, 15.5]], atol=1e-3)


def test_quarter_moves_along_each_axis_by_the_higher_neighbour():
    maps = np.zeros((1, 1, *HW), np.float32)
    maps[0, 0, 7, 5], maps[0, 0, 7, 6], maps[0, 0, 6, 5] = 1, 0.5, 0.25
    assert decode(maps, "quarter").tolist() == [[[5.25, 6.75, 1]]]


def test_two_likely_places_side_by_side_beat_a_likelier_one_far_away():
    """Each of the two is worth nearly as much as both where OKS is lenient, as for a hip, and not for an eye."""
    maps = np.zeros((1, 2, 64, 48), np.float32)
    maps[..., 10, 10] = 1
    maps[..., 50, 30] = maps[..., 50, 34] = 0.98
    far, between = (10, 10), (32, 50)
    found = decode(maps, "expected_oks", sigmas=(0.01, 0.107))[0]
    np.testing.assert_allclose(found[0, :2], far, atol=0.01)
    np.testing.assert_allclose(found[1, :2], between, atol=0.01)
    assert found[:, 2].tolist() == [1, 1]


@pytest.mark.parametrize("sigmas", [None, (), COCO17.sigmas[:3]])
def test_expected_oks_needs_a_sigma_of_each_joint(sigmas):
    with pytest.raises(ShapeError, match="needs the OKS sigma of each of the 4 joints"):
        decode(MAPS["smooth"], "expected_oks", sigmas=sigmas)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    "shape", [(17, 64, 48), (2, 17, 64), (1, 2, 17, 64, 48), (1, 0, 4, 4), (1, 2, 0, 4), (1, 2, 4, 0)]
)
def test_decode_refuses_a_wrong_shape_and_names_it(decoder, shape):
    with pytest.raises(ShapeError, match=r"must have shape \(N, K, h, w\).*got \(" + ", ".join(map(str, shape))):
        decode(np.zeros(shape, np.float32), decoder, sigmas=COCO17.sigmas)


@pytest.mark.parametrize("decoder", ["", "dar", "argmax_quarter", "DARK"])
def test_decode_refuses_an_unknown_decoder(decoder):
    with pytest.raises(LightposeError, match=f"decoder '{decoder}'"):
        decode(MAPS["smooth"], decoder)


@pytest.mark.parametrize("kind", list(MAPS))
def test_soft_argmax_gives_torch_what_it_gives_numpy(kind):
    torch = pytest.importorskip("torch")
    found = soft_argmax(torch.from_numpy(MAPS[kind]))
    np.testing.assert_allclose(found.numpy(), soft_argmax(MAPS[kind]), atol=1e-4)
    assert soft_argmax(torch.zeros(0, 17, 8, 6)).shape == (0, 17, 3)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_soft_argmax_scores_the_last_pixels_of_a_map_in_half_precision(kind):
    """Half precision cannot count the 3072 pixels of a map one by one."""
    torch = pytest.importorskip("torch")
    maps = torch.zeros(1, 3, 64, 48, dtype=getattr(torch, kind))
    points = [[47, 63], [46, 63], [45, 60]]
    for joint, (x, y) in enumerate(points):
        maps[0, joint, y, x] = 1
    found = soft_argmax(maps)
    assert found.tolist() == [[[x, y, 1] for x, y in points]]


def test_soft_argmax_scores_the_last_pixels_of_a_float16_array():
    maps = np.zeros((2, 1, 64, 48), np.float16)
    maps[:, 0, 63, 47] = 1
    assert soft_argmax(maps).tolist() == [[[47, 63, 1]]] * 2


@pytest.mark.parametrize(
    ("decoder", "worst", "mean"),
    [
        ("argmax", 0.5, 0.27),  # the pixel grid: half a pixel at worst, a quarter on average
        ("quarter", 0.25, 0.14),
        ("softargmax", 0.4, 0.24),  # at beta 160 a Gaussian of sigma 2 is as narrow as a sixth of a pixel
        ("softargmax_quarter", 0.26, 0.12),
        ("dark", 0.002, 0.0005),
        ("dark_udp", 0.003, 0.001),
        ("expected_oks", 0.07, 0.035),
    ],
)
def test_a_joint_away_from_the_border_survives_encode_and_decode(decoder, worst, mean):
    points = np.random.default_rng(5).uniform([8, 8], [39, 55], (200, 5, 2)).astype(np.float32)
    maps, _ = encode(points, np.ones((200, 5), np.float32), (64, 48), exact=True)
    error = np.abs(read(maps, decoder)[..., :2] - points)
    assert error.max() <= worst + 1e-5
    assert error.mean() <= mean


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_joint_on_a_pixel_comes_back_exactly(decoder):
    points = np.random.default_rng(6).integers([7, 7], [41, 57], (50, 4, 2)).astype(np.float32)
    maps, _ = encode(points, np.ones((50, 4), np.float32), (64, 48))
    found = read(maps, decoder)
    np.testing.assert_allclose(found[..., :2], points, atol=1e-3)
    np.testing.assert_allclose(found[..., 2], 1, atol=1e-6)


def flipped(maps, order):
    """What a network that is mirror-symmetric gives for the mirrored crop."""
    return maps[:, list(order), :, ::-1]


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_merge_flip_equals_a_plain_loop(shift):
    rng = np.random.default_rng(7)
    maps, mirrored = rng.normal(size=(2, 2, 4, 5, 6))
    order = (0, 2, 1, 3)
    expected = np.zeros_like(maps)
    for n, k, y, x in np.ndindex(maps.shape):
        source = x - shift if x >= shift else x  # the first columns stay where they are
        expected[n, k, y, x] = (maps[n, k, y, x] + mirrored[n, order[k], y, 5 - source]) / 2
    np.testing.assert_allclose(merge_flip(maps, mirrored, order, shift), expected, rtol=1e-12)


@pytest.mark.parametrize("shift", [0, 1])
def test_merge_flip_gives_torch_what_it_gives_numpy_and_leaves_both_alone(shift):
    torch = pytest.importorskip("torch")
    maps, mirrored = np.random.default_rng(8).normal(size=(2, 3, 17, 8, 6)).astype(np.float32)
    before = maps.copy(), mirrored.copy()
    merged = merge_flip(torch.from_numpy(maps), torch.from_numpy(mirrored), COCO17.flip_order, shift)
    np.testing.assert_allclose(merged.numpy(), merge_flip(maps, mirrored, COCO17.flip_order, shift), atol=1e-7)
    np.testing.assert_array_equal(maps, before[0])
    np.testing.assert_array_equal(mirrored, before[1])


def test_merging_with_ones_own_mirror_image_changes_nothing():
    maps = np.random.default_rng(9).normal(size=(3, 17, 8, 6))
    order = COCO17.flip_order
    np.testing.assert_array_equal(merge_flip(maps, flipped(maps, order), order, 0), maps)


def test_merging_the_other_way_round_gives_the_mirror_image():
    maps, mirrored = np.random.default_rng(10).normal(size=(2, 3, 17, 8, 6))
    order = COCO17.flip_order
    there, back = merge_flip(maps, mirrored, order, 0), merge_flip(mirrored, maps, order, 0)
    np.testing.assert_allclose(flipped(there, order), back, rtol=1e-12)


def test_a_mirrored_map_one_pixel_too_far_left_is_put_back_by_shift_one():
    maps = np.zeros((1, 1, 3, 6))
    maps[0, 0, 1, 4] = 1
    too_far_left = np.roll(maps, -1, axis=-1)
    np.testing.assert_array_equal(merge_flip(maps, flipped(too_far_left, (0,)), (0,), 1), maps)


def test_merge_flip_of_nobody_is_empty():
    empty = np.zeros((0, 17, 8, 6), np.float32)
    assert merge_flip(empty, empty, COCO17.flip_order, 1).shape == empty.shape


def test_merge_flip_refuses_maps_of_different_shape():
    with pytest.raises(ShapeError, match=r"heatmaps \(1, 1, 4, 4\) and mirrored \(1, 1, 4, 5\) differ in shape"):
        merge_flip(np.zeros((1, 1, 4, 4)), np.zeros((1, 1, 4, 5)), (0,), 0)


def test_only_the_biased_geometry_shifts_mirrored_maps():
    assert (flip_shift("msra"), flip_shift("udp")) == (1, 0)
