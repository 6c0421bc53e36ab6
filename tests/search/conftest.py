"""Laws are checked without a deadline: on a loaded machine a slow example is no counterexample."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
