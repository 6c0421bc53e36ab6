"""What makes tasks and training data."""
