"""The laws of keys: what maps a draw to the answer it votes for."""

from collections.abc import Callable, Hashable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from genwright.testing.contracts.sentences import law
from genwright.testing.contracts.verifier import HOSTILE_TEXTS

Key = Callable[[Any], Hashable | None]


@dataclass(frozen=True, kw_only=True)
class KeyCase:
    """A key, and values of which it is known how they vote.

    Args:
        make: returns the key.
        groups: values that vote together; the groups vote apart.
        nonsense: values that cast no vote.
        hostile: values that may vote or not, but must not raise.
    """

    make: Callable[[], Key]
    groups: Sequence[Sequence[Any]]
    nonsense: Sequence[Any]
    hostile: Sequence[Any] = HOSTILE_TEXTS


def equal_answers_vote_together(case: KeyCase) -> None:
    """However they are written."""
    key = case.make()
    for group in case.groups:
        votes = [_vote(key, value) for value in group]
        law(None not in votes, f"{group!r} must cast votes, got {votes!r}.")
        law(len(set(votes)) == 1, f"{group!r} must vote together, got {votes!r}.")


def other_answers_vote_apart(case: KeyCase) -> None:
    """A key that maps everything to one answer keeps every other law."""
    key = case.make()
    votes = [_vote(key, group[0]) for group in case.groups]
    law(len(votes) > 1, "the case must name two groups.")
    law(len(set(votes)) == len(votes), f"{case.groups!r} must vote apart, got {votes!r}.")


def nonsense_casts_no_vote(case: KeyCase) -> None:
    """None, and no exception."""
    for value in case.nonsense:
        vote = _vote(case.make(), value)
        law(vote is None, f"{value!r:.60} must cast no vote (None), got {vote!r:.60}.")


def hostile_values_are_no_exceptions(case: KeyCase) -> None:
    """What a model writes is untrusted."""
    for value in case.hostile:
        _vote(case.make(), value)


def the_same_value_votes_the_same(case: KeyCase) -> None:
    """The second time, and for another such key."""
    values = [value for group in case.groups for value in group] + [*case.nonsense, *case.hostile]
    key = case.make()
    first = [_vote(key, value) for value in values]
    for again in (key, case.make()):
        for value, vote in zip(values, first, strict=True):
            other = _vote(again, value)
            law(other == vote, f"{value!r:.60} voted {vote!r:.60}, then {other!r:.60}.")


def values_are_left_as_they_were(case: KeyCase) -> None:
    """The draw goes on to the ledger."""
    for group in case.groups:
        values = deepcopy(list(group))
        for value in values:
            case.make()(value)
        law(values == list(group), f"the key changed {group!r} to {values!r}.")


def _vote(key: Key, value: Any) -> Any:
    """Return the vote of a copy; an exception, or what cannot be counted, breaks the law."""
    try:
        vote = key(deepcopy(value))
        hash(vote)
    except Exception as error:
        raise AssertionError(
            f"{value!r:.60} must get a vote that can be hashed, or None, but the key raised "
            f"{type(error).__name__}: {str(error)[:200]}"
        ) from error
    return vote


LAWS: tuple[Callable[[Any], None], ...] = (
    equal_answers_vote_together,
    other_answers_vote_apart,
    nonsense_casts_no_vote,
    hostile_values_are_no_exceptions,
    the_same_value_votes_the_same,
    values_are_left_as_they_were,
)
