"""Poses in the formats of other tools: read, write, convert. One file for each format, one table of all."""

from lightpose.formats.base import SKELETONS_OUT, JointsName, Options, Writer
from lightpose.formats.convert import (
    convert,
    format_of_output,
    frames_of,
    lost_sentence,
    read,
    recognise,
    write,
    write_pairs,
)
from lightpose.formats.table import FORMATS, Format, format_named

__all__ = [
    "FORMATS",
    "SKELETONS_OUT",
    "Format",
    "JointsName",
    "Options",
    "Writer",
    "convert",
    "format_named",
    "format_of_output",
    "frames_of",
    "lost_sentence",
    "read",
    "recognise",
    "write",
    "write_pairs",
]
