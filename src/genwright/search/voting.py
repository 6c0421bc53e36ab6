"""Counting votes: which answer do most draws agree on?

`vote` is shared by every strategy that chooses by agreement, and measures agreement on its own.

Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning in Language Models",
arXiv:2203.11171, Section 2 (unweighted and weighted sums). Ours: abstentions, and three ways to
treat a tie.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal, get_args

from genwright.core import InvalidArgument, Sample, Samples, T

Ties = Literal["share", "first", "abstain"]


@dataclass(frozen=True)
class Ballot:
    """The result of a vote.

    Args:
        answers: the distinct answers, in the order they were first drawn.
        weights: the weight behind each answer.
        groups: for each draw the index of its answer, or None where it cast no vote.
        shares: for each answer its share of the win: 1 for a sole winner; a tie is treated as
            asked for. They sum to 1, or to 0 when nobody won.
    """

    answers: tuple[Hashable, ...]
    weights: tuple[float, ...]
    groups: tuple[int | None, ...]
    shares: tuple[float, ...]

    @property
    def winner(self) -> int | None:
        """The winning answer's index, the one drawn first of several; None when nobody won."""
        return next((i for i, share in enumerate(self.shares) if share > 0), None)

    @property
    def agreement(self) -> float:
        """The winner's weight as a share of all weight cast; 0 when nobody won."""
        return 0.0 if self.winner is None else self.weights[self.winner] / sum(self.weights)

    @property
    def representative(self) -> int | None:
        """The number of the first draw that holds the winning answer."""
        return None if self.winner is None else self.groups.index(self.winner)


def vote(
    samples: Samples[T],
    key: Callable[[T], Hashable | None] | None,
    weight: Callable[[Sample[T]], float] | None = None,
    ties: Ties = "share",
) -> Ballot:
    """Count the votes of a batch of draws.

    Args:
        samples: the voters.
        key: maps a value to its answer in canonical form, or to None, which casts no vote. None
            takes the value itself as the answer.
        weight: of each vote, 0 or more; 1 where it is left out. A draw of weight 0 casts no vote.
        ties: what answers of equal weight get: `"share"` an equal share each, `"first"` everything
            to the one drawn first, `"abstain"` nothing to anybody.

    Raises:
        InvalidArgument: an answer that cannot be hashed, a weight that is negative or not finite,
            or an unknown way to treat ties.
    """
    answers = [answer_of(value, key) for value in samples.values]
    weights = [1.0] * len(answers) if weight is None else [weight(sample) for sample in samples]
    return count(answers, weights, ties)


def answer_of(value: T, key: Callable[[T], Hashable | None] | None) -> Hashable | None:
    """Return the answer a value stands for, or None.

    Raises:
        InvalidArgument: an answer that cannot be hashed, and so not compared.
    """
    answer: object = value if key is None else key(value)
    try:
        hash(answer)
    except TypeError as error:
        raise InvalidArgument(
            f"vote: the answer {answer!r:.80} cannot be hashed; give a key that maps each value "
            "to a text, a number or a tuple."
        ) from error
    return answer


def count(
    answers: Sequence[Hashable | None], weights: Sequence[float], ties: Ties = "share"
) -> Ballot:
    """Count votes whose answers are known already; None casts no vote."""
    if ties not in get_args(Ties):
        raise InvalidArgument(f"vote: ties must be one of {get_args(Ties)}, got {ties!r}.")
    totals: dict[Hashable, float] = {}
    for answer, weight in zip(answers, weights, strict=True):
        if not 0.0 <= weight < inf:
            raise InvalidArgument(f"vote: a weight must be 0 or more and finite, got {weight}.")
        if answer is not None and weight > 0:
            totals[answer] = totals.get(answer, 0.0) + weight
    number = {answer: i for i, answer in enumerate(totals)}
    groups = tuple(
        number.get(answer) if weight > 0 else None
        for answer, weight in zip(answers, weights, strict=True)
    )
    return Ballot(tuple(totals), tuple(totals.values()), groups, _shares(totals, ties))


def _shares(totals: Mapping[Hashable, float], ties: Ties) -> tuple[float, ...]:
    top = max(totals.values(), default=0.0)
    leaders = [i for i, weight in enumerate(totals.values()) if weight == top]
    if ties == "abstain" and len(leaders) > 1:
        leaders = []
    if ties == "first":
        leaders = leaders[:1]
    return tuple(1 / len(leaders) if i in leaders else 0.0 for i in range(len(totals)))
