"""Plain `torch.nn.Module`s: no sampling, no training loops, no data."""
