"""Boxes to crops and back: SimpleBaseline's three-point construction, UDP's pixel spans, and warps worked by hand."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightpose.errors import BoxesError, ShapeError
from lightpose.ops.geometry import (
    clip_boxes,
    crop_matrices,
    crop_regions,
    cut_crops,
    heatmap_scale,
    invert,
    region_matrices,
    transform_points,
    warp,
)

HW = (256, 192)
BOXES = np.array([[10, 20, 30, 100], [50, 5, 400, 60], [-20, -30, 75, 100], [0.5, 7.25, 1, 1], [3, 4, 90, 30]])
GEOMETRIES = ["msra", "udp"]
IDENTITY = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
number = st.floats(-500, 500, allow_nan=False)
length = st.floats(1, 800, allow_nan=False)


def three_point_matrix(box, input_hw, rotation_deg=0.0):
    """SimpleBaseline's affine map: centre, a point half a width above it, and the corner at a right angle to both."""
    x, y, w, h = box
    height, width = input_hw
    if w > h * width / height:
        h = w * height / width
    else:
        w = h * width / height
    turn, reach = math.radians(rotation_deg), 1.25 * w / 2
    center = np.array([x + box[2] / 2, y + box[3] / 2])
    up = np.array([reach * math.sin(turn), -reach * math.cos(turn)])
    source = [center, center + up, center + up + [up[1], -up[0]]]
    middle, top = np.array([width / 2, height / 2]), np.array([0, -width / 2])
    target = [middle, middle + top, middle + top + [top[1], -top[0]]]
    return np.linalg.solve([[*point, 1] for point in source], target).T


def mapped(points, matrix):
    """Points (K, 2) through one affine map (2, 3)."""
    return transform_points(np.asarray(points, float)[None], np.asarray(matrix)[None])[0]


def test_crops_are_warps_by_the_matrices_that_come_with_them():
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    crops, matrices = cut_crops(image, BOXES, (64, 48), "udp", 1.1)
    np.testing.assert_array_equal(matrices, crop_matrices(BOXES, (64, 48), "udp", 1.1))
    np.testing.assert_array_equal(crops, warp(image, matrices, (64, 48)))


