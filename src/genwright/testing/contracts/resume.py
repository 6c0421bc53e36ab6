"""The law of resuming: a run of a strategy that was killed goes on where it stopped.

The strategy runs through the real runner and a ledger, once undisturbed and once for each cut: an
exception in mid-run, then a second attempt with the same ledger.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from genwright.core import Budget, Ledger, Outcome, Samples, Verdict, solve
from genwright.testing.contracts.sentences import law, same_draw

if TYPE_CHECKING:
    from genwright.testing.contracts.strategy import StrategyCase

CUTS = (1, 3, 6, 10)
"""After so many draws and checks together the next call kills the run."""

BUDGETS = (Budget(), Budget(verifier_calls=3), Budget(new_tokens=4))
"""A strategy must count what it spent before the kill as it would have counted it without."""


class _Killed(BaseException):
    """What kills a run; no strategy may catch it."""


@dataclass
class _Till:
    """Everything that was paid for, in order, and when the money is gone."""

    paid: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    cut: int | None = None

    def pay(self, *names: tuple[Any, ...]) -> None:
        if self.cut is not None and len(self.paid) >= self.cut:
            raise _Killed
        self.paid += names


@dataclass(frozen=True)
class _Paid:
    """A generator whose draws go through the till."""

    generator: Any
    till: _Till = field(repr=False, compare=False)

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[Any]:
        self.till.pay(*(("draw", repr(prompt), seed, first + i) for i in range(n)))
        return self.generator.sample(prompt, n, seed=seed, first=first)


@dataclass(frozen=True)
class _PaidSteerable(_Paid):
    def steered(self, *constraints: Any) -> "_PaidSteerable":
        return _PaidSteerable(self.generator.steered(*constraints), self.till)


@dataclass(frozen=True)
class _PaidVerifier:
    """A verifier whose checks go through the till."""

    verifier: Any
    till: _Till = field(repr=False, compare=False)

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        self.till.pay(*(("check", repr(value)) for value in samples.values))
        return self.verifier.check(samples)


def a_killed_run_resumes(case: "StrategyCase") -> None:
    """It ends as it would have ended, and pays for no draw and no check a second time."""
    for budget in BUDGETS:
        till = _Till()
        whole = _attempt(case, till, Ledger(), budget)
        for cut in CUTS:
            if cut < len(till.paid):
                _kill_and_resume(case, cut, budget, whole)


def _kill_and_resume(case: "StrategyCase", cut: int, budget: Budget, whole: Outcome[Any]) -> None:
    ledger, till = Ledger(), _Till(cut=cut)
    try:
        _attempt(case, till, ledger, budget)
    except _Killed:
        pass
    else:
        return  # the call that the cut was to stop was the last, and asked for nothing
    when = f"killed after {len(till.paid)} draws and checks and resumed,"
    before, till.cut = len(till.paid), None
    resumed = _attempt(case, till, ledger, budget)
    again = sorted({name for name in till.paid[before:] if name in till.paid[:before]})
    law(not again, f"{when} the strategy paid again for {again[:3]}; draw with the generator that "
        "run is given, and check with the task's verifier.")  # fmt: skip
    law(
        resumed.samples == whole.samples and resumed.stop is whole.stop,
        f"{when} the strategy made {len(resumed.samples)} draws and stopped with {resumed.stop}, "
        f"instead of {len(whole.samples)} and {whole.stop}; let it depend on nothing but its "
        "arguments.",
    )
    same = (
        resumed.chosen is whole.chosen
        if resumed.chosen is None or whole.chosen is None
        else same_draw(resumed.chosen, whole.chosen)
    )
    law(same, f"{when} the strategy chose {resumed.chosen!r} instead of {whole.chosen!r}.")


def _attempt(case: "StrategyCase", till: _Till, ledger: Ledger, budget: Budget) -> Outcome[Any]:
    """Run the case's one task; a second call with the ledger resumes."""
    kind = _PaidSteerable if hasattr(case.generator, "steered") else _Paid
    verifier = case.task.verifier
    paid = None if verifier is None else _PaidVerifier(verifier, till)
    task = replace(case.task, verifier=paid, key="the task")
    generator = kind(case.generator, till)
    return solve(
        [task], generator, case.make(), ledger=ledger, run_id="run", budget=budget, seed=3
    ).outcomes[0]
