"""The live hypotheses of one NeuroLogic search: pruned, grouped and selected; see `neurologic.py`.

Lu et al. 2021, arXiv:2010.12884, Section 2.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from genwright.core import Constraint, ConstraintState, Vocabulary
from genwright.generators.language.hypotheses import Found
from genwright.steering.compose import CompiledIntersection
from genwright.steering.logic import CNF, State
from genwright.steering.words_ahead import WordsAhead

if TYPE_CHECKING:
    from torch import Tensor

    from genwright.steering.neurologic import NeurologicBeam


@dataclass(frozen=True, eq=False)
class _Hypothesis:
    """One beginning: `state` of the formula, `steered` of the constraints."""

    tokens: tuple[int, ...]
    logprob: float
    state: State
    steered: ConstraintState


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A continuation of hypothesis `row` by `token`; `rank` decides within a group."""

    row: int
    token: int
    logprob: float
    state: State
    met: int
    group: frozenset[int]
    rank: float


class LogicFront:
    """The live hypotheses of one search.

    Args:
        settings: of the search.
        vocabulary: of the model.
        limit: the most tokens of a text.
    """

    def __init__(self, settings: "NeurologicBeam", vocabulary: Vocabulary, limit: int) -> None:
        self._settings, self._vocabulary, self._limit = settings, vocabulary, limit
        self._words = words = words_ahead(settings.cnf, vocabulary)
        self._logic = words.logic
        self._eos = sorted(vocabulary.eos)
        self._ends = _ends(vocabulary, settings.ends) if settings.ends else frozenset[int]()
        constraints: Sequence[Constraint] = settings.constraints
        self._steers = bool(constraints)
        start = CompiledIntersection([c.compile(vocabulary) for c in constraints]).start()
        self._live = [_Hypothesis((), 0.0, words.logic.begin, start)]
        self._finished: list[tuple[int, float, Found]] = []

    def expand(self, logits_BV: "Tensor", totals_B: "Tensor") -> list[tuple[int, int]]:
        """Choose the next hypotheses: prune, group, select; see the module."""
        scores_BV, floor, best = self._scored(logits_BV, totals_B)
        candidates: list[_Candidate] = []
        for row, hypothesis in enumerate(self._live):
            candidates += self._continued(row, hypothesis, scores_BV[row], floor, best)
        chosen = _select(candidates, self._settings.beam, self._settings.tolerance)
        if self._is_done(best):
            return []
        self._live = [self._grown(candidate) for candidate in chosen]
        if self._live and len(self._live[0].tokens) == self._limit:
            for hypothesis in self._live:
                accepting = not self._steers or hypothesis.steered.accepting
                self._finish(hypothesis, hypothesis.logprob, "length", accepting)
            return []
        return [(candidate.row, candidate.token) for candidate in chosen]

    def found(self) -> list[Found]:
        """Return finished texts: those that satisfy the most clauses first, then the best."""
        texts: dict[str, Found] = {}
        for _, _, one in sorted(self._finished, key=lambda f: f[:2], reverse=True):
            texts.setdefault(one.text, one)
        return list(texts.values())

    def _scored(
        self, logits_BV: "Tensor", totals_B: "Tensor"
    ) -> tuple["Tensor", float, tuple[float, float]]:
        """Return log-probabilities of all continuations, and where they are cut.

        The cuts are the least that is not pruned, and (the least of the `beam` best, the best).
        """
        import torch

        prior = torch.tensor([h.logprob for h in self._live], dtype=torch.float64)
        scores_BV = logits_BV.double() + (prior - totals_B.double())[:, None]
        for row, hypothesis in enumerate(self._live):
            if self._steers:
                refused = torch.tensor(~hypothesis.steered.mask())
                scores_BV[row].masked_fill_(refused, float("-inf"))
            if len(hypothesis.tokens) < self._settings.min_tokens:
                scores_BV[row, [*self._eos, *self._ends]] = float("-inf")
            if repeats := _repeats(hypothesis.tokens, self._settings.ngram):
                scores_BV[row, repeats] = float("-inf")
        prune, beam = self._settings.prune, self._settings.beam
        wide = min(max(prune, beam), scores_BV.shape[1])
        rows = scores_BV.topk(wide).values.flatten().sort(descending=True)
        ordered: list[float] = rows.values.tolist()  # pyright: ignore
        floor = ordered[min(prune, len(ordered)) - 1] if prune else float("-inf")
        return scores_BV, floor, (ordered[min(beam, len(ordered)) - 1], ordered[0])

    def _continued(
        self,
        row: int,
        hypothesis: _Hypothesis,
        scores_V: "Tensor",
        floor: float,
        best: tuple[float, float],
    ) -> list[_Candidate]:
        """Return a hypothesis's continuations that are worth a look; finish those that end."""
        beam = self._settings.beam
        early = int(beam * self._settings.early_stop)
        likely = scores_V.topk(min(max(beam, early), len(scores_V)))
        ids: list[int] = likely.indices.tolist()  # pyright: ignore
        values: list[float] = likely.values.tolist()  # pyright: ignore
        scores = dict(zip(ids, values, strict=True))
        ending = set(list(scores)[:early])
        wanted = self._words.tokens(hypothesis.state)
        looked_at = [*list(scores)[:beam], *sorted(wanted - scores.keys())]
        looked_at += [t for t in ending - set(looked_at) if t in self._ends or t in self._eos]
        found: list[_Candidate] = []
        for token in looked_at:
            score = scores[token] if token in scores else float(scores_V[token])
            if score == float("-inf"):
                continue
            taken = score >= best[0] or token in ending
            if token in self._vocabulary.eos:
                if taken and self._logic.complete(hypothesis.state):
                    self._finish(hypothesis, score, "stop")
                continue
            after = self._words.advance(hypothesis.state, token)
            if token in self._ends:
                if taken and self._logic.complete(after):
                    self._end_with(hypothesis, token, score, after)
            elif score >= floor and not self._words.doomed(after):
                found.append(self._candidate(row, token, score, after, len(hypothesis.tokens) + 1))
        return found

    def _candidate(
        self, row: int, token: int, score: float, state: State, length: int
    ) -> _Candidate:
        met = sum(status.met for status in self._logic.status(state))
        rank = score / length
        if self._settings.beta:
            rank += self._settings.beta * self._words.progress(state)
        return _Candidate(row, token, score, state, met, self._words.said(state), rank)

    def _grown(self, candidate: _Candidate) -> _Hypothesis:
        parent = self._live[candidate.row]
        steered = parent.steered
        if self._steers:
            steered = steered.fork()
            steered.advance(candidate.token)
        tokens = (*parent.tokens, candidate.token)
        return _Hypothesis(tokens, candidate.logprob, candidate.state, steered)

    def _end_with(self, parent: _Hypothesis, token: int, score: float, state: State) -> None:
        """Finish with a token that ends a text, where the constraints let it end there."""
        steered = parent.steered
        if self._steers:
            steered = steered.fork()
            steered.advance(token)
        ended = _Hypothesis((*parent.tokens, token), score, state, steered)
        if not self._steers or steered.accepting:
            self._finish(ended, score, "stop")

    def _finish(
        self, hypothesis: _Hypothesis, logprob: float, finish: str, accepting: bool = True
    ) -> None:
        """Keep a finished text among the `beam` best, as the paper orders them."""
        status = self._logic.status(hypothesis.state)
        met, length = sum(s.met for s in status), max(len(hypothesis.tokens), 1)
        text = self._vocabulary.decode(hypothesis.tokens).decode("utf-8", "replace")
        complete = accepting and met == len(status)
        one = Found(hypothesis.tokens, text, logprob, finish, complete, {"met": met})
        score = logprob / length**self._settings.length_penalty
        self._finished.append((met, score, one))
        self._finished.sort(key=lambda f: f[:2], reverse=True)
        del self._finished[self._settings.beam :]

    def _is_done(self, best: tuple[float, float]) -> bool:
        """Whether no hypothesis could still beat the finished texts, as far as one can tell."""
        if len(self._finished) < self._settings.beam:
            return False
        length = len(self._live[0].tokens) + 1
        return self._finished[-1][1] >= best[1] / length**self._settings.length_penalty


