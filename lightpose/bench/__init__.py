"""How fast networks run, and the whole road from a picture file to a drawn pose: measured by turns, and compared."""
