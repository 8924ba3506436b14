"""What the paper prints, number by number (Zhang, Tang & Wu, Simple and Lightweight Human Pose Estimation, 2019).

APs and ARs in percent, parameters in 10⁶, FLOPs in 2³⁰ by the paper's own rule (see `lightpose.weights.cost`); None
where it prints a dash. What is known of a number beyond the paper's text stands beside it as a comment or in `REMARKS`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BETAS", "DETECTIONS", "FPS", "PICTURES", "REMARKS", "SMALL", "STAGES", "TABLE_1", "TABLE_2", "TABLE_3",
    "TABLE_5", "Gc", "Result", "Speed",
]  # fmt: skip

Size = tuple[int, int]
SMALL: Size = (256, 192)
LARGE: Size = (384, 288)


@dataclass(frozen=True)
class Result:
    """A row of Table 1 or 2. network: our name of it, None where we have none. pretrained: on ImageNet."""

    method: str
    backbone: str
    network: str | None
    input_hw: Size | None
    parameters_m: float | None
    gflops: float | None
    ap: float
    ap50: float | None = None
    ap75: float | None = None
    ap_medium: float | None = None
    ap_large: float | None = None
    ar: float | None = None
    pretrained: bool | None = None


TABLE_1 = (
    Result("8-stage Hourglass", "Hourglass", "hourglass8", SMALL, 25.6, 26.2, 66.9, pretrained=False),
    Result("CPN", "ResNet-50", "cpn50", SMALL, 27.0, 6.2, 68.6, pretrained=True),
    Result("SimpleBaseline", "ResNet-50", "simple50", SMALL, 34.0, 8.9, 70.4, 88.6, 78.3, 67.1, 77.2, 76.3, True),
    Result("SimpleBaseline", "ResNet-101", "simple101", SMALL, 53.0, 12.4, 71.4, 89.3, 79.3, 68.1, 78.1, 77.1, True),
    Result("SimpleBaseline", "ResNet-152", "simple152", SMALL, 68.6, 15.7, 72.0, 89.3, 79.8, 68.7, 78.9, 77.8, True),
    Result("HRNet-W32", "HRNet-W32", "hrnet_w32", SMALL, 28.5, 7.1, 73.4, 89.5, 80.7, 70.2, 80.1, 78.9, False),
    Result("HRNet-W32", "HRNet-W32", "hrnet_w32", SMALL, 28.5, 7.1, 74.4, 90.5, 81.9, 70.8, 81.0, 79.8, True),
    Result("HRNet-W48", "HRNet-W48", "hrnet_w48", SMALL, 63.6, 14.6, 75.1, 90.6, 82.2, 71.5, 81.8, 80.4, True),
    Result("SimpleBaseline", "ResNet-152", "simple152", LARGE, 68.6, 35.6, 74.3, 89.6, 81.1, 70.5, 79.7, 79.7, True),
    Result("HRNet-W48", "HRNet-W48", "hrnet_w48", LARGE, 63.6, 32.9, 76.3, 90.8, 82.9, 72.3, 83.4, 81.2, True),
    Result("LPN", "ResNet-50", "lpn50", SMALL, 2.9, 1.0, 69.1, 88.1, 76.6, 65.9, 75.7, 74.9, False),
    Result("LPN", "ResNet-101", "lpn101", SMALL, 5.3, 1.4, 70.4, 88.6, 78.1, 67.2, 77.2, 76.2, False),
    Result("LPN", "ResNet-152", "lpn152", SMALL, 7.4, 1.8, 71.0, 89.2, 78.6, 67.8, 77.7, 76.8, False),
)
"""COCO val2017, with the flip test, in the boxes of a detector (DETECTIONS)."""

TABLE_2 = (
    Result("Mask-RCNN", "ResNet-50-FPN", None, None, None, None, 63.1, 87.3, 68.7, 57.8, 71.4),
    Result("G-RMI", "ResNet-101", None, (353, 257), 42.6, 57.0, 64.9, 85.5, 71.3, 62.3, 70.0, 69.7),
    Result("Integral Regression", "ResNet-101", None, (256, 256), 45.0, 11.0, 67.8, 88.2, 74.8, 63.9, 74.0),
    Result("SimpleBaseline", "ResNet-50", "simple50", SMALL, 34.0, 8.9, 70.0, 90.9, 77.9, 66.8, 75.8, 75.6),
    Result("SimpleBaseline", "ResNet-152", "simple152", SMALL, 68.6, 15.7, 71.6, 91.2, 80.1, 68.7, 77.2, 77.3),
    Result("CPN", "ResNet-Inception", None, LARGE, None, None, 72.1, 91.4, 80.0, 68.7, 77.2, 78.5),
    Result("RMPE", "PyraNet", None, (320, 256), 28.1, 26.7, 72.3, 89.2, 79.1, 68.0, 78.6),
    Result("SimpleBaseline", "ResNet-152", "simple152", LARGE, 68.6, 35.6, 73.7, 91.9, 81.1, 70.3, 80.0, 79.0),
    Result("HRNet-W32", "HRNet-W32", "hrnet_w32", LARGE, 28.5, 16.0, 74.9, 92.5, 82.8, 71.3, 80.9, 80.1),
    Result("HRNet-W48", "HRNet-W48", "hrnet_w48", LARGE, 63.6, 32.9, 75.5, 92.5, 83.3, 71.9, 81.5, 80.5),
    Result("LPN", "ResNet-50", "lpn50", SMALL, 2.9, 1.0, 68.7, 90.2, 76.9, 65.9, 74.3, 74.5),
    Result("LPN", "ResNet-101", "lpn101", SMALL, 5.3, 1.4, 70.0, 90.8, 78.4, 67.2, 75.4, 75.7),
    Result("LPN", "ResNet-152", "lpn152", SMALL, 7.4, 1.8, 70.4, 91.0, 78.9, 67.7, 76.0, 76.2),
)
"""COCO test-dev2017, otherwise as Table 1."""


@dataclass(frozen=True)
class Gc:
    """A row of Table 3. gc: with global context blocks."""

    network: str
    gc: bool
    parameters_m: float
    gflops: float
    ap: float
    ap50: float
    ar: float


TABLE_3 = (
    Gc("lpn50", False, 2.7, 1.0063, 64.4, 86.1, 70.6),
    Gc("lpn50", True, 2.9, 1.0079, 66.9, 87.2, 73.0),
    Gc("lpn101", False, 5.0, 1.4118, 67.8, 87.5, 73.8),
    Gc("lpn101", True, 5.3, 1.4143, 68.9, 88.2, 74.8),
    Gc("lpn152", False, 6.9, 1.8189, 69.0, 88.0, 74.9),
    Gc("lpn152", True, 7.4, 1.8224, 69.4, 88.6, 75.3),
)
"""COCO val2017 at 256×192, after the first stage of training alone, without β-soft-argmax."""

STAGES = {
    "lpn50": (66.90, 67.73, 68.12, 68.28, 68.69, 68.89, 68.92),
    "lpn101": (68.85, 69.34, 69.61, 69.78, 69.95, 70.15, 70.25),
    "lpn152": (69.36, 69.87, 70.27, 70.57, 70.68, 70.86, 70.80),
}
"""Table 4: AP after each stage on COCO val2017, without β-soft-argmax (its last row is the Common of Table 5)."""

BETAS = (40.0, 80.0, 120.0, 160.0, 200.0)

TABLE_5 = {
    "simple50": (70.44, 69.56, 70.41, 70.60, 70.63, 70.63),
    "simple101": (71.38, 70.62, 71.47, 71.49, 71.49, 71.49),
    "simple152": (72.02, 71.43, 72.20, 72.28, 72.28, 72.23),
    "hrnet_w32": (74.40, 73.90, 74.55, 74.52, 74.57, 74.53),
    "hrnet_w48": (75.02, 74.63, 75.20, 75.20, 75.20, 75.18),
    "lpn50": (68.92, 67.91, 68.89, 69.06, 69.07, 69.07),
    "lpn101": (70.25, 69.39, 70.29, 70.40, 70.43, 70.43),
    "lpn152": (70.86, 70.01, 70.89, 70.99, 70.99, 70.99),
}
"""AP on COCO val2017 at 256×192: Common, then each of BETAS."""


@dataclass(frozen=True)
class Speed:
    """A speed that the text of Section 4.3 prints. about: told as a third of another."""

    network: str
    input_hw: Size
    fps: float
    about: bool = False


FPS = (
    Speed("lpn50", SMALL, 33.0),
    Speed("lpn152", SMALL, 23.0),
    Speed("hrnet_w48", SMALL, 7.7),
    Speed("hrnet_w48", LARGE, 3.2),
    Speed("simple152", SMALL, 11.0, about=True),  # "LPN-50 … is about 3 times" these two
    Speed("hrnet_w32", SMALL, 11.0, about=True),
)
"""Images of one person a second on an Intel i7-8700K, six threads. The other points of Figure 4 have no numbers."""

PICTURES = {"val2017": 5000, "test-dev2017": 20288}
"""How many images COCO's sets have."""

