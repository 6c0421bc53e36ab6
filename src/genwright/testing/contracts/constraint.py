"""The laws of constraints: see `core.protocols.Constraint` and `ConstraintState`.

They are tried on random walks: from the empty draw, one allowed token after another, each equally
likely, with the end preferred where it is allowed so that walks come to an end.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import Constraint, ConstraintState, Vocabulary, uniform
from genwright.testing.contracts.sentences import law

TRIED = 40
"""How many allowed tokens are tried at each step; all of them where there are fewer."""


@dataclass(frozen=True, kw_only=True)
class ConstraintCase:
    """A constraint, a vocabulary to compile it for, and texts of which the answer is known.

    Args:
        make: returns the constraint.
        vocabulary: of any tokenizer.
        members: texts that belong to the set.
        outsiders: texts that do not.
        accepts: tells whether finished bytes belong to the set, from another source than the
            constraint; walks that end are checked with it. None where there is no other source.
        walks: how many random walks.
        longest: the most tokens of a walk; a walk that gets there is left unfinished.
    """

    make: Callable[[], Constraint]
    vocabulary: Vocabulary
    members: Sequence[str]
    outsiders: Sequence[str] = ()
    accepts: Callable[[bytes], bool] | None = None
    walks: int = 20
    longest: int = 60

    def start(self) -> ConstraintState:
        """Return the state of the empty draw."""
        return self.make().compile(self.vocabulary).start()

    def states(self) -> Iterator[tuple[list[int], ConstraintState]]:
        """Yield (tokens so far, state) along every walk; the state must be left where it is."""
        compiled = self.make().compile(self.vocabulary)
        eos = sorted(self.vocabulary.eos)
        for walk in range(self.walks):
            state, tokens = compiled.start(), list[int]()
            for step in range(self.longest):
                yield tokens, state
                mask = state.mask()
                ends = bool(mask[eos].any())
                choices = np.setdiff1d(np.flatnonzero(mask), eos)
                if not len(choices) or (ends and uniform(walk, "end", step) < 0.5):
                    break
                token = int(choices[int(uniform(walk, step) * len(choices))])
                self.advance(state, tokens, token)
                tokens = [*tokens, token]

    def advance(self, state: ConstraintState, tokens: Sequence[int], token: int) -> None:
        """Move on from `tokens` by one more that the mask allows.

        Raises:
            AssertionError: it is refused.
        """
        try:
            state.advance(token)
        except Exception as error:
            raise AssertionError(
                f"after {_text(self, tokens)} the mask allows {_text(self, [token])}, but "
                f"advance raised {type(error).__name__}: {error}"
            ) from error


def masks_have_the_shape_of_the_vocabulary(case: ConstraintCase) -> None:
    """bool[V]."""
    mask = case.start().mask()
    law(
        mask.shape == (len(case.vocabulary),) and mask.dtype == np.bool_,
        f"mask must be bool[{len(case.vocabulary)}], got {mask.dtype}{list(mask.shape)}.",
    )


def there_is_always_a_way_on(case: ConstraintCase) -> None:
    """At every state some token is allowed, if only the end."""
    for tokens, state in case.states():
        law(bool(state.mask().any()), f"after {_text(case, tokens)} no token is allowed.")


def accepting_means_that_the_mask_allows_the_end(case: ConstraintCase) -> None:
    """And only then."""
    eos = sorted(case.vocabulary.eos)
    for tokens, state in case.states():
        allowed = bool(state.mask()[eos].any())
        law(
            state.accepting == allowed,
            f"after {_text(case, tokens)} accepting is {state.accepting}, but the mask "
            f"{'allows' if allowed else 'forbids'} the end.",
        )


def allowed_tokens_can_be_taken(case: ConstraintCase) -> None:
    """`advance` accepts what `mask` allows."""
    for tokens, state in case.states():
        for token in _some_allowed(case, state.mask(), len(tokens)):
            case.advance(state.fork(), tokens, token)


def forks_are_independent(case: ConstraintCase) -> None:
    """Advancing a fork leaves the original, and advancing the original leaves the fork."""
    for tokens, state in case.states():
        before = state.mask().copy()
        for token in _some_allowed(case, before, len(tokens))[:2]:
            fork = state.fork()
            law(
                np.array_equal(fork.mask(), before),
                f"after {_text(case, tokens)} a fork allows other tokens than its original.",
            )
            case.advance(fork.fork(), tokens, token)
            law(
                np.array_equal(fork.mask(), before) and np.array_equal(state.mask(), before),
                f"after {_text(case, tokens)} advancing a fork changed its original.",
            )
            kept = fork.fork()
            case.advance(fork, tokens, token)
            law(
                np.array_equal(kept.mask(), before),
                f"after {_text(case, tokens)} advancing the original changed its fork.",
            )


def draws_do_not_share_a_state(case: ConstraintCase) -> None:
    """Every `start` of one compiled constraint stands at the empty draw."""
    compiled = case.make().compile(case.vocabulary)
    before = compiled.start().mask().copy()
    walked = compiled.start()
    for token in _some_allowed(case, before, 0)[:1]:
        case.advance(walked, [], token)
    law(
        np.array_equal(compiled.start().mask(), before),
        "a draw that advanced changed where the next one starts.",
    )


def forced_tokens_agree_with_the_masks(case: ConstraintCase) -> None:
    """Each is allowed in its turn, no other text can follow, and the state stays where it is."""
    for tokens, state in case.states():
        where = f"after {_text(case, tokens)}"
        before = state.mask().copy()
        forced = state.forced()
        law(np.array_equal(state.mask(), before), f"{where} forced() moved the state.")
        if not forced:
            continue
        law(not state.accepting, f"{where} the draw may end, so nothing is forced.")
        text = case.vocabulary.decode(forced)
        for token in _some_allowed(case, before, len(tokens)):
            piece = case.vocabulary.tokens[token]
            law(
                piece.startswith(text) or text.startswith(piece),
                f"{where} {text!r} is forced, but {piece!r} is allowed.",
            )
        follower = state.fork()
        for token in forced:
            law(
                bool(follower.mask()[token]),
                f"{where} {text!r} is forced, but its token {_text(case, [token])} is forbidden.",
            )
            case.advance(follower, tokens, token)


def finished_walks_belong_to_the_set(case: ConstraintCase) -> None:
    """Some walks end, and each that does is in the set, by another source where there is one."""
    finished = 0
    for tokens, state in case.states():
        if state.accepting:
            finished += 1
            text = case.vocabulary.decode(tokens)
            law(
                case.accepts is None or case.accepts(text),
                f"{text!r} is allowed to end, but it does not belong to the set.",
            )
    law(finished > 0, f"none of {case.walks} walks of {case.longest} tokens could end.")


def members_are_allowed_and_outsiders_are_not(case: ConstraintCase) -> None:
    """Token by token, as the tokenizer writes them."""
    law(len(case.members) > 0, "the case must name a member of the set.")
    for text in case.members:
        law(_allows(case, text), f"{text!r} belongs to the set, but the masks forbid it.")
    for text in case.outsiders:
        law(not _allows(case, text), f"{text!r} does not belong to the set, but may be drawn.")


def _allows(case: ConstraintCase, text: str) -> bool:
    state = case.start()
    for token in case.vocabulary.encode(text):
        if not state.mask()[token]:
            return False
        case.advance(state, [], token)
    return state.accepting


def _some_allowed(case: ConstraintCase, mask: NDArray[np.bool_], seed: int) -> list[int]:
    """Return at most `TRIED` of the allowed tokens, end tokens left out."""
    allowed = np.setdiff1d(np.flatnonzero(mask), sorted(case.vocabulary.eos))
    order = sorted(range(len(allowed)), key=lambda i: uniform(seed, int(allowed[i])))
    return [int(allowed[i]) for i in order[:TRIED]]


def _text(case: ConstraintCase, tokens: Sequence[int]) -> str:
    return repr(case.vocabulary.decode(tokens)) if tokens else "nothing"


LAWS: tuple[Callable[[Any], None], ...] = (
    masks_have_the_shape_of_the_vocabulary,
    there_is_always_a_way_on,
    accepting_means_that_the_mask_allows_the_end,
    allowed_tokens_can_be_taken,
    forks_are_independent,
    draws_do_not_share_a_state,
    forced_tokens_agree_with_the_masks,
    finished_walks_belong_to_the_set,
    members_are_allowed_and_outsiders_are_not,
)
