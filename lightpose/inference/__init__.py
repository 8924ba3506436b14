"""From images to poses: one person, one image, or a stream of frames."""