def test_msra_matrices_equal_those_of_simple_baseline():
    expected = [three_point_matrix(box, HW) for box in BOXES]
    np.testing.assert_allclose(crop_matrices(BOXES, HW, "msra"), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rotation", [-80.0, -13.0, 0.0, 45.0, 180.0])
def test_rotated_msra_matrices_equal_those_of_simple_baseline(rotation):
    expected = [three_point_matrix(box, (128, 96), rotation) for box in BOXES]
    regions = crop_regions(BOXES, (128, 96))
    np.testing.assert_allclose(region_matrices(*regions, (128, 96), "msra", rotation), expected, rtol=1e-9, atol=1e-9)


def test_each_region_takes_its_own_rotation():
    regions = crop_regions(BOXES, HW)
    together = region_matrices(*regions, HW, "msra", [0, 10, -20, 30, 40])
    expected = [three_point_matrix(box, HW, turn) for box, turn in zip(BOXES, [0, 10, -20, 30, 40], strict=True)]
    np.testing.assert_allclose(together, expected, rtol=1e-9, atol=1e-9)


def test_a_positive_rotation_turns_the_content_counter_clockwise_on_the_screen():
    matrix = region_matrices([[50, 50]], [[48, 64]], (64, 48), "msra", 90)[0]
    np.testing.assert_allclose(mapped([[50, 50], [60, 50]], matrix), [[24, 32], [24, 22]], atol=1e-4)


def test_a_tall_box_is_widened_and_a_wide_one_heightened_then_both_enlarged():
    centers, sizes = crop_regions([[10, 20, 30, 80], [10, 20, 90, 40]], HW)
    np.testing.assert_allclose(centers, [[25, 60], [55, 40]])
    np.testing.assert_allclose(sizes, [[75, 100], [112.5, 150]])
    np.testing.assert_allclose(crop_regions([[10, 20, 30, 80]], HW, padding=1.0)[1], [[60, 80]])


def test_msra_puts_the_box_centre_on_half_the_crop_and_the_region_on_all_of_it():
    matrix = crop_matrices([[10, 20, 60, 80]], HW, "msra")[0]
    box = [[40, 60], [40 - 37.5, 60 - 50], [40 + 37.5, 60 + 50]]
    np.testing.assert_allclose(mapped(box, matrix), [[96, 128], [0, 0], [192, 256]], atol=1e-4)


def test_udp_puts_the_box_centre_on_the_middle_pixel_and_the_region_on_the_outer_pixels():
    """A box of the crop's own size, 192 x 256, so that its region is 1.25 times that."""
    matrix = crop_matrices([[10, 20, 192, 256]], HW, "udp")[0]
    center, half = np.array([10 + 96, 20 + 128]), 1.25 * np.array([96, 128])
    points = mapped([center, center - half, center + half], matrix)
    np.testing.assert_allclose(points, [[95.5, 127.5], [0, 0], [191, 255]], atol=1e-3)


MMPOSE_MATRICES = [
    ((256, 192), [100, 50, 60, 200], [[191 / 187.5, 0, -36.92666667], [0, 1.02, -25.5]]),
    ((256, 192), [10, 20, 300, 40], [[191 / 375, 0, 14.00666667], [0, 0.51, 107.1]]),
    ((256, 192), [-20, -30, 75, 100], [[191 / 93.75, 0, 59.84666667], [0, 2.04, 86.7]]),
    ((384, 288), [100, 50, 60, 200], [[287 / 187.5, 0, -55.48666667], [0, 1.532, -38.3]]),
    ((384, 288), [10, 20, 300, 40], [[287 / 375, 0, 21.04666667], [0, 0.766, 160.86]]),
    ((384, 288), [-20, -30, 75, 100], [[287 / 93.75, 0, 89.92666667], [0, 3.064, 130.22]]),
]


@pytest.mark.parametrize(("input_hw", "box", "expected"), MMPOSE_MATRICES)
def test_udp_matrices_are_those_of_mmpose_worked_by_hand(input_hw, box, expected):
    """MMPose 1.x, structures/bbox/transforms.py and datasets/transforms/topdown_transforms.py, and UDP-Pose alike.

    bbox_xywh2cs: centre x + w/2, y + h/2; scale (w, h)·1.25. TopdownAffine: the shorter side grows until w:h is W:H.
    get_udp_warp_matrix: scale_x = (W - 1)/w, scale_y = (H - 1)/h; shift = scale·(w/2 - centre), and so for y.
    First row: (75, 250) grows to (187.5, 250); its centre is (130, 150); 191/187.5·(93.75 - 130) = -36.9267.
    """
    np.testing.assert_allclose(crop_matrices([box], input_hw, "udp")[0], expected, rtol=0, atol=1e-6)


def mmpose_udp_matrix(box, input_hw, rotation_deg):
    """The same formulas with a rotation, as get_udp_warp_matrix has them; its angles turn the other way."""
    (height, width), turn = input_hw, -math.radians(rotation_deg)
    w, h = 1.25 * box[2], 1.25 * box[3]
    w, h = (w, w * height / width) if w > h * width / height else (h * width / height, h)
    twice_x, twice_y = 2 * box[0] + box[2], 2 * box[1] + box[3]
    scale_x, scale_y = (width - 1) / w, (height - 1) / h
    cos, sin = math.cos(turn), math.sin(turn)
    return [
        [cos * scale_x, -sin * scale_x, scale_x * (-0.5 * twice_x * cos + 0.5 * twice_y * sin + 0.5 * w)],
        [sin * scale_y, cos * scale_y, scale_y * (-0.5 * twice_x * sin - 0.5 * twice_y * cos + 0.5 * h)],
    ]


@pytest.mark.parametrize("input_hw", [(256, 192), (384, 288), (256, 256), (64, 48)])
@pytest.mark.parametrize("rotation", [-80.0, 0.0, 30.0])
def test_rotated_udp_matrices_are_those_of_mmpose(rotation, input_hw):
    expected = [mmpose_udp_matrix(box, input_hw, rotation) for box in BOXES]
    found = region_matrices(*crop_regions(BOXES, input_hw), input_hw, "udp", rotation)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_an_imported_udp_network_sees_the_bytes_that_it_sees_in_mmpose():
    """MMPose hands the matrix to OpenCV's warpAffine in float32."""
    image = random_image(300, 260)
    for crop, box in zip(cut_crops(image, BOXES, HW, "udp")[0], BOXES, strict=True):
        theirs = np.array(mmpose_udp_matrix(box, HW, 0), np.float32)
        expected = cv2.warpAffine(image, theirs, HW[::-1], flags=cv2.INTER_LINEAR).astype(int)
        assert (crop == expected).mean() > 0.999
        assert np.abs(crop - expected).max() <= 8  # a place between two 32nds of a pixel may fall to either


def test_a_udp_heatmap_pixel_is_the_image_point_that_it_is_in_mmpose():
    """UDPHeatmap.decode and add_pred_to_datasample: u/(w - 1)·W, then /W·scale + centre - scale/2."""
    box, (u, v) = [100, 50, 60, 200], (20.25, 40.5)
    crop = np.array([[[u, v]]]) * heatmap_scale(HW, (64, 48), "udp")
    found = transform_points(crop, invert(crop_matrices([box], HW, "udp")))[0, 0]
    expected = [u / 47 * 187.5 + 130 - 93.75, v / 63 * 250 + 150 - 125]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("geometry", "edge"), [("udp", 191), ("msra", 192)])
