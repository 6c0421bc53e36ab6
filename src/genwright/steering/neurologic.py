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

from genwright.core import InvalidArgument, Samples, TokenModel, Vocabulary, method
from genwright.generators.language.local import LocalLM, Prompt
from genwright.steering.logic import CNF, PAPER
from genwright.steering.logic_front import LogicFront

if TYPE_CHECKING:
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
        if any(not hasattr(c, "compile") for c in self.constraints):
            raise InvalidArgument("NeurologicBeam: leave shapers out; they change what is likely.")

    @property
    def constraints(self) -> Sequence[Any]:
        """What the model's draws obey already, and so do these."""
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
        if isinstance(self.model, LocalLM):
            engine, ids = self.model.engine, self.model.encode(prompt)
        else:
            engine, ids = _engine(self.model), prompt
        sampling = Sampling(max_new_tokens=self.max_tokens)
        return engine.submit(Request(prompt=ids, n=n, first=first, search=self, sampling=sampling))


@lru_cache(8)
def _engine(model: TokenModel) -> "Engine":
    """Return the engine of a model of one's own: only one thread may call it."""
    from genwright.generators.language.engine import Engine

    return Engine(model)
