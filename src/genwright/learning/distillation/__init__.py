"""Making one-step or few-step generators of diffusion models."""