def test_mirroring_picture_and_box_mirrors_the_crop_exactly_only_under_udp(geometry, edge):
    """In a picture 400 wide pixel x becomes 399 - x; the crop's x becomes 191 - x, or under MSRA the biased 192 - x."""
    box, points = [30, 40, 50, 120], np.array([[35.0, 60.0], [70.0, 90.0]])
    mirrored_box = [399 - 30 - 50, 40, 50, 120]
    here = mapped(points, crop_matrices([box], HW, geometry)[0])
    there = mapped(points * [-1, 1] + [399, 0], crop_matrices([mirrored_box], HW, geometry)[0])
    np.testing.assert_allclose(there, here * [-1, 1] + [edge, 0], atol=1e-3)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_batch_of_boxes_equals_each_alone(geometry):
    single = [crop_matrices([box], HW, geometry)[0] for box in BOXES]
    np.testing.assert_allclose(crop_matrices(BOXES, HW, geometry), single, rtol=1e-12)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_no_boxes_give_no_matrices_no_points_and_no_crops(geometry):
    matrices = crop_matrices(np.zeros((0, 4)), HW, geometry)
    assert matrices.shape == invert(matrices).shape == (0, 2, 3)
    assert transform_points(np.zeros((0, 17, 2)), matrices).shape == (0, 17, 2)
    assert warp(np.zeros((5, 5, 3), np.uint8), matrices, (8, 6)).shape == (0, 8, 6, 3)
    assert clip_boxes(np.zeros((0, 4)), (10, 10)).shape == (0, 4)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize(
    "box", [[0, 0, 0, 5], [0, 0, 5, 0], [0, 0, -3, 5], [np.nan, 0, 5, 5], [0, 0, np.inf, 5], [0, 0, 5, np.nan]]
)
def test_a_box_without_area_or_with_a_number_that_is_not_finite_is_refused(box, geometry):
    with pytest.raises(BoxesError, match="finite numbers and a width and height above 0"):
        crop_matrices([[1, 2, 3, 4], box], HW, geometry)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
    box=st.tuples(number, number, length, length),
    rotation=st.floats(-180, 180),
    points=st.lists(st.tuples(number, number), min_size=1, max_size=5),
    geometry=st.sampled_from(GEOMETRIES),
)
def test_a_point_taken_into_the_crop_and_back_is_where_it_was(box, rotation, points, geometry):
    matrices = region_matrices(*crop_regions([box], HW), HW, geometry, rotation)
    back = transform_points(transform_points([points], matrices), invert(matrices))
    tolerance = 1e-5 * (1 + np.abs([*box, *np.ravel(points)]).max())
    np.testing.assert_allclose(back, [points], atol=tolerance)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(box=st.tuples(number, number, length, length), geometry=st.sampled_from(GEOMETRIES))
