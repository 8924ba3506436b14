"""People from frame to frame: ids, the choice of some, and calm joints, as `lightpose predict` has them."""

from __future__ import annotations

from dataclasses import replace

from lightpose.inference.schedule import with_state
from lightpose.inference.select import Selection
from lightpose.inference.smooth import Smoother
from lightpose.inference.stages import Chain, LookAhead, Stage
from lightpose.inference.track import Tracker
from lightpose.results import Poses
from lightpose.serve.options import ClipOptions
from lightpose.serve.problems import ProblemError
from lightpose.types import Frame

__all__ = ["Followed"]


class Followed:
    """The stages of one video or stream. Raises a ProblemError if they do not go together."""

    def __init__(self, options: ClipOptions) -> None:
        if options.smooth != "none" and not options.track:
            raise ProblemError(422, "smoothing needs people with ids; leave out track=false, or take smooth=none")
        stages: list[Stage | LookAhead] = [Tracker()] if options.track else []
        if options.max_people is not None:
            stages.append(Selection(max_people=options.max_people))
        if options.smooth == "one_euro":
            stages.append(Smoother())
        self._chain, self._last_s = Chain(stages), 0.0

    def update(self, poses: Poses, frame: Frame) -> Poses:
        """The people of the next frame."""
        time_s = frame.time_s or 0.0
        self._last_s = max(self._last_s, time_s)
        followed = self._chain.feed(with_state(poses, "detected"), self._last_s, frame.image)[0][0]
        return replace(followed, frame=frame.index, time_s=time_s)
