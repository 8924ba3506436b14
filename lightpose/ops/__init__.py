"""Plain functions on arrays: no files, no state."""
