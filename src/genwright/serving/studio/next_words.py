"""The likeliest next pieces of text, and what each filter takes away from them.

The last token of a text is asked for again (`passage.py`), so there are two ways on from the
cursor: a longer token in its place, or the same token and another after it. Both are weighed with
the model's own probabilities and put together, so that a piece of text has one number however it is
cut into tokens.

Ours throughout. With t the text that is asked for again, c what stands before it, and x | c the
probability of token x after c,

    P(s) = [ P(ts | c) + P(t | c) P(s | c, t) ] / sum over tokens u that begin with t of P(u | c)

is the probability of the piece s; filters keep some ways, and what is kept is scaled to 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import ConstraintState, Vocabulary
from genwright.serving.studio.passage import Stand
from genwright.serving.studio.pieces import Pieces

LOOKED_AT = 4
"""Ways looked at for each piece shown: two ways may spell the same piece."""


@dataclass(frozen=True, eq=False)
class Listening:
    """A shaper that changes nothing and keeps the odds of the first token it sees, by prompt."""

    heard: dict[tuple[int, ...], NDArray[np.float64]] = field(
        default_factory=dict[tuple[int, ...], NDArray[np.float64]]
    )

    def start(self, vocabulary: Vocabulary, prompt: Sequence[int]) -> "_Ear":
        """Return the state of one draw."""
        return _Ear(self.heard, tuple(prompt))


class _Ear:
    def __init__(
        self, heard: dict[tuple[int, ...], NDArray[np.float64]], prompt: tuple[int, ...]
    ) -> None:
        self._heard, self._prompt = heard, prompt

    def shape(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._prompt not in self._heard:
            odds = np.exp(logits.astype(np.float64) - logits.max())
            self._heard[self._prompt] = odds / odds.sum()
        return logits

    def advance(self, token: int) -> None:
        return


@dataclass(frozen=True, eq=False)
class Ways:
    """The ways on from a cursor.

    Args:
        ids: the last token of each way.
        skip: bytes of that token that stand before the cursor.
        odds: float64[R], the model's probability of each way; they sum to 1.
        allowed: bool[F, R], by which filters.
    """

    ids: NDArray[np.intp]
    skip: NDArray[np.intp]
    odds: NDArray[np.float64]
    allowed: NDArray[np.bool_]


def prompts(begin: Sequence[int], place: Stand, pieces: Pieces) -> list[list[int]]:
    """Return the prompts whose odds `ways` needs: before and after what is asked for again."""
    before = [*begin, *place.tokens]
    token = pieces.spelling(place.pending) if place.pending else None
    return [before] if token is None else [before, [*before, token]]


def ways(odds: Sequence[NDArray[np.float64]], place: Stand, pieces: Pieces) -> Ways:
    """Weigh every way on.

    Args:
        odds: float64[V] after each of the prompts.
        place: where the passage stands.
        pieces: of the vocabulary.
    """
    after = np.union1d(pieces.written, np.array(sorted(pieces.vocabulary.eos), np.intp))
    if not place.pending:
        return _joined([_some(after, 0, odds[0], 1.0, _masks(place.states))])
    whole = pieces.beginning_with(place.pending)
    total = float(odds[0][whole].sum()) or 1.0
    again = pieces.spelling(place.pending)
    masks = _masks(place.states)
    longer = whole if again is None else whole[whole != again]
    parts = [_some(longer, len(place.pending), odds[0], 1 / total, masks)]
    if again is not None:
        following = [_after(state, again, len(odds[0])) for state in place.states]
        weight = float(odds[0][again]) / total / float(odds[1][after].sum())
        parts.append(_some(after, 0, odds[1], weight, following))
    return _joined(parts)


def _masks(states: Sequence[ConstraintState]) -> list[NDArray[np.bool_]]:
    return [state.mask() for state in states]


def _after(state: ConstraintState, token: int, width: int) -> NDArray[np.bool_]:
    """Return what a filter allows after a token; nothing where it does not allow the token."""
    if not state.mask()[token]:
        return np.zeros(width, np.bool_)
    after = state.fork()
    after.advance(token)
    return after.mask()


def _some(
    ids: NDArray[np.intp],
    skip: int,
    odds: NDArray[np.float64],
    weight: float,
    masks: Sequence[NDArray[np.bool_]],
) -> Ways:
    allowed = np.array([mask[ids] for mask in masks], np.bool_).reshape(len(masks), len(ids))
    return Ways(ids, np.full(len(ids), skip, np.intp), odds[ids] * weight, allowed)


def _joined(parts: Sequence[Ways]) -> Ways:
    odds = np.concatenate([part.odds for part in parts])
    return Ways(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.skip for part in parts]),
        odds / (odds.sum() or 1.0),
        np.concatenate([part.allowed for part in parts], axis=1),
    )


def told(found: Ways, pieces: Pieces, top: int) -> dict[str, Any]:
    """Return what a page shows.

    Args:
        found: the ways on.
        pieces: of the vocabulary.
        top: the most pieces of each list.

    Returns:
        `words` (text, probability `p` among what is allowed, `raw` probability), `removed` (text,
        `raw`, `by`: the indices of the filters), `filters` (`removed`: how many ways each takes
        away, `mass`: how much probability), `allowed` of `ways`, and `mass`, what is left in all.
    """
    every = found.allowed.all(axis=0)
    left = float(found.odds[every].sum())
    words = _by_text(found, np.flatnonzero(every), pieces, top)
    kept = {word["bytes"] for word in words}
    removed = [
        word
        for word in _by_text(found, np.flatnonzero(~every), pieces, top)
        if word["bytes"] not in kept  # it may still be spelt another way
    ]
    for word in words:
        word["p"] = word["raw"] / left if left else 0.0
        del word["by"]
    for word in (*words, *removed):
        del word["bytes"]
    filters = [
        {"removed": int((~allowed).sum()), "mass": float(found.odds[~allowed].sum())}
        for allowed in found.allowed
    ]
    counts = {"allowed": int(every.sum()), "ways": len(found.ids), "mass": left}
    return {"words": words, "removed": removed, "filters": filters, **counts}


def _by_text(found: Ways, rows: NDArray[np.intp], pieces: Pieces, top: int) -> list[dict[str, Any]]:
    """Return the likeliest pieces of text among some ways, the likeliest first."""
    likeliest = rows[np.argsort(-found.odds[rows], kind="stable")[: top * LOOKED_AT]]
    merged: dict[bytes, dict[str, Any]] = {}
    ends = pieces.vocabulary.eos
    for row in likeliest.tolist():
        token = int(found.ids[row])
        data = bytes(pieces.vocabulary.tokens[token][int(found.skip[row]) :])
        by = set(np.flatnonzero(~found.allowed[:, row]).tolist())
        word = merged.setdefault(
            data, {"bytes": data, **_shown(data, end=token in ends), "raw": 0.0, "by": by}
        )
        word["raw"] += float(found.odds[row])
        word["by"] = sorted(set(word["by"]) | by)
    return sorted(merged.values(), key=lambda word: -word["raw"])[:top]


def _shown(data: bytes, *, end: bool) -> dict[str, Any]:
    """Return a piece's text; what is no whole character, and the end, cannot be put in."""
    if end:
        return {"text": "", "kind": "end"}
    try:
        return {"text": data.decode(), "kind": "text"}
    except UnicodeDecodeError:
        return {"text": data.hex(" "), "kind": "bytes"}
