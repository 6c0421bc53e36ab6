"""What answers other people."""
