"""What each part of a method is worth: decoders, global context and input sizes measured anew, stages from logs."""