def _select(candidates: list[_Candidate], beam: int, tolerance: int) -> list[_Candidate]:
    """Return the best of every group, then the second of every group, until the beam is full."""
    most = max((c.met for c in candidates), default=0)
    groups: dict[frozenset[int], list[_Candidate]] = {}
    for one in sorted(candidates, key=lambda c: c.rank, reverse=True):
        if one.met >= most - tolerance:
            groups.setdefault(one.group, []).append(one)
    place = {id(c): i for group in groups.values() for i, c in enumerate(group)}
    kept = [c for group in groups.values() for c in group]
    return sorted(kept, key=lambda c: (place[id(c)], -c.rank))[:beam]


def _repeats(tokens: tuple[int, ...], size: int) -> list[int]:
    """Return the tokens that would write `size` tokens in a row a second time."""
    if not size or len(tokens) < size:
        return []
    last = tokens[len(tokens) - size + 1 :]
    spots = range(len(tokens) - size + 1)
    return [tokens[i + size - 1] for i in spots if tokens[i : i + size - 1] == last]


@lru_cache(16)
def words_ahead(cnf: CNF, vocabulary: Vocabulary) -> WordsAhead:
    """Return a formula for one vocabulary, with what it has learnt of tokens."""
    return WordsAhead(cnf.logic(), vocabulary)


@lru_cache(16)
def _ends(vocabulary: Vocabulary, characters: str) -> frozenset[int]:
    wanted = set(characters.encode())
    return frozenset(i for i, token in enumerate(vocabulary.tokens) if wanted & set(token))
