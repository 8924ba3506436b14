"""Video in and out: files, webcams, addresses and folders of frames become frames with times; drawn frames a video."""

from lightpose.io.video.kinds import source_kind
from lightpose.io.video.reader import Video, read_clip, read_video
from lightpose.io.video.timing import Timing
from lightpose.io.video.writer import VideoWriter, suffix_written, video_writer

__all__ = ["Timing", "Video", "VideoWriter", "read_clip", "read_video", "source_kind", "suffix_written", "video_writer"]
