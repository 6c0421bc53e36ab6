"""The laws of verifiers: see `core.protocols.Verifier`."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from genwright.core import Samples, Verdict, Verifier
from genwright.testing.contracts.sentences import is_json, law, law_of_costs

HOSTILE_TEXTS: tuple[str, ...] = (
    "",
    " \t\r\n",
    "\x00",
    "\ud800",  # half a surrogate pair: it cannot be encoded
    "(" * 5_000,
    "[" * 5_000 + "]" * 5_000,
    "9" * 5_000,
    "-" * 100_000,
    "'; DROP TABLE flights; --",
    "{{}}%s%n{0.__class__}",
    "\\frac{1}{0}",
    "1e999999999",
    "NaN",
)
"""Texts that break parsers: empty, unencodable, deeply nested, huge, or meant for another level."""


@dataclass(frozen=True, kw_only=True)
class VerifierCase:
    """A verifier and draws of which the verdict is known.

    Args:
        make: returns the verifier.
        gold: values that must pass.
        corrupted: values that must fail.
        hostile: values that must get a verdict, whichever.
    """

    make: Callable[[], Verifier[Any]]
    gold: Sequence[Any]
    corrupted: Sequence[Any]
    hostile: Sequence[Any] = HOSTILE_TEXTS

    def all(self) -> list[Any]:
        """Return a copy of every value."""
        return deepcopy([*self.gold, *self.corrupted, *self.hostile])

    def check(self, values: Sequence[Any]) -> list[Verdict]:
        """Check a copy of the values in one batch."""
        return _verdicts(self.make(), Samples(deepcopy(list(values))))


def gold_is_accepted(case: VerifierCase) -> None:
    """A verifier that rejects the known answer would make every method look bad."""
    law(len(case.gold) > 0, "the case must name a gold value.")
    for value, verdict in zip(case.gold, case.check(case.gold), strict=True):
        law(verdict.passed is True, f"the gold value {_short(value)} must pass, got {verdict!r}.")


def corrupted_is_rejected(case: VerifierCase) -> None:
    """Failed, and not undecided: it could tell."""
    law(len(case.corrupted) > 0, "the case must name a corrupted value.")
    for value, verdict in zip(case.corrupted, case.check(case.corrupted), strict=True):
        law(verdict.passed is False, f"the value {_short(value)} must fail, got {verdict!r}.")


def hostile_is_a_verdict(case: VerifierCase) -> None:
    """What a model writes is untrusted; it must never end the run."""
    for value in case.hostile:
        case.check([value])


def a_batch_equals_its_single_draws(case: VerifierCase) -> None:
    """One verdict a draw, whatever stands beside it; none for none."""
    values = case.all()
    for value, verdict in zip(values, case.check(values), strict=True):
        _law_of_equal(value, verdict, case.check([value])[0], "alone")
    case.check([])


def the_order_of_draws_is_irrelevant(case: VerifierCase) -> None:
    """The last draw first gives the last verdict first."""
    values = case.all()
    forwards, backwards = case.check(values), case.check(values[::-1])[::-1]
    for value, one, other in zip(values, forwards, backwards, strict=True):
        _law_of_equal(value, one, other, "in the reverse order")


def the_same_draw_gets_the_same_verdict(case: VerifierCase) -> None:
    """Also the second time, from the same object."""
    verifier, samples = case.make(), Samples(case.all())
    first, second = _verdicts(verifier, samples), _verdicts(verifier, samples)
    for value, one, other in zip(case.all(), first, second, strict=True):
        _law_of_equal(value, one, other, "the second time")


def draws_are_left_as_they_were(case: VerifierCase) -> None:
    """The samples go on to the choice and to the ledger."""
    samples = Samples(case.all())
    infos = deepcopy(samples.info)
    _verdicts(case.make(), samples)
    law(
        samples == Samples(case.all()) and list(samples.info) == infos,
        "check must leave the draws as they were, but their values or info changed.",
    )


def verdicts_can_be_recorded(case: VerifierCase) -> None:
    """Costs are not negative, and evidence is JSON-like."""
    for value, verdict in zip(case.all(), case.check(case.all()), strict=True):
        law_of_costs(verdict.cost, f"the check of {_short(value)}")
        law(
            is_json(verdict.evidence),
            f"the evidence for {_short(value)} must be JSON-like, got {verdict.evidence!r}.",
        )


def _verdicts(verifier: Verifier[Any], samples: Samples[Any]) -> list[Verdict]:
    """Return the verdicts; an exception, or not one Verdict a draw, breaks the law."""
    n = len(samples)
    shown = f"the draw {_short(samples.values[0])}" if n == 1 else f"{n} draws"
    try:
        verdicts = verifier.check(samples)
    except Exception as error:
        raise AssertionError(
            f"{shown} must get a verdict each, but check raised {type(error).__name__}: "
            f"{str(error)[:200]}"
        ) from error
    law(
        len(verdicts) == n and all(isinstance(verdict, Verdict) for verdict in verdicts),
        f"{shown} must get one Verdict each, got {len(verdicts)}: {_short(verdicts)}.",
    )
    return verdicts


def _law_of_equal(value: Any, one: Verdict, other: Verdict, when: str) -> None:
    law(
        (one.passed, one.score) == (other.passed, other.score),
        f"{_short(value)} must get the same verdict {when}, got {one!r} and {other!r}.",
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


LAWS = (
    gold_is_accepted,
    corrupted_is_rejected,
    hostile_is_a_verdict,
    a_batch_equals_its_single_draws,
    the_order_of_draws_is_irrelevant,
    the_same_draw_gets_the_same_verdict,
    draws_are_left_as_they_were,
    verdicts_can_be_recorded,
)
