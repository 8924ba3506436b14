"""What the reader of COCO files has to say of one: why it refuses it, what it reads how, and what it leaves out.

The rules are the reader's own, `lightpose.io.coco` and `lightpose.data.stored`; here are the consequences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from lightpose.data.check.faults import Fault, Finding, Kind, Name
from lightpose.data.check.table import Row, objects
from lightpose.io.coco import Remark

__all__ = ["REFUSED", "check_structure"]

REFUSED = "lightpose refuses the file"
_NUMBERS = "Write plain numbers, as COCO does: other tools stop or pass them over."


def _refusing(code: str, kind: Kind, what: str, remedy: str, why: str = "") -> Fault:
    return Fault(code, "error", kind, what, REFUSED + why, remedy)


def _ids(kind: Kind, other: str) -> tuple[Fault, ...]:
    plural = "categories" if kind == "category" else f"{kind}s"
    return (
        _refusing(
            f"bad_{kind}_id", kind, "An id is no number and no text", "Number the entries, and what refers to them too."
        ),
        _refusing(
            f"repeated_{kind}_id", kind, f"Several {plural} have the same id", f"Give each an id of its own{other}.",
            "; COCO's tools mistake one for the other, so that AP is wrong",
        ),
    )  # fmt: skip


_ALL = (
    _refusing(
        "no_list", "file", "A list that COCO's format has is missing",
        "Add the lists `images`, `annotations` and `categories`.", ", as other tools do",
    ),
    _refusing("no_object", "file", "An entry of a list is no json object", "Remove it or write it as an object."),
    _refusing("no_key", "file", "A key that is needed is missing", "Add the key to the entries named."),
    *_ids("image", ""), *_ids("annotation", ""), *_ids("category", ", and refer to it"),
    _refusing(
        "dangling_image", "annotation", "The annotation's image is not in the file",
        "Add the images, correct `image_id`, or remove the annotations.",
        "; COCO's tools would pass these people over without a word",
    ),
    _refusing(
        "dangling_category", "annotation", "The annotation's category is not in the file",
        "Add the category or correct `category_id`.", "; COCO's tools would pass these people over without a word",
    ),
    _refusing(
        "bad_box", "annotation", "The bbox is missing or not four finite numbers",
        "Give each annotation [left, top, width, height] in pixels.",
        ": a person without a box can be neither cropped nor measured",
    ),
    _refusing(
        "bad_size", "image", "Height or width is not a whole number above 0",
        "Write the image's height and width in pixels.", ": boxes cannot be clipped to the image",
    ),
    _refusing(
        "no_size_at_all", "image", "The image has no height and width, and its file is not at hand",
        "Write them, or name the folder of images, from whose files they are read.",
        ": boxes cannot be clipped to the image",
    ),
    _refusing("bad_file_name", "image", "The file_name is no text", "Write the path below the folder of images."),
    _refusing(
        "no_joint_names", "category", "No category has a list of `keypoints` names",
        "Add `keypoints`, the joints' names in their order, to the person category.",
        ": joints are matched by name, and without names none can be mirrored",
    ),
    _refusing(
        "bad_joint_names", "joint", "A joint's name is no text, or comes twice", "Give every joint a name of its own.",
    ),
    _refusing(
        "bad_keypoints", "annotation", "The keypoints are too few, too many or not finite",
        "Write three finite numbers (x, y, visibility) for each joint, 0, 0, 0 if unknown.",
    ),
    _refusing(
        "bad_area", "annotation", "The area is not a finite number",
        "Write the person's area in square pixels, or leave the key out.", ": OKS divides by the area",
    ),
    _refusing(
        "no_crowd_mark", "annotation", "`iscrowd` is no number", "Write 0 for a person and 1 for a crowd.",
        ": whether the person counts cannot be told",
    ),
    _refusing(
        "turned_picture", "image", "The image's height and width are exchanged",
        "Exchange height and width in the file; or, if the labels lie beside the people, turn the images back.",
        ": either the sizes are wrong, or the images were turned after labelling",
    ),
    _refusing(
        "other_size", "image", "The image has another size than the file says",
        "Use the images that were labelled, or scale the labels and sizes with them.",
        ": the labels were made for another size, and lie beside the people",
    ),
    Fault(
        "orientation", "warning", "image", "The image carries an EXIF orientation",
        "Labels are taken to be of the pixels as stored, as in COCO; if they were made on the image turned upright, "
        "AP is near 0, and a network learns nonsense",
        "Look at a preview; if labels lie beside the people, turn the files and drop the mark: mogrify -auto-orient.",
    ),
    Fault(
        "upright", "note", "image", "The image carries an EXIF orientation, and was labelled turned upright",
        "It is read turned upright, as its size in the file tells; COCO's own tools read it as stored",
        "Turn the files and drop the mark, for other tools: mogrify -auto-orient.",
    ),
    Fault(
        "several_categories", "warning", "category", "Other categories name other keypoints",
        "People of these are passed over", "Split the file, or give everybody the same category.",
    ),
    Fault(
        "same_joints", "note", "category", "Other categories name the same keypoints",
        "They are taken together as persons; COCO's evaluator measures each category by itself",
        "Split the file if they are to be kept apart.",
    ),
    Fault(
        "other_categories", "note", "category", "Annotations of other categories", "They are passed over",
        "Give people the category that names the joints.",
    ),
    Fault("text_number", "warning", "file", "Numbers are written as text", "They are read as numbers", _NUMBERS),
    Fault("read_ids", "warning", "file", "Ids are written as text or with a point", "They are read as whole numbers; "
          "COCO's tools match ids exactly, so that 7 and \"7\" are strangers", _NUMBERS),
    Fault(
        "numbered_ids", "note", "file", "Ids are text, or beyond 64 bits",
        "They are numbered 1, 2, … inside; results have the file's own", "Number the entries, for other tools.",
    ),
    Fault(
        "url_name", "warning", "image", "The image is named by a URL", "It is looked for by the URL's last part",
        "Write its path below the folder of images.",
    ),
    Fault(
        "no_size", "note", "image", "The image has no height or width", "They are read from its file",
        "Write them, for other tools.",
    ),
    Fault(
        "numbered_joints", "note", "joint", "A joint's name is a number", "It is read as text", "Give joints names.",
    ),
    Fault(
        "bad_limbs", "warning", "category", "The `skeleton` is not pairs of joint numbers from 1 on",
        "It is left out: images show joints without limbs; training and AP are as good",
        "Number the joints from 1 in `skeleton`.",
    ),
    Fault(
        "limbs_from_0", "warning", "category", "The `skeleton` counts joints from 0",
        "It is read so; other tools draw every limb one joint off", "Number the joints from 1 in `skeleton`.",
    ),
    Fault(
        "no_box", "warning", "annotation", "A person has neither a box nor labels", "The person is left out",
        "Give it a box, or remove the annotation.",
    ),
    Fault(
        "no_keypoints", "note", "annotation", "A person has no keypoints",
        "Counts as unlabelled: not trained on, and ignored by AP; lightpose data label can add labels",
        "Write 0, 0, 0 for each joint, for other tools.",
    ),
    Fault(
        "no_visibility", "warning", "annotation", "The keypoints have x and y alone",
        "All count as visible, those at 0, 0 as unlabelled", "Write (x, y, visibility).",
    ),
    Fault(
        "no_place", "note", "annotation", "A joint has no place and no visibility above 0",
        "It counts as unlabelled", "Write 0, 0, 0, for other tools.",
    ),
    Fault(
        "bad_visibility", "warning", "annotation", "A visibility is not 0, 1 or 2",
        "Whatever is above 0 counts as a label: scores of a network turn guesses into labels, and AP measures against "
        "them", "Write 0 for unlabelled, 1 for hidden and 2 for visible joints.",
    ),
    Fault(
        "bad_crowd", "warning", "annotation", "`iscrowd` is neither 0 nor 1",
        "Whatever is not 0 counts as a crowd: not trained on, and ignored by AP", "Write 0 or 1.",
    ),
    Fault(
        "more_keypoints", "note", "annotation", "Hands, face and feet are in keys of their own",
        "They are not read", "Name these joints in `keypoints`, and add them there, if they are wanted.",
    ),
)  # fmt: skip

FAULTS = {fault.code: fault for fault in _ALL}
"""What follows from each remark of the reader, by its code."""

SAME_FILE = Fault(
    "same_file", "warning", "image", "Several images are the same file",
    "Its people are dealt out to several entries: each entry's AP takes the others' people for false finds",
    "Merge the entries into one with all annotations.",
)  # fmt: skip


def check_structure(document: Row, remarks: tuple[Remark, ...]) -> Iterator[Finding]:
    """What the reader remarks, and images that come twice."""
    for remark in remarks:
        yield FAULTS[remark.code].naming(remark.names)
    yield SAME_FILE.naming(_repeated([image.get("file_name") for image in objects(document, "images")]))


def _repeated(values: list[Any]) -> list[Name]:
    """Those names that come more than once, each once."""
    counts = Counter(value for value in values if isinstance(value, str))
    return [value for value, count in counts.items() if count > 1]
