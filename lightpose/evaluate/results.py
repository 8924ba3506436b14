"""The poses found in a data set, and the files that other programs read them from."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.data.coco import CocoFile
from lightpose.errors import SkeletonError
from lightpose.io.files import write_aside
from lightpose.results import Poses, coco_rows
from lightpose.skeletons import COCO17, Skeleton

__all__ = [
    "PoseResults",
    "check_submission",
    "how_to_score",
    "join",
    "of_picture",
    "write_results",
    "write_submission",
]


@dataclass(frozen=True, eq=False)
class PoseResults:
    """Poses found in images, rounded as they are written: what is scored is what is sent.

    image_ids: (N,). keypoints: (N, K, 3) x, y, score, to four places. scores: (N,) of the persons, to six.
    skeleton: names the K joints.
    """

    image_ids: NDArray[np.int64]
    keypoints: NDArray[np.float64]
    scores: NDArray[np.float64]
    skeleton: Skeleton

    def __len__(self) -> int:
        return len(self.image_ids)

    def best(self, most: int) -> PoseResults:
        """At most so many of each image, by image and then by falling score; of equal scores the first."""
        order = np.lexsort((-self.scores, self.image_ids))
        ids = self.image_ids[order]
        order = order[np.arange(len(ids)) - np.searchsorted(ids, ids) < most]
        return PoseResults(self.image_ids[order], self.keypoints[order], self.scores[order], self.skeleton)

    def named(self, joints: Sequence[str]) -> NDArray[np.float64]:
        """Keypoints (N, J, 3) of the joints of that name, in that order; zeros for those that are not known."""
        found = np.zeros((len(self), len(joints), 3))
        mine, theirs = self.skeleton.match(joints)
        found[:, theirs] = self.keypoints[:, mine]
        return found

    def rows(self, joints: Sequence[str], category_id: int = 1) -> list[dict[str, Any]]:
        """COCO keypoint results: one object a person, its joints as `named` gives them."""
        return coco_rows(self.image_ids, self.named(joints), self.scores, category_id)


def of_picture(image_id: int, poses: Poses, kept: NDArray[np.intp]) -> PoseResults:
    """The poses of one image that are kept, in the order of `kept`."""
    keypoints, scores = poses.keypoints[kept].astype(np.float64), poses.scores[kept].astype(np.float64)
    ids = np.full(len(kept), image_id, np.int64)
    return PoseResults(ids, np.round(keypoints, 4), np.round(scores, 6), poses.skeleton)


def join(parts: Sequence[PoseResults], skeleton: Skeleton) -> PoseResults:
    """Results of many images as one, in their order; all in the joints of `skeleton`."""
    return PoseResults(
        np.concatenate([np.zeros(0, np.int64), *(part.image_ids for part in parts)]),
        np.concatenate([np.zeros((0, len(skeleton), 3)), *(part.keypoints for part in parts)]),
        np.concatenate([np.zeros(0), *(part.scores for part in parts)]),
        skeleton,
    )


def write_results(path: str | Path, results: PoseResults, source: CocoFile) -> None:
    """Write COCO keypoint results in the joints of the data set, which COCO tools score with its file.

    Joints of the data set that the network does not know are (0, 0, 0). What a tool must be told to come to our AP
    says `how_to_score`. Raises SkeletonError if no joint is shared.
    """
    rows = results.rows(source.skeleton.joints, source.own_category)
    write_aside(path, json.dumps([{**row, "image_id": source.own_id(row["image_id"])} for row in rows]).encode())


def how_to_score(network: Skeleton, data: Skeleton) -> list[str]:
    """What brings pycocotools to our AP of results in the data set's joints, a line each.

    It counts all joints, where `score_results` leaves out those that the network does not know, and it has the sigmas
    of COCO's 17 joints alone. There is nothing to do where the joints are these.
    """
    mine, theirs = network.match(data.joints)
    lines = []
    unknown = [joint for joint in data.joints if joint not in network.joints]
    if unknown:
        names = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
        lines.append(
            f"joints unknown to the network ({names}) are 0, 0, 0 in it, and other tools count them as missed; cut "
            "them out of it and of the labels to come to this AP"
        )
    sigmas = [network.sigmas[number] for number in mine[np.argsort(theirs)]]
    if sigmas != list(COCO17.sigmas):
        lines.append(f"pycocotools needs COCOeval.params.kpt_oks_sigmas = numpy.array({sigmas}), joint by joint")
    return lines


def check_submission(skeleton: Skeleton) -> None:
    """Raise SkeletonError unless these joints have all of COCO's 17 among them."""
    missing = [joint for joint in COCO17.joints if joint not in skeleton.joints]
    if missing:
        raise SkeletonError(f"COCO's server wants 17 joints, but the network does not know {', '.join(missing)}")


def write_submission(path: str | Path, results: PoseResults, source: CocoFile) -> str:
    """Write a zip for COCO's evaluation server; returns the name of the one file in it.

    That is person_keypoints_<set>_<name>_results.json (cocodataset.org, upload), `set` as the annotation file names it
    (image_info_test-dev2017.json), test-dev2017 where it names none, and `name` as the zip is called.
    Raises SkeletonError unless the network knows all of COCO's 17 joints.
    """
    check_submission(results.skeleton)
    path = Path(path)
    known = re.search(r"(val|test|test-dev|test-challenge)20\d\d$", source.path.stem)
    name = re.sub(r"[^A-Za-z0-9-]+", "-", path.stem).strip("-") or "lightpose"
    member = f"person_keypoints_{known[0] if known else 'test-dev2017'}_{name}_results.json"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        rows = [{**row, "image_id": source.own_id(row["image_id"])} for row in results.rows(COCO17.joints)]
        archive.writestr(member, json.dumps(rows))
    write_aside(path, content.getvalue())
    return member
