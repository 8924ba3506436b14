"""`lightpose data`: check, convert, look at and label data sets."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, subcommand

from lightpose.cli.marks import Reads, ReadsNamed, Writes
from lightpose.io.places import Place
from lightpose.weights import DEFAULT

__all__ = ["Data"]


@dataclass(frozen=True)
class Check:
    """Tell what is wrong with a file of labels, and what each fault would do to training or to AP.

    Works on files that training refuses, too. The exit code is 1 if there are errors, 2 if the file cannot be read.
    Example: lightpose data check train.json --images train2017
    """

    file: Positional[Reads]
    """COCO keypoint file, or labels of CVAT, Label Studio or YOLO-pose."""
    images: Reads | None = None
    """Folder of its images; without it they are not looked at."""
    examples: int = 5
    """How many ids to name of each fault."""
    json: bool = False
    """Print one json object instead of tables."""

    def run(self) -> int:
        """0: no errors, 1: errors."""
        from lightpose.cli.findings import print_check
        from lightpose.data.check import check_coco, summarise
        from lightpose.data.labels import read_labels
        from lightpose.errors import DataError
        from lightpose.io.coco import tell

        document, notes = read_labels(self.file, self.images)
        tell(self.file, notes)
        try:
            findings, summary = check_coco(document, self.images, self.examples), summarise(document)
        except DataError as error:
            raise DataError(f"{self.file}: {error}") from error
        if self.json:
            rows = [asdict(finding) for finding in findings]
            print(
                json.dumps({"file": str(self.file), "summary": asdict(summary), "findings": rows}, ensure_ascii=False)
            )
        else:
            print_check(findings, summary)
        return int(any(finding.severity == "error" for finding in findings))


@dataclass(frozen=True)
class Convert:
    """Write other labels as a COCO keypoint file: Leeds Sports Pose, LSP-Extended, MPII, or an annotation tool's.

    Joints keep their names and order; training matches them by name. The data sets need
    `pip install 'lightpose[train]'`.
    Example: lightpose data convert lsp joints.mat --images images --out lsp.json --val-after 1000
    """

    kind: Positional[Literal["lsp", "lspet", "mpii", "yolo-pose", "cvat", "label-studio"]]
    """The data set, or the tool's format."""
    file: Positional[Reads]
    """The data set's MATLAB file: joints.mat, or mpii_human_pose_v1_u12_1.mat. The tool's export."""
    images: Reads
    """Folder of its images; their sizes are read."""
    out: Writes
    """The json file to write."""
    val_every: int = 0
    """Put every n-th image into a validation file. Frames of one video may so come into both files, with MPII."""
    val_after: int = 0
    """Put images with a higher number into a validation file; LSP's own test set is what comes after 1000."""
    val_out: Writes | None = None
    """The validation file; OUT with _val at the end of its name if not given."""
    boxes: Literal["scale", "joints"] = "scale"
    """MPII: boxes by scale and objpos, as others train on it, or about the joints, as in COCO."""

    def run(self) -> int:
        """0 once the files are written."""
        from lightpose.data.convert import split
        from lightpose.data.labels import read_export
        from lightpose.data.lsp import read_lsp
        from lightpose.data.mpii import read_mpii

        if self.kind == "mpii":
            converted = read_mpii(self.file, self.images, self.boxes)
        elif self.kind == "lsp" or self.kind == "lspet":
            converted = read_lsp(self.file, self.images, self.kind)
        else:
            converted = read_export(self.file, self.images, self.kind)
        parts = split(converted.document, self.val_every, self.val_after)
        _write_set(self.out, parts[0])
        if self.val_every or self.val_after:
            _write_set(self.val_out or self._val_beside(), parts[1])
        for reason, count in converted.skipped.items():
            print(f"left out: {count} ({reason})")
        return 0

    def more_writes(self) -> list[Place]:
        """The validation file, where there is to be one and none is named."""
        beside = (self.val_every or self.val_after) and self.val_out is None
        return [Place("the validation file", self._val_beside())] if beside else []

    def _val_beside(self) -> Path:
        return self.out.with_stem(f"{self.out.stem}_val")