DETECTIONS = {
    "val2017": "COCO_val2017_detections_AP_H_56_person.json",
    "test-dev2017": "COCO_test-dev2017_detections_AP_H_609_person.json",
}
"""The boxes that the paper crops by, as SimpleBaseline's authors publish them."""

REMARKS = {
    "table1": (
        "the paper's FLOPs are multiply-accumulates by weights and output pixels, over 2^30, now rounded, now cut",
        "hourglass8: the paper's 26.2 was counted at 256x256",
        "simple152 at 384x288: 35.6 fits no count by the pixel together with 15.7 at 256x192",
    ),
    "table2": (
        "COCO's server alone scores test-dev: send lightpose evaluate --submission, and write its figures into the "
        "report of the same run",
    ),
    "table3": (
        "the paper: first stage of training alone, and no soft-argmax, which is our decoder quarter (see table5)",
        "its FLOPs without blocks are rounded, those with them cut",
    ),
    "table4": ("AP of the best epoch of each stage; the paper's without soft-argmax",),
    "table5": (
        "Common stands beside our quarter: of its peers it agrees, to 0.1, with what their authors publish, whose code "
        "moves an argmax by a quarter pixel; plain argmax is in lightpose ablate decode",
        "the authors' code moves the soft-argmax by a quarter pixel too, of which the text says nothing; here is the "
        "text's, and that is softargmax_quarter in lightpose ablate decode",
        "lpn152: Common is stage 5 of Table 4, not stage 6",
    ),
    "figure4": (
        "the paper's speeds are without flip test, its APs with it; its authors give about 17, 14 and 11 FPS with it",
        "of the paper's points only those are here that its text gives numbers of",
    ),
}  # fmt: skip
"""What must be known to read a table rightly, beyond its caption; found in the authors' code and by counting."""
