"""The laws of learners: see `core.protocols.Learner`."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from genwright.core import Generator, Learner, codec
from genwright.testing.contracts.sentences import law


@dataclass(frozen=True, kw_only=True)
class LearnerCase:
    """A learner, a generator to teach, and what to teach it.

    Args:
        make: returns the learner, set to be quick.
        generator: returns the generator; a fresh one each time, where that is cheap.
        data: rows that it learns from.
        prompt: one to draw for before and after.
        n: draws that are compared.
        changes: whether learning from `data` changes those draws, their values or their
            log-probabilities.
    """

    make: Callable[[], Learner]
    generator: Callable[[], Generator[Any]]
    data: Sequence[Mapping[str, Any]]
    prompt: Any
    n: int = 3
    changes: bool = True

    def draw(self, generator: Any) -> Any:
        """Return draws for a copy of the prompt."""
        return generator.sample(deepcopy(self.prompt), self.n, seed=5)

    def fit(self, generator: Any) -> Any:
        """Teach it a copy of the data."""
        return self.make().fit(generator, deepcopy(list(self.data)), seed=5)


def the_generator_is_left_as_it_was(case: LearnerCase) -> None:
    """Before and after must stay comparable."""
    generator = case.generator()
    before = case.draw(generator)
    learned = case.fit(generator)
    law(learned is not generator, "fit must return a new generator, got its input.")
    law(isinstance(learned, Generator), f"fit must return a generator, got {type(learned)}.")
    case.draw(learned)
    after = case.draw(generator)
    law(after == before, f"fit changed its input generator: {before!r} became {after!r}.")


def the_same_seed_gives_the_same_result(case: LearnerCase) -> None:
    """From generators that are equal, and from the same one twice."""
    generator = case.generator()
    one = case.draw(case.fit(generator))
    for which, again in (("the same generator", generator), ("an equal one", case.generator())):
        other = case.draw(case.fit(again))
        law(
            other == one,
            f"the same seed must give the same result from {which}, got {one!r} and {other!r}.",
        )


def the_data_is_left_as_it_was(case: LearnerCase) -> None:
    """Rows are used again, by the next round or by another learner."""
    data = deepcopy(list(case.data))
    case.make().fit(case.generator(), data, seed=5)
    same = codec.digest(data) == codec.digest(list(case.data))  # a row may hold arrays
    law(same, "fit changed the rows it learned from.")


def something_is_learned(case: LearnerCase) -> None:
    """A learner that returns a copy keeps every other law."""
    if not case.changes:
        return
    generator = case.generator()
    before = case.draw(generator)
    law(case.draw(case.fit(generator)) != before, f"fit learned nothing: still {before!r}.")


LAWS: tuple[Callable[[Any], None], ...] = (
    the_generator_is_left_as_it_was,
    the_same_seed_gives_the_same_result,
    the_data_is_left_as_it_was,
    something_is_learned,
)
