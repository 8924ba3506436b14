"""Which sources are videos: told by their first bytes, not by their names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from lightpose.errors import ImageError
from lightpose.io.headers import image_kind
from lightpose.io.images import read_regular

__all__ = ["DEMUXERS", "STREAMS", "VIDEO_SUFFIXES", "SourceKind", "is_video", "source_kind"]

SourceKind = Literal["file", "webcam", "address"]

DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,ogg,ivf,h264,hevc,m4v,mjpeg"
)
"""FFmpeg's readers of files that hold a video themselves. Lists of other files, such as m3u8, are none of them: one
could have any file of this computer opened."""

STREAMS = f"{DEMUXERS},rtsp,rtp,sdp,mpjpeg,hls,applehttp"
"""The same for addresses. A list that comes from there can name addresses only, as no file may be opened from it."""

_ADDRESS = re.compile(r"(rtsp|rtsps|http|https)://", re.IGNORECASE)
_WEBCAM = re.compile(r"webcam:\d{1,3}")

VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".3gp", ".flv", ".wmv",
    ".asf", ".ogv", ".ivf", ".h264", ".264", ".hevc", ".265", ".mjpeg",
})  # fmt: skip
"""Suffixes of videos. A file with one that does not begin like a video is left to fail as one."""

_HEAD_BYTES = 1024
_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
"""What a QuickTime or MP4 file may begin with."""
_STARTS = (
    b"\x1a\x45\xdf\xa3", b"FLV\x01", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"OggS", b"DKIF", b"\x00\x00\x01\xba",
    b"\x00\x00\x01\xb3", b"\x00\x00\x00\x01\x67", b"\x00\x00\x00\x01\x40", b"\x00\x00\x00\x01\x09", b"\x00\x00\x01\x67",
)  # fmt: skip
"""Matroska, FLV, ASF, Ogg, IVF, MPEG, and bare H.264 and HEVC."""
_SYNC = (range(0, 564, 188), range(4, 580, 192))
"""Where an MPEG transport stream has the byte 0x47, without and with time codes."""


def source_kind(source: str) -> SourceKind | None:
    """What kind of video a source is; None if it is none, such as an image, a folder or a pattern.

    A file that is not there, or cannot be read, is none, unless its name ends as a video's.
    """
    if _WEBCAM.fullmatch(source):
        return "webcam"
    if _ADDRESS.match(source):
        return "address"
    try:
        head = read_regular(source, _HEAD_BYTES)
    except ImageError:
        head = b""
    if image_kind(head[:64]) is not None and not is_video(head):
        return None
    path = Path(source)
    return "file" if is_video(head) or (path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir()) else None


def is_video(head: bytes) -> bool:
    """Whether a file with these first bytes is a video, or sound in a video's container."""
    if head[4:8] in _BOXES:
        size = int.from_bytes(head[:4], "big")  # which is more in a text that has such a word there
        return image_kind(head[:64]) is None and (size < 2**28 or head[4:8] == b"mdat")
    transport = any({head[place : place + 1] for place in places} == {b"\x47"} for places in _SYNC)
    return head.startswith(_STARTS) or (head[:4] == b"RIFF" and head[8:11] == b"AVI") or transport
