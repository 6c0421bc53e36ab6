"""genwright: generation you can check.

Bring a task and a checker; genwright makes a generator pass the check within a budget, records
every draw, and makes the generator better with what it recorded.
"""

__version__ = "0.1.0"
