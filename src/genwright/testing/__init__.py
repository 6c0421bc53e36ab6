"""Strict fakes, a scripted endpoint, and contract checks, for tests of methods in any package."""

from genwright.testing.fakes import Passes, Scripted, Uniform

__all__ = ["Passes", "Scripted", "Uniform"]