@dataclass(frozen=True)
class Preview:
    """Write a contact sheet of labelled people: cut out as a network sees them, with box, skeleton, id and file name.

    The person's left is orange, right blue. Example: lightpose data preview train.json --images train2017 --out a.jpg
    """

    file: Positional[Reads]
    """COCO keypoint file, or labels of CVAT, Label Studio or YOLO-pose."""
    images: Reads
    """Folder of its images."""
    out: Writes
    """The image to write, .jpg or .png."""
    count: int = 24
    """How many people, chosen at random."""
    seed: int = 0
    """Another number chooses other people."""
    ids: tuple[int, ...] = ()
    """Annotation ids of the people to show, such as those that `lightpose data check` names."""

    def run(self) -> int:
        """0 once the image is written."""
        from lightpose.data.coco import read_coco
        from lightpose.data.preview import choose_persons, preview_sheet
        from lightpose.io.files import write_aside
        from lightpose.io.images import encode_image

        source = read_coco(self.file, self.images)
        people = choose_persons(source, self.count, self.seed, self.ids)
        write_aside(self.out, encode_image(preview_sheet(source, people), self.out.suffix))
        print(f"{self.out}: {len(people)} of {len(source.persons())} labelled persons")
        return 0


@dataclass(frozen=True)
class Label:
    """Add a network's keypoints to boxed people who lack them, with visibility 1, where the network is sure.

    A keypoint is added if it scores enough and the mirrored crop gives the same place. With --to all keypoints are
    added, for a person to correct in an annotation tool: visible, or hidden where the network is not sure.
    Example: lightpose data label boxes.json --images photos --model teacher.onnx --out labelled.json
    """

    file: Positional[Reads]
    """COCO keypoint file whose category names the joints, people without labels with zeros; or a tool's labels."""
    images: Reads
    """Folder of its images."""
    out: Writes
    """The json file to write; with --to the file of that format, for yolo-pose a new folder."""
    to: Literal["coco", "yolo-pose", "cvat", "label-studio"] | None = None
    """Write pre-labels in this format instead; label-studio gets its labelling interface beside them."""
    hidden_below: float = 0.3
    """With --to, the score below which a keypoint is hidden."""
    model: ReadsNamed = DEFAULT
    """Name of bundled weights, or a weights file (.onnx or .safetensors)."""
    min_score: float = 0.3
    """Least score of a keypoint."""
    agree: float = 0.06
    """Most that the mirrored crop's keypoint, or labels there are, may lie off: a share of the box's longer side."""
    min_side: float = 32.0
    """Least longer side of a box, in pixels; people in smaller ones stay as they are."""
    replace: bool = False
    """Leave the file's own labels out, of joints that the network has."""
    threads: int = 0
    """Threads of the engine; 0 is one on each physical core."""

    def run(self) -> int:
        """0 once the file is written."""
        from lightpose.cli.console import counting
        from lightpose.data.coco import read_coco
        from lightpose.data.pre_labels import write_pre_labels
        from lightpose.train.pseudo_label import LabelOptions, added_labels, label_persons, people_to_label
        from lightpose.weights.open import open_runtime

        hidden_below = None if self.to is None else self.hidden_below
        options = LabelOptions(self.min_score, self.agree, self.min_side, self.replace, hidden_below=hidden_below)
        source = read_coco(self.file, self.images)
        people = len(people_to_label(source, options))
        with counting("persons", people) as advance:
            document = label_persons(source, open_runtime(self.model, self.threads), options, advance)
        written = write_pre_labels(source, document, self.out, self.to or "coco")
        persons, keypoints = added_labels(source, document)
        print(f"{self.out}: looked at {people} persons, {persons} gained labels, {keypoints} keypoints in all")
        for path in written[1:]:
            print(f"{path}: the labelling interface, to paste into the project's settings")
        return 0

    def more_writes(self) -> list[Place]:
        """The labelling interface of Label Studio."""
        from lightpose.data.pre_labels import config_beside

        return [Place("the labelling interface", config_beside(self.out))] if self.to == "label-studio" else []


@dataclass(frozen=True)
class Data:
    """Check, convert, look at and label data sets of keypoints."""

    command: (
        Annotated[Check, subcommand("check", prefix_name=False)]
        | Annotated[Convert, subcommand("convert", prefix_name=False)]
        | Annotated[Preview, subcommand("preview", prefix_name=False)]
        | Annotated[Label, subcommand("label", prefix_name=False)]
    )

    def run(self) -> int:
        """What the subcommand gives."""
        return self.command.run()


def _write_set(path: Path, document: dict[str, Any]) -> None:
    from lightpose.io.files import write_aside

    write_aside(path, json.dumps(document).encode())
    print(f"{path}: {len(document['images'])} images, {len(document['annotations'])} persons")
