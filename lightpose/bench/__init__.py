"""How fast networks run alone, and end to end from an image file to a drawn pose: measured and compared."""
