"""The laws of draft sources: what guesses the next tokens of a draw.

That guesses change no draw is the engine's law; these are about the guesses.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from genwright.core import DraftSource, Guesses, Vocabulary
from genwright.testing.contracts.sentences import law


@dataclass(frozen=True, kw_only=True)
class DraftsCase:
    """A source, and draws to try it on.

    Args:
        make: returns the source, fresh each time.
        vocabulary: of the tokens.
        draws: (prompt, what was drawn); the source must come to guess the last draw's tokens when
            it has seen the others.
        secret: a prompt with tokens that stand in no other prompt or draw.
    """

    make: Callable[[], DraftSource]
    vocabulary: Vocabulary
    draws: Sequence[tuple[Sequence[int], Sequence[int]]]
    secret: Sequence[int]


def guesses_are_a_tree(case: DraftsCase) -> None:
    """Parents come first, odds never rise, no end token is guessed, and no more than asked."""
    for size in (1, 3, 64):
        for _, guesses in _all(case, case.make(), size):
            tokens, parents = list(guesses.tokens), list(guesses.parents)
            law(len(tokens) == len(parents), f"{tokens} have {len(parents)} parents.")
            law(len(tokens) <= size, f"{len(tokens)} guesses came where {size} were asked for.")
            law(all(-1 <= p < i for i, p in enumerate(parents)), f"parents {parents} are no tree.")
            law(
                all(0 <= t < len(case.vocabulary) for t in tokens),
                f"guesses {tokens} are not all ids of the vocabulary.",
            )
            law(not case.vocabulary.eos & set(tokens), f"guesses {tokens} hold an end token.")
            pairs = list(zip(parents, tokens, strict=True))
            law(len(set(pairs)) == len(pairs), f"a guess stands twice below one parent: {pairs}.")
            if guesses.odds is not None:
                _law_of_odds(guesses.odds, parents)


def _law_of_odds(odds: Sequence[float], parents: Sequence[int]) -> None:
    law(len(odds) == len(parents), f"{len(parents)} guesses have {len(odds)} odds.")
    for own, parent in zip(odds, parents, strict=True):
        law(0 <= own <= 1, f"odds must be between 0 and 1, got {own}.")
        law(parent < 0 or own <= odds[parent], f"{own} are better odds than the parent's.")


def what_was_seen_is_guessed(case: DraftsCase) -> None:
    """A source that guesses nothing would keep every other law."""
    right = 0
    prompt, drawn = case.draws[-1]
    source = case.make()
    for _ in _all(case, source, 16):
        pass
    for i, guesses in enumerate(_along(source, case.vocabulary, prompt, drawn, 16)):
        right += drawn[i] in [
            t for t, p in zip(guesses.tokens, guesses.parents, strict=True) if p < 0
        ]
    law(2 * right > len(drawn), f"of {len(drawn)} tokens seen before {right} were guessed.")


def a_prompt_is_its_own_draws_alone(case: DraftsCase) -> None:
    """What stands in one request's prompt is never guessed for another's."""
    source = case.make()
    secret = source.begin(case.vocabulary, case.secret)
    only = set(case.secret) - {t for prompt, drawn in case.draws for t in (*prompt, *drawn)}
    law(bool(only), "the case's secret must hold tokens of its own.")
    for prompt, drawn in case.draws:
        state = source.begin(case.vocabulary, prompt)
        for i in range(len(drawn) + 1):
            secret.draft([], 16, 0.0)
            told = only & set(state.draft(list(drawn[:i]), 64, 0.0).tokens)
            law(not told, f"tokens {sorted(told)} of another prompt were guessed.")
        state.end(list(drawn))
    secret.end([])


def no_size_is_no_guess(case: DraftsCase) -> None:
    """Where nothing may be guessed, nothing is."""
    for _, guesses in _all(case, case.make(), 0):
        law(not guesses.tokens, f"{list(guesses.tokens)} came where none were asked for.")


def _all(case: DraftsCase, source: DraftSource, size: int) -> Iterator[tuple[int, Guesses]]:
    """Yield the guesses at every place of every draw."""
    for prompt, drawn in case.draws:
        yield from enumerate(_along(source, case.vocabulary, prompt, drawn, size))


def _along(
    source: DraftSource,
    vocabulary: Vocabulary,
    prompt: Sequence[int],
    drawn: Sequence[int],
    size: int,
) -> Iterator[Guesses]:
    state = source.begin(vocabulary, prompt)
    for i in range(len(drawn)):
        yield state.draft(list(drawn[:i]), size, 0.0)
    state.end(list(drawn))


LAWS: tuple[Callable[[Any], None], ...] = (
    guesses_are_a_tree,
    what_was_seen_is_guessed,
    a_prompt_is_its_own_draws_alone,
    no_size_is_no_guess,
)
