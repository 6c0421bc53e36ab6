"""What spends a budget over many draws."""
