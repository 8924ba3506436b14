"""The paper's numbers, against its text where that lies beside the repository, and against each other."""

import re

import pytest

from lightpose.paper import facts


@pytest.fixture(scope="module")
def text(real_data):
    path = real_data.parent / "paper.txt"
    if not path.is_file():
        pytest.skip("the paper's text is not here")
    return path.read_text(encoding="utf-8")


def numbers(cells):
    """Each cell's number, None for a dash."""
    found = [re.search(r"\d+\.\d+", cell) for cell in cells]
    return [float(one[0]) if one else None for one in found]


def lines_with(text, start, end):
    part = text[text.index(start) : text.index(end)]
    return [line.split("\t") for line in part.splitlines() if line.count("\t") > 4][1:]


@pytest.mark.parametrize(
    ("table", "start", "end", "first"),
    [
        (facts.TABLE_1, "Method\tBackbone\tPretrain", "Table 1. Comparisons", 4),
        (facts.TABLE_2, "Table 2. Comparisons", "the parameters and the FLOPs of LPN-50 are", 3),
    ],
)
def test_tables_1_and_2_are_as_printed(text, table, start, end, first):
    printed = lines_with(text, start, end)
    assert len(printed) == len(table)
    for one, cells in zip(table, printed, strict=True):
        assert cells[0].startswith(one.method)
        assert cells[1].startswith(one.backbone)
        figures = [one.parameters_m, one.gflops, one.ap, one.ap50, one.ap75, one.ap_medium, one.ap_large, one.ar]
        assert figures == numbers(cells[first:])
        size = re.findall(r"\d+", cells[first - 1])
        assert list(one.input_hw or ()) == [int(side) for side in size]
        if first == 4:
            assert one.pretrained == (cells[2] == "Y")


def test_table_3_is_as_printed(text):
    printed = lines_with(text, "Table 3. Ablation", "CO val2017 set, all results")
    assert len(printed) == len(facts.TABLE_3)
    for one, cells in zip(facts.TABLE_3, printed, strict=True):
        assert (cells[0].replace("LPN-", "lpn"), "checkmark" in cells[1]) == (one.network, one.gc)
        assert numbers(cells[2:]) == [one.parameters_m, one.gflops, one.ap, one.ap50, one.ar]


def test_table_4_is_as_printed(text):
    rows = re.findall(r"^Stage (\d)\t(.*)$", text, re.MULTILINE)
    for stage, cells in rows:
        aps = [float(cell) for cell in cells.split("\t")[:5:2]]
        assert aps == [facts.STAGES[name][int(stage)] for name in ("lpn50", "lpn101", "lpn152")]
    assert len(rows) == 7


def test_table_5_is_as_printed(text):
    found = {}
    for name, cells in re.findall(r"^((?:Simple-|HRNet-W|LPN-)\d+)(?: \[\d+\])?\t([\d.\t]+)$", text, re.MULTILINE):
        ours = name.replace("Simple-", "simple").replace("HRNet-W", "hrnet_w").replace("LPN-", "lpn")
        found[ours] = tuple(float(cell) for cell in cells.split("\t") if cell)
    assert found == facts.TABLE_5


def test_speeds_are_as_printed(text):
    for phrase in (
        "can achieve 33 FPS",
        "LPN-152 can achieve 23 FPS",
        "decays from 7.7 FPS to 3.2 FPS",
        "about 3 times",
    ):
        assert phrase in " ".join(text.split())
    printed = [(one.network, one.fps) for one in facts.FPS if not one.about]
    assert printed == [("lpn50", 33.0), ("lpn152", 23.0), ("hrnet_w48", 7.7), ("hrnet_w48", 3.2)]
    assert {one.fps for one in facts.FPS if one.about} == {33.0 / 3}


def test_tables_agree_where_they_overlap():
    for network, aps in facts.STAGES.items():
        assert facts.TABLE_5[network][0] == max(aps), "Common is the best stage"
        small = next(one for one in facts.TABLE_3 if one.network == network and one.gc)
        assert aps[0] == pytest.approx(small.ap, abs=0.06), "Table 3 is the first stage"
        row = next(one for one in facts.TABLE_1 if one.network == network)
        assert facts.TABLE_5[network][4] == pytest.approx(row.ap, abs=0.06), "Table 1 has beta 160"
    gains = [max(aps) - aps[0] for aps in facts.STAGES.values()]
    assert gains == pytest.approx([2.02, 1.40, 1.50]), "Table 4's last row"
