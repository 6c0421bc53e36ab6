"""Write the likeliest text that says what it must: beam search under clauses of words (NeuroLogic).

Where a mask only keeps a draw from ending too early, the beam looks ahead for room: hypotheses that
have satisfied different clauses do not compete, so that one which has just said a required word is
not outrun by likelier ones that say nothing of it. Choose it for a few required words and forbidden
ones; for the shape of a text choose a grammar, which may stand beside it (`model.steered(...)`). It
is deterministic: draw k of a prompt is the k-th best text found, whatever the seed.

Lu et al. 2021, "NeuroLogic Decoding: (Un)supervised Neural Text Generation with Predicate Logic
Constraints", arXiv:2010.12884, Section 2.3. In each step the continuations of all hypotheses are
*pruned* (to the `prune` likeliest of the step, and to those with at most `tolerance` satisfied
clauses fewer than the best), *grouped* by the set of clauses that are satisfied for good, and
*selected*: the best of every group, then the second of every group, until the beam is full. Within
a group the log-probability divided by the length counts, plus `beta` times the largest part of an
unsatisfied literal that stands at the end. Numbers that the paper does not give are those of the
authors' code: a length penalty of 0.2, no three tokens twice, and an end that is within the
1.5 x beam best of its row counts.

Ours: clauses are read in the text (`logic.py`); a word that stands at the end counts as said for
grouping, and a forbidden one as said at once; an end is taken only where every clause holds, which
the authors' code bends where the end is the likeliest token; repeated tokens are looked for in the
draw and not in its prompt; of equal texts the likeliest counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from genwright.core import (
    Constraint,
    ConstraintState,
    InvalidArgument,
    Samples,
    TokenModel,
    Vocabulary,
    method,
)
from genwright.generators.language.hypotheses import Found
from genwright.generators.language.local import LocalLM, Prompt
from genwright.steering.compose import CompiledIntersection
from genwright.steering.logic import CNF, PAPER, State
from genwright.steering.words_ahead import WordsAhead

if TYPE_CHECKING:
    from torch import Tensor

    from genwright.generators.language.engine import Engine
    from genwright.generators.language.request import Ticket


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class NeurologicBeam:
    """Beam search under a formula of words.

    Args:
        model: a language model (its own settings of sampling play no part, its constraints do), or
            a token model of your own, whose prompts are token ids.
        cnf: what a text must and must not say. Without clauses this is plain beam search.
        beam: hypotheses that live at once.
        prune: a continuation that is not among the likeliest so many of its step is dropped; 0
            drops none. The paper's for a model that was tuned to the task is 50; for one that was
            not, its code drops none.
        tolerance: how many satisfied clauses fewer than the best are tolerated.
        beta: reward of a literal that is partly written.
        length_penalty: finished texts compete by log-probability / length ** length_penalty.
        ngram: so many tokens in a row are not written twice; 0 for no such rule.
        early_stop: an end among the `early_stop * beam` likeliest tokens of its row is taken, even
            if it is not among the `beam` best continuations of the step.
        ends: characters that end a text, such as `"."`: a token with one of them is its last.
        min_tokens: no text ends before.
        max_tokens: the most tokens of a text.

    Raises:
        InvalidArgument: a setting out of its range, or a model with shapers.
    """

    model: LocalLM | TokenModel
    cnf: CNF = field(default_factory=CNF)
    beam: int = 20
    prune: int = 50
    tolerance: int = 2
    beta: float = 0.0
    length_penalty: float = 0.2
    ngram: int = 3
    early_stop: float = 1.5
    ends: str = ""
    min_tokens: int = 0
    max_tokens: int = 64

    def __post_init__(self) -> None:
        least = {"beam": 1, "max_tokens": 1, "prune": 0, "tolerance": 0, "ngram": 0}
        for name, low in (least | {"early_stop": 0, "min_tokens": 0, "beta": 0}).items():
            if not getattr(self, name) >= low:
                raise InvalidArgument(
                    f"NeurologicBeam: {name} must be {low} or more, got {getattr(self, name)}."
                )
        if any(not hasattr(c, "compile") for c in self._constraints):
            raise InvalidArgument("NeurologicBeam: leave shapers out; they change what is likely.")

    @property
    def _constraints(self) -> Sequence[Any]:
        return self.model.constraints if isinstance(self.model, LocalLM) else ()

    @property
    def width(self) -> int:
        """The most hypotheses that live at once."""
        return self.beam

    def sample(self, prompt: Prompt, n: int, *, seed: int, first: int = 0) -> Samples[str]:
        """Return the texts of rank `first` to `first + n - 1`; 0 is the best.

        `info` holds `tokens`, `finish_reason` ("stop"; "length": cut off; "exhausted": fewer texts
        were found than asked for), `complete` (whether it ended, and every clause holds), and `met`
        (how many clauses do). Where a search finds no text that satisfies every clause, the draw is
        the one that satisfies the most, and not complete.

        Raises:
            ConstraintError: the clauses contradict, before anything is drawn.
        """
        del seed
        drawn = dict(self._submit(prompt, n, first))
        return Samples[str].of(drawn[k] for k in sorted(drawn))

    def begin(self, vocabulary: Vocabulary, limit: int) -> "LogicFront":
        """Return the front of one search; the engine calls it."""
        return LogicFront(self, vocabulary, limit)

    def _submit(self, prompt: Any, n: int, first: int) -> "Ticket":
        from genwright.generators.language.request import Request
        from genwright.generators.language.sampling import Sampling

        self.cnf.logic()  # raises where the clauses contradict
        local = isinstance(self.model, LocalLM)
        engine = self.model.engine if local else _engine(self.model)
        ids = self.model.encode(prompt) if local else prompt
        sampling = Sampling(max_new_tokens=self.max_tokens)
        return engine.submit(Request(prompt=ids, n=n, first=first, search=self, sampling=sampling))


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

    def __init__(self, settings: NeurologicBeam, vocabulary: Vocabulary, limit: int) -> None:
        self._settings, self._vocabulary, self._limit = settings, vocabulary, limit
        self._words = words = words_ahead(settings.cnf, vocabulary)
        self._logic = words.logic
        self._eos = sorted(vocabulary.eos)
        self._ends = _ends(vocabulary, settings.ends) if settings.ends else frozenset[int]()
        constraints: Sequence[Constraint] = settings._constraints
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
                refused = ~torch.from_numpy(hypothesis.steered.mask())
                scores_BV[row].masked_fill_(refused, float("-inf"))
            if len(hypothesis.tokens) < self._settings.min_tokens:
                scores_BV[row, [*self._eos, *self._ends]] = float("-inf")
            if repeats := _repeats(hypothesis.tokens, self._settings.ngram):
                scores_BV[row, repeats] = float("-inf")
        prune, beam = self._settings.prune, self._settings.beam
        wide = min(max(prune, beam), scores_BV.shape[1])
        ordered = scores_BV.topk(wide).values.flatten().sort(descending=True).values.tolist()
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
        scores: dict[int, float] = dict(
            zip(likely.indices.tolist(), likely.values.tolist(), strict=True)
        )
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


@lru_cache(8)
def _engine(model: TokenModel) -> "Engine":
    """Return the engine of a model of one's own: only one thread may call it."""
    from genwright.generators.language.engine import Engine

    return Engine(model)
