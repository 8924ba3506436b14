"""How fast networks run alone, and end to end from a picture file to a drawn pose: measured and compared."""