def test_the_whole_box_is_inside_its_crop_upright(box, geometry):
    """Without distortion under MSRA; under UDP 192:256 becomes 191:255."""
    matrix = crop_matrices([box], HW, geometry)[0]
    x, y, w, h = box
    corners = mapped([[x, y], [x + w, y + h]], matrix)
    assert (corners >= -0.01).all()
    assert (corners <= [HW[1] + 0.01, HW[0] + 0.01]).all()
    taller = {"msra": 1, "udp": (255 / 256) / (191 / 192)}[geometry]
    assert matrix[1, 1] / matrix[0, 0] == pytest.approx(taller)
    assert matrix[0, 1] == matrix[1, 0] == pytest.approx(0)


def test_transform_points_of_a_hand_worked_map():
    """Twice as large, turned a quarter, moved by (1, -1): (x, y) becomes (1 - 2y, 2x - 1)."""
    found = transform_points([[[3, 4], [0, 0]]], [[[0, -2, 1], [2, 0, -1]]])
    assert found.tolist() == [[[-7, 5], [1, -1]]]
    assert found.dtype == np.float32


def test_invert_of_a_hand_worked_map_and_of_a_single_one():
    assert invert([[2, 0, 6], [0, 4, -4]]).tolist() == [[0.5, 0, -3], [0, 0.25, 1]]


@pytest.mark.parametrize(
    ("points", "matrices"),
    [((5, 2), (5, 2, 3)), ((2, 5, 2), (1, 2, 3)), ((1, 5, 2), (1, 3, 3)), ((1, 5, 3), (1, 2, 3))],
)
def test_transform_points_refuses_shapes_that_do_not_fit_and_names_them(points, matrices):
    with pytest.raises(ShapeError, match=r"points \(N, K, 2\) need matrices \(N, 2, 3\); got"):
        transform_points(np.zeros(points), np.zeros(matrices))


def test_functions_leave_their_inputs_alone():
    boxes, points, image = BOXES.copy(), np.ones((5, 3, 2)), np.full((9, 9, 3), 7, np.uint8)
    for array in (boxes, points, image):
        array.flags.writeable = False
    clip_boxes(boxes, (50, 50))
    matrices = crop_matrices(boxes, HW, "udp")
    matrices.flags.writeable = False
    transform_points(points, invert(matrices))
    warp(image, matrices, (8, 6))
    np.testing.assert_array_equal(boxes, BOXES)


@pytest.mark.parametrize(("geometry", "scale"), [("msra", (4, 4)), ("udp", (191 / 47, 255 / 63))])
def test_heatmap_scale_is_crop_span_over_heatmap_span(geometry, scale):
    assert heatmap_scale(HW, (64, 48), geometry) == pytest.approx(scale)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([10, 20, 30, 40], [10, 20, 29, 39]),  # ends on its last pixel
        ([90, 20, 30, 40], [90, 20, 9, 39]),  # x2 = min(99, 90 + 29)
        ([10, 60, 30, 40], [10, 60, 29, 19]),  # y2 = min(79, 60 + 39)
        ([-10, -5, 30, 40], [0, 0, 29, 39]),  # x1 = max(0, -10), x2 = min(99, x1 + 29)
        ([-10, -5, 300, 400], [0, 0, 99, 79]),
        ([0, 0, 100, 80], [0, 0, 99, 79]),
        ([10, 20, 0.5, 1], [10, 20, 0, 0]),  # max(0, w - 1)
    ],
)
def test_clip_boxes_follows_simple_baseline(box, expected):
    """x1 = max(0, x), x2 = min(width - 1, x1 + max(0, w - 1)), and so for y; a picture 100 wide and 80 high."""
    np.testing.assert_allclose(clip_boxes([box], (80, 100)), [expected])


@pytest.mark.parametrize("box", [[100, 20, 30, 40], [500, 20, 30, 40], [20, 80, 30, 40]])
def test_a_box_right_of_or_below_the_picture_is_clipped_to_no_area(box):
    clipped = clip_boxes([box], (80, 100))[0]
    assert clipped[2:].min() == 0
    assert (clipped[:2] + clipped[2:] <= [99, 79]).all()


