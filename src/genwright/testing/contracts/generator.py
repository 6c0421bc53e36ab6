"""The laws of generators: see `core.protocols.Generator`."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from math import isnan
from typing import Any

from genwright.core import Generator, Samples
from genwright.testing.contracts.sentences import law, law_of_costs, same_draw

SEEDS = range(20)


@dataclass(frozen=True, kw_only=True)
class GeneratorCase:
    """A generator and a prompt to try it on.

    Args:
        make: returns the generator; a fresh one each time, where that is cheap.
        prompt: one that it can answer.
        n: draws of the longest call; at least 2. A record must hold as many.
        random: whether the draws differ. The likeliest draw of the prompt should have a probability
            of at most one half: 20 draws are then all equal by chance in 1 of 524,288 cases.
    """

    make: Callable[[], Generator[Any]]
    prompt: Any
    n: int = 5
    random: bool = True

    def draw(self, generator: Generator[Any], n: int, seed: int = 7, first: int = 0) -> Samples:
        """Return draws for a copy of the prompt, so that no law spoils it for the next."""
        return generator.sample(deepcopy(self.prompt), n, seed=seed, first=first)


def same_seed_gives_the_same_draws(case: GeneratorCase) -> None:
    """Also after other draws, and from a generator made anew."""
    generator = case.make()
    before = case.draw(generator, case.n)
    case.draw(generator, case.n, seed=8)
    for which, again in (("the same", generator), ("another such", case.make())):
        law(
            case.draw(again, case.n) == before,
            f"seed 7 must give the same draws again from {which} generator, "
            f"got {case.draw(again, case.n)!r} after {before!r}.",
        )


def draws_do_not_depend_on_how_they_are_asked_for(case: GeneratorCase) -> None:
    """`sample(a + b)` equals `sample(a) + sample(b, first=a)` for every cut."""
    generator = case.make()
    whole = case.draw(generator, case.n)
    for cut in range(case.n + 1):
        head, tail = case.draw(generator, cut), case.draw(generator, case.n - cut, first=cut)
        law(
            head + tail == whole,
            f"sample({case.n}) must equal sample({cut}) + sample({case.n - cut}, first={cut}), "
            f"got {whole!r} and {head + tail!r}.",
        )


def as_many_draws_as_asked_for(case: GeneratorCase) -> None:
    """Also none at all."""
    generator = case.make()
    for n in (0, 1, case.n):
        got = len(case.draw(generator, n))
        law(got == n, f"sample(n={n}) must return {n} draws, got {got}.")


def costs_add_up(case: GeneratorCase) -> None:
    """One draw costs one draw, and nothing costs less than nothing."""
    drawn = case.draw(case.make(), case.n)
    for i, sample in enumerate(drawn):
        law(sample.cost.draws == 1, f"draw {i} must cost draws=1, got {sample.cost.draws}.")
        law_of_costs(sample.cost, f"draw {i}")
    law(drawn.cost.draws == case.n, f"{case.n} draws must cost {case.n}, got {drawn.cost.draws}.")


def log_probabilities_are_numbers(case: GeneratorCase) -> None:
    """None where unknown; never NaN."""
    for i, value in enumerate(case.draw(case.make(), case.n).logprobs or ()):
        law(value is None or not isnan(value), f"the log-probability of draw {i} is NaN.")


def the_prompt_is_left_as_it_was(case: GeneratorCase) -> None:
    """A prompt may be a list of messages that the caller uses again."""
    prompt = deepcopy(case.prompt)
    case.make().sample(prompt, case.n, seed=7)
    law(prompt == case.prompt, f"sample changed its prompt from {case.prompt!r} to {prompt!r}.")


def a_stream_gives_the_same_draws(case: GeneratorCase) -> None:
    """Where there is `stream`: each index once, each draw as `sample` gives it."""
    generator: Any = case.make()
    if not hasattr(generator, "stream"):
        return
    whole = case.draw(generator, case.n)
    found = list(generator.stream(deepcopy(case.prompt), case.n - 1, seed=7, first=1))
    indices = sorted(k for k, _ in found)
    wanted = list(range(1, case.n))
    law(indices == wanted, f"stream must yield the indices {wanted} once each, got {indices}.")
    for k, sample in found:
        law(
            same_draw(sample, whole[k]),
            f"stream must yield draw {k} as sample gives it, got {sample!r} and {whole[k]!r}.",
        )


def draws_differ(case: GeneratorCase) -> None:
    """Where the generator is random: between seeds, and within one call."""
    if not case.random:
        return
    generator = case.make()
    firsts = [case.draw(generator, 1, seed=seed) for seed in SEEDS]
    law(
        any(one != firsts[0] for one in firsts),
        f"{len(SEEDS)} seeds all gave the same first draw, {firsts[0]!r}; does it use its seed?",
    )
    rows = [case.draw(generator, case.n, seed=seed) for seed in range(-(-20 // (case.n - 1)))]
    law(
        any(not same_draw(sample, row[0]) for row in rows for sample in row),
        f"all {case.n} draws of a call were equal, for {len(rows)} seeds; does draw k use "
        "child_seed(seed, k)?",
    )


LAWS = (
    same_seed_gives_the_same_draws,
    draws_do_not_depend_on_how_they_are_asked_for,
    as_many_draws_as_asked_for,
    costs_add_up,
    log_probabilities_are_numbers,
    the_prompt_is_left_as_it_was,
    a_stream_gives_the_same_draws,
    draws_differ,
)
