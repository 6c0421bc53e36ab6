"""The laws of strategies: see `core.protocols.Strategy` and `core.task.Outcome`."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from genwright.core import (
    Budget,
    Cost,
    Generator,
    Outcome,
    Sample,
    Samples,
    Stop,
    Strategy,
    Task,
    Verdict,
    Verifier,
)
from genwright.testing.contracts.resume import a_killed_run_resumes
from genwright.testing.contracts.sentences import is_json, law, same_draw

LIMITS = (1, 2, 3, 5, 8)


@dataclass(frozen=True, kw_only=True)
class StrategyCase:
    """A strategy, and what to try it on.

    Args:
        make: returns the strategy.
        generator: any, such as `Uniform`; each of its draws must write at least one token for the
            law of budgets in tokens to bite.
        task: with a verifier where the strategy asks one.
        batch: the most draws of one call of the generator: the stated overshoot of budgets that are
            looked at between calls. Budgets in draws are exact.
    """

    make: Callable[[], Strategy]
    generator: Generator[Any]
    task: Task[Any]
    batch: int = 1

    def run(self, budget: Budget, seed: int = 3) -> "tuple[Outcome[Any], Watch]":
        """Run once on a copy of the task; return the outcome and what really happened."""
        watch = Watch()
        verifier = self.task.verifier
        task = replace(
            self.task,
            prompt=deepcopy(self.task.prompt),
            data=deepcopy(self.task.data),
            verifier=None if verifier is None else _WatchedVerifier(verifier, watch),
        )
        return self.make().run(_watched(self.generator, watch), task, budget, seed), watch


@dataclass
class Watch:
    """What passed between a strategy and what it was given.

    Args:
        drawn: every draw, in order.
        names: (prompt, seed, index) of every draw.
        checked: how many draws were checked.
    """

    drawn: Samples[Any] = field(default_factory=Samples[Any])
    names: list[tuple[str, int, int]] = field(default_factory=list[tuple[str, int, int]])
    checked: int = 0


@dataclass(frozen=True)
class _Watched:
    generator: Any
    watch: Watch

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[Any]:
        samples = self.generator.sample(prompt, n, seed=seed, first=first)
        self.watch.drawn += samples
        self.watch.names += [(repr(prompt), seed, first + i) for i in range(n)]
        return samples


class _WatchedSteerable(_Watched):
    def steered(self, *constraints: Any) -> "_WatchedSteerable":
        return _WatchedSteerable(self.generator.steered(*constraints), self.watch)


@dataclass(frozen=True)
class _WatchedVerifier:
    verifier: Verifier[Any]
    watch: Watch

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        self.watch.checked += len(samples)
        return self.verifier.check(samples)


def _watched(generator: Any, watch: Watch) -> _Watched:
    kind = _WatchedSteerable if hasattr(generator, "steered") else _Watched
    return kind(generator, watch)


def same_seed_gives_the_same_outcome(case: StrategyCase) -> None:
    """Draws, choice and reason."""
    (one, _), (two, _) = case.run(Budget()), case.run(Budget())
    law(one.samples == two.samples, "the same seed must give the same draws, got others.")
    law(one.stop is two.stop, f"the same seed must stop alike, got {one.stop} and {two.stop}.")
    chosen = [None if o.chosen is None else o.chosen.value for o in (one, two)]
    law(
        _same_choice(one, two),
        f"the same seed must choose the same draw, got {chosen[0]!r} and {chosen[1]!r}.",
    )


def every_draw_is_reported(case: StrategyCase) -> None:
    """`outcome.samples` is all that was drawn for the task's prompt, in order, at its whole cost.

    Draws for prompts of the strategy's own (plans, tests) may stand among them, or be left to the
    runner's account.
    """
    outcome, watch = case.run(Budget())
    own = repr(case.task.prompt)
    mine = Samples.of(
        s for s, (prompt, *_) in zip(watch.drawn, watch.names, strict=True) if prompt == own
    )
    reported = next((d for d in (watch.drawn, mine) if d == outcome.samples), None)
    law(
        reported is not None,
        f"the outcome must hold every draw in order: {len(mine)} were made for the task's prompt "
        f"and {len(watch.drawn)} in all, it holds {len(outcome.samples)}, or others.",
    )
    assert reported is not None
    law(
        outcome.samples.cost == reported.cost,
        f"the draws cost {reported.cost.as_dict()}, but the outcome says "
        f"{outcome.samples.cost.as_dict()}.",
    )


def no_draw_is_made_twice(case: StrategyCase) -> None:
    """Asking for a prompt, seed and index again gives the same draw again: paid for nothing."""
    _, watch = case.run(Budget())
    again = len(watch.names) - len(set(watch.names))
    law(again == 0, f"{again} draws were made twice; give `first`, or another seed.")


def the_choice_is_one_of_the_draws(case: StrategyCase) -> None:
    """Or made of some of them, or None. Tried under several budgets.

    A choice that is made of several draws (the steps of a solution) names them by number, in
    `info["draws"]`, and holds their texts in that order.
    """
    for budget in (Budget(), *(Budget(draws=limit) for limit in LIMITS)):
        outcome, _ = case.run(budget)
        chosen = outcome.chosen
        law(
            chosen is None
            or any(same_draw(chosen, sample) for sample in outcome.samples)
            or _is_made_of(chosen, outcome.samples),
            f"the chosen draw {chosen!r} is none of the {len(outcome.samples)} draws made, and "
            "names none that it is made of.",
        )


def a_budget_in_draws_is_exact(case: StrategyCase) -> None:
    """`Budget.room` makes it so."""
    free = len(case.run(Budget())[1].drawn)
    for limit in LIMITS:
        outcome, watch = case.run(Budget(draws=limit))
        got = len(watch.drawn)
        law(got <= limit, f"a budget of {limit} draws was spent on {got}; use Budget.room.")
        law(
            got == free or (got < free and outcome.stop is not Stop.COMPLETE),
            f"{got} of {free} draws were made under a budget of {limit}, so the stop must not be "
            "COMPLETE.",
        )


def other_budgets_are_overshot_by_one_call_at_most(case: StrategyCase) -> None:
    """Tokens: spent before the last batch is below the limit. Checks: below limit + batch."""
    for limit in LIMITS:
        _, watch = case.run(Budget(new_tokens=limit))
        costs = watch.drawn.costs
        before = sum(costs[: max(0, len(costs) - case.batch)], Cost()).new_tokens
        law(
            before < limit,
            f"under a budget of {limit} new tokens {before} were spent before the last batch of "
            f"{case.batch} draws began; look at the budget between calls.",
        )
        _, watch = case.run(Budget(verifier_calls=limit))
        law(
            watch.checked < limit + case.batch,
            f"under a budget of {limit} verifier calls {watch.checked} draws were checked, more "
            f"than one batch of {case.batch} past it.",
        )


def an_empty_budget_draws_nothing(case: StrategyCase) -> None:
    """And says that the budget was the reason."""
    outcome, watch = case.run(Budget(draws=0))
    law(len(watch.drawn) == 0, f"a budget of 0 draws was spent on {len(watch.drawn)}.")
    law(outcome.chosen is None, f"nothing was drawn, but {outcome.chosen!r} was chosen.")
    law(outcome.stop is Stop.BUDGET, f"with 0 draws the stop must be BUDGET, got {outcome.stop}.")


def the_task_is_left_as_it_was(case: StrategyCase) -> None:
    """Its prompt and its data."""
    task = replace(
        case.task, prompt=deepcopy(case.task.prompt), data=deepcopy(dict(case.task.data))
    )
    case.make().run(case.generator, task, Budget(), 3)
    law(task.prompt == case.task.prompt, f"run changed the prompt to {task.prompt!r}.")
    law(dict(task.data) == dict(case.task.data), f"run changed the data to {task.data!r}.")


def what_it_reports_can_be_recorded(case: StrategyCase) -> None:
    """`info` is JSON-like, and the reason is a `Stop`."""
    outcome, _ = case.run(Budget())
    law(isinstance(outcome.stop, Stop), f"the stop must be a Stop, got {outcome.stop!r}.")
    law(is_json(dict(outcome.info)), f"info must be JSON-like, got {outcome.info!r}.")


def _is_made_of(chosen: Sample[Any], samples: Samples[Any]) -> bool:
    """Tell whether the draws that a choice names stand in it, one after the other."""
    numbers: list[int] = list(chosen.info.get("draws", ()))
    if not numbers or not all(0 <= i < len(samples) for i in numbers):
        return False
    at, text = 0, str(chosen.value)
    for part in (str(samples[i].value).strip() for i in numbers):
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def _same_choice(one: Outcome[Any], two: Outcome[Any]) -> bool:
    if one.chosen is None or two.chosen is None:
        return one.chosen is two.chosen
    return same_draw(one.chosen, two.chosen)


LAWS = (
    same_seed_gives_the_same_outcome,
    every_draw_is_reported,
    no_draw_is_made_twice,
    the_choice_is_one_of_the_draws,
    a_budget_in_draws_is_exact,
    other_budgets_are_overshot_by_one_call_at_most,
    an_empty_budget_draws_nothing,
    the_task_is_left_as_it_was,
    what_it_reports_can_be_recorded,
    a_killed_run_resumes,
)
