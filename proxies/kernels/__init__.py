"""The operations that cost a training step its time, each with its own backward pass."""
