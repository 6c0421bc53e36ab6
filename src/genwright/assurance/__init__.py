"""Statements with a guarantee or a measurement behind them."""
