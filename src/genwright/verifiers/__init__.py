"""What checks a finished draw."""
