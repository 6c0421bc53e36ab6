"""Strict fakes, a scripted endpoint, and contract checks, for tests of methods in any package."""

from genwright.testing.endpoint import Fault, ScriptedEndpoint
from genwright.testing.fakes import Passes, Scripted, Uniform
from genwright.testing.protocol import Reply

__all__ = ["Fault", "Passes", "Reply", "Scripted", "ScriptedEndpoint", "Uniform"]
