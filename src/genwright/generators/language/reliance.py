"""How far guesses can be relied on, learnt from those that came true.

A guess is told by where it comes from (the prompt, or earlier draws), by how many tokens before it
match, and by how much of what followed these tokens agrees with it. Each such class of guesses
keeps count of how many came true. Whether a guess was evaluated plays no part: what the draw wrote
tells about all of them.
"""

from bisect import bisect_left, bisect_right

LENGTHS = (1, 2, 3, 4, 6, 9)
SHARES = (0.35, 0.65, 0.9)
PRIOR = 4.0
"""Guesses that the beginning's odds count as."""
MEMORY = 400.0
"""Beyond so many guesses the older ones fade."""

Kind = tuple[bool, int, int]
"""(from the prompt, class of the matching length, class of agreement)."""


def kind(prompt: bool, length: int, share: float, seen: float) -> Kind:
    """Return the class of a guess.

    Args:
        prompt: whether the prompt says so, or earlier draws.
        length: tokens that match before it.
        share: of all that followed these tokens, how much agrees.
        seen: how often something followed them.
    """
    far = bisect_left(LENGTHS, length)
    return prompt, far, 0 if seen < 1.5 else 1 + bisect_right(SHARES, share)


class Reliance:
    """Counts of guesses and of those that came true, by class."""

    def __init__(self) -> None:
        self._counts: dict[Kind, list[float]] = {}

    def odds(self, what: Kind) -> float:
        """Return the chance that a guess of this class comes true."""
        counts = self._counts.get(what) or self._start(what)
        return counts[1] / counts[0]

    def learn(self, what: Kind, came_true: bool) -> None:
        """Count a guess."""
        counts = self._counts.get(what) or self._start(what)
        counts[0] += 1
        counts[1] += came_true
        if counts[0] > MEMORY:
            counts[0] *= 0.5
            counts[1] *= 0.5

    def _start(self, what: Kind) -> list[float]:
        """Begin with odds that grow with the length of the match and with agreement."""
        _, far, agrees = what
        share = (0.7, 0.2, 0.5, 0.75, 0.95)[agrees]
        odds = share * (0.2, 0.35, 0.6, 0.7, 0.8, 0.9, 0.95)[far]
        return self._counts.setdefault(what, [PRIOR, PRIOR * odds])
