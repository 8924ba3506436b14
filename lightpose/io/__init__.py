"""Bytes in and out: files, images, the sources that images come from, and work done ahead."""
