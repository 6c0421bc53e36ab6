"""Cases of strategies."""

from dataclasses import replace

from case_parts import PENS, cls

from genwright.core import Task
from genwright.testing import Passes, StrategyCase, Uniform


def strategy(name, **settings):
    kind = cls("strategy", name)
    return StrategyCase(
        make=lambda: kind(**settings),
        generator=Uniform("3577"),
        task=Task("p", Passes(lambda value: value == "7")),
        batch=settings.get("batch", 1),
    )


def strategy__single():
    return strategy("single")


def strategy__majority_vote():
    return strategy("majority_vote", k=9, batch=3)


def strategy__best_of_n():
    return strategy("best_of_n", n=9, batch=3)


def strategy__repeated_sampling():
    return strategy("repeated_sampling", n=9, batch=3, stop_on_pass=False)


def strategy__sequential():
    return strategy("sequential", n=9)


def strategy__auto():
    return strategy("auto", n=9, batch=3)


class ProgramsAndTests:
    """Draws programs, or tests where the prompt asks for them."""

    def sample(self, prompt, n, *, seed, first=0):
        tests = ["f(1) == 2", "f(1) == 1", "f(0) == 0"]
        programs = ["    return x + 1\n", "    return x\n", "    return -x\n"]
        values = tests if prompt.endswith("assert ") else programs
        return Uniform(values).sample(prompt, n, seed=seed, first=first)


def strategy__tested_selection(sandbox):
    kind = cls("strategy", "tested_selection")
    return StrategyCase(
        make=lambda: kind(n=5, m=4, batch=2, sandbox=sandbox),
        generator=ProgramsAndTests(),
        task=Task("def f(x):\n", data={"entry_point": "f"}),
        batch=2,
    )


def strategy__unanimity_plurality():
    case = strategy("unanimity_plurality", k=9, batch=3)
    chains = [PENS.format("by #1 #2", 6), PENS.format("by #1", 6), PENS.format("by #1", 8), "7"]
    return replace(case, generator=Uniform(chains))


def strategy__complex_vote():
    case = strategy("complex_vote", n=9, batch=3)
    return replace(case, generator=Uniform(["a\nb\n7", "a\n5", "3"]))


def strategy__nsga2():
    kind = cls("strategy", "nsga2")
    return StrategyCase(
        make=lambda: kind(parents=2, children=3, generations=3),
        generator=Uniform("3577"),
        task=Task("p", Passes(lambda value: value == "7")),
        batch=3,
    )


def steps(name, **settings):
    """Digits until an end; a sum of seven passes."""
    kind = cls("strategy", name)

    def seven(text):
        return sum(int(c) for c in text if c.isdigit()) == 7

    return StrategyCase(
        make=lambda: kind(final="=", depth=4, **settings),
        generator=Uniform("235="),
        task=Task("p", Passes(seven)),
        batch=6,
    )


def strategy__step_mcts():
    return steps("step_mcts", simulations=12, children=3, leaves=2)


def strategy__step_beam():
    return steps("step_beam", b1=2, b2=3)
