"""In what a measurement of ours differs from the paper's, so that nothing stands beside its numbers unsaid."""

from __future__ import annotations

from pathlib import PurePath

from lightpose.evaluate.record import Record
from lightpose.paper.facts import DETECTIONS, PICTURES
from lightpose.types import PADDING

__all__ = ["describe", "differences", "other_data"]


def describe(record: Record, collection: str, decoder: str | None = None, beta: float | None = None) -> str:
    """A note on a record beside the paper's numbers: whose weights, and what differs (see `differences`)."""
    found = differences(record, collection, decoder, beta)
    return f"{record.table['model']}: " + (
        f"differs from the paper: {', '.join(found)}" if found else "as in the paper"
    )


def other_data(record: Record, collection: str) -> str:
    """The set that was measured on, with its size, unless it is COCO's whole collection of that name; then empty."""
    table, data = record.table, PurePath(record.table["data"])
    same = collection in data.name and table["pictures"] == PICTURES[collection]
    return "" if same else f"{'/'.join(data.parts[-2:])} ({table['pictures']} images, {table['persons']} persons)"


def differences(record: Record, collection: str, decoder: str | None = None, beta: float | None = None) -> list[str]:
    """What is not as in the paper: data, boxes, flip test, decoder, crops, suppression; in words, empty if nothing.

    collection: a name in PICTURES. decoder, beta: the table's; not looked at if not given.
    """
    table = record.table
    boxes = PurePath(table["boxes"]).name
    found = []
    if other := other_data(record, collection):
        found.append(f"data {other}, not COCO {collection}")
    if boxes != DETECTIONS[collection]:
        found.append("given boxes" if boxes == "given" else f"boxes of {boxes}")
    elif table.get("box_threshold"):
        found.append(f"boxes from a score of {table['box_threshold']:g}")
    if not table["flip"]:
        found.append("no flip test")
    if decoder not in (None, table["decoder"]) or beta not in (None, table["beta"]):
        soft = str(table["decoder"]).startswith("softargmax")
        found.append(f"decoder {table['decoder']}" + (f" β={table['beta']:g}" if soft else ""))
    if table["geometry"] == "none":
        return [*found, "whole images, no crops"]
    if table["geometry"] != "msra":
        found.append(f"{table['geometry']} geometry")
    if table["padding"] != PADDING:
        found.append(f"crops {table['padding']:g} × the boxes")
    if (table["nms"], table["nms_oks"], table["nms_areas"]) != ("hard", 0.9, "crop"):
        found.append(
            "no OKS-NMS"
            if table["nms"] == "none"
            else f"OKS-NMS {table['nms']} {table['nms_oks']:g} by {table['nms_areas']} areas"
        )
    return found
