"""What a step of the network costs by the number of its tokens, measured on the steps themselves.

Up to some size a step is dominated by reading the weights, and more tokens are nearly free; how
nearly depends on the machine, the model and the numbers it calculates in. The cost is taken to be
level (1 + slope (n - 1)) for n tokens. The level follows the load of the machine, step by step; the
slope, which is the hardware's, is learnt slowly and most from the largest steps.
"""

SLOPE = 1 / 16
"""Where nothing is known: a processor's, in bfloat16 or float32. A graphics card's is far lower."""
LEAST, MOST = 1e-4, 1.0
QUICK, SLOW = 0.1, 0.02
"""How far one step moves the level, and the slope at 16 tokens more than one."""
ODD = 3.0
"""A step that takes so many times what is expected was held up by something else."""


class StepCost:
    """The cost of a step, in seconds."""

    def __init__(self) -> None:
        self.slope = SLOPE
        self.level = 0.0
        """Seconds of a step with one token; 0 where nothing was measured."""

    def __call__(self, tokens: int) -> float:
        """Return the cost of so many tokens; in units of one token's where nothing is known."""
        return (self.level or 1.0) * (1 + self.slope * (tokens - 1))

    def learn(self, tokens: int, seconds: float) -> None:
        """Note what a step took."""
        if not self.level:
            self.level = seconds / (1 + self.slope * (tokens - 1))
        expected = self(tokens)
        if seconds > ODD * expected:
            self.level *= 1 + QUICK  # unless that is how it goes on
            return
        more = tokens - 1
        if more:
            rate = SLOW * min(1.0, (more / 16) ** 2)  # by how well it tells
            self.slope += rate * ((seconds / self.level - 1) / more - self.slope)
            self.slope = min(MOST, max(LEAST, self.slope))
        # small steps tell the level best
        weight = QUICK / (1 + self.slope * more)
        self.level += weight * (seconds / (1 + self.slope * more) - self.level)

    def worth(self, tokens: int, sure: float) -> float:
        """Return the odds above which one more guess pays.

        Args:
            tokens: of the step so far.
            sure: tokens that the step brings in any case, or is expected to.
        """
        return sure * (self(tokens + 1) - self(tokens)) / self(tokens)
