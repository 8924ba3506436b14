"""Video in and out: files, webcams, addresses and folders of frames become frames with times; drawn frames a video."""

from lightpose.io.video.kinds import VIDEO_SUFFIXES, source_kind
from lightpose.io.video.ranges import cut_video, read_range
from lightpose.io.video.reader import Video, read_clip, read_video
from lightpose.io.video.shots import Range
from lightpose.io.video.timing import Timing
from lightpose.io.video.writer import VideoWriter, suffix_written, video_writer

__all__ = [
    "VIDEO_SUFFIXES",
    "Range",
    "Timing",
    "Video",
    "VideoWriter",
    "cut_video",
    "read_clip",
    "read_range",
    "read_video",
    "source_kind",
    "suffix_written",
    "video_writer",
]
