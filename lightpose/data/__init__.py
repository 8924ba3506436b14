"""Labelled persons: reading annotation files, cutting crops once, augmenting them in batches."""
