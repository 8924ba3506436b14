"""Training: configuration, loss, the loop, checkpoints."""