def random_image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_warp_by_the_identity_returns_the_picture():
    image = random_image(20, 30)
    np.testing.assert_array_equal(warp(image, [IDENTITY], (20, 30)), image[None])


def test_warp_by_whole_pixels_moves_the_picture_and_leaves_black_outside():
    image = random_image(6, 8)
    expected = np.zeros((9, 12, 3), np.uint8)
    expected[2:8, 3:11] = image
    np.testing.assert_array_equal(warp(image, [[[1, 0, 3], [0, 1, 2]]], (9, 12))[0], expected)
    np.testing.assert_array_equal(warp(image, [[[1, 0, -3], [0, 1, -2]]], (4, 5))[0], image[2:, 3:])


@pytest.mark.parametrize(
    ("shift", "expected"), [(0.5, [0, 50, 150, 100, 0]), (0.25, [0, 75, 175, 50, 0]), (-0.5, [50, 150, 100, 0, 0])]
)
def test_warp_by_part_of_a_pixel_mixes_the_two_neighbours(shift, expected):
    """A row 0, 100, 200 with black around it."""
    image = np.zeros((3, 3, 3), np.uint8)
    image[:] = np.array([0, 100, 200])[None, :, None]
    crop = warp(image, [[[1, 0, shift], [0, 1, 0]]], (3, 5))[0]
    np.testing.assert_allclose(crop[1, :, 0], expected, atol=1)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_warped_ramp_shows_at_each_crop_pixel_the_value_of_the_picture_point_it_stands_for(geometry):
    y, x = np.mgrid[:120, :160]
    image = np.stack([x, y, x + y / 2], -1).astype(np.uint8)
    matrices = region_matrices([[80, 60]], [[45, 60]], (64, 48), geometry, 30)
    crop = warp(image, matrices, (64, 48))[0]
    v, u = np.mgrid[:64, :48]
    points = mapped(np.stack([u, v], -1).reshape(-1, 2), invert(matrices)[0]).reshape(64, 48, 2)
    np.testing.assert_allclose(crop[..., 0], points[..., 0], atol=1.1)
    np.testing.assert_allclose(crop[..., 1], points[..., 1], atol=1.1)
    np.testing.assert_allclose(crop[..., 2], points[..., 0] + points[..., 1] / 2, atol=2.1)


def test_warping_several_boxes_equals_warping_each_alone():
    image, matrices = random_image(60, 90), crop_matrices(BOXES, (64, 48), "udp")
    single = [warp(image, [matrix], (64, 48))[0] for matrix in matrices]
    np.testing.assert_array_equal(warp(image, matrices, (64, 48)), single)


def test_a_mirrored_view_of_a_picture_can_be_warped():
    image = random_image(10, 12)
    np.testing.assert_array_equal(warp(image[:, ::-1], [IDENTITY], (10, 12))[0], image[:, ::-1])


@pytest.mark.parametrize("left", [0, 31_000, 44_500])
def test_a_panorama_is_cropped_as_its_part_is(left):
    """OpenCV 4 warps no picture with a side of 32767 pixels or more."""
    panorama = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 900, 3), dtype=np.uint8), (45_000, 60))
    box = np.array([[left + 100, 10, 40, 30]])
    part = panorama[:, left : left + 500].copy()
    expected = warp(part, crop_matrices(box - [left, 0, 0, 0], (64, 48), "msra"), (64, 48))
    found = warp(panorama, crop_matrices(box, (64, 48), "msra"), (64, 48))
    np.testing.assert_allclose(found.astype(int), expected, atol=1)


def test_a_whole_panorama_is_thinned_out_in_place():
    panorama = np.tile(np.linspace(0, 255, 70_000).astype(np.uint8)[None, :, None], (9, 1, 3))
    matrix = np.array([[[100 / 70_000, 0, 0], [0, 1, 0]]])
    row = warp(panorama, matrix, (9, 100))[0, 4, :, 0].astype(float)
    np.testing.assert_allclose(row, np.arange(100) * 2.55, atol=1.5)
