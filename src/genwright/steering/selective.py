"""Let a frozen model and a small adapter write one text, token by token in turns.

Choose it with a few dozen examples and a metric: an adapter that writes every token forgets what
the model knew, one that writes only where it was of use does not. `SelectiveRL` (in
`learning/selective.py`) trains adapter and selector.

Jo et al. 2022, "Selective Token Generation for Few-shot Natural Language Generation",
arXiv:2209.08206, Section 3. Ours: a row over 2 V tokens, who and what, on which each scheme is a
shaper (`selective_model`); `sample` is the paper's, with top-p on each writer's own distribution;
beam search is left out.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from genwright.core import InvalidArgument, Sample, Samples, Vocabulary, method
from genwright.generators.language.local import LocalLM, Prompt

if TYPE_CHECKING:
    from genwright.generators.language.engine import Engine

Scheme = Literal["sample", "greedy", "mix", "cat"]
Writer = Literal["selected", "base", "adapter"]
Row = NDArray[np.float32]
NONE = float("-inf")


@method(paper="arXiv:2209.08206")
@dataclass(frozen=True, kw_only=True)
class SelectiveGenerator:
    """A frozen model and an adapter that write together.

    Args:
        base: the frozen model. Its prompts, stop texts, lengths, temperature and top_p hold; it
            takes no constraints and no drafts here.
        adapter: folder of a trained adapter.
        scheme: `"sample"`: who writes is drawn, then the token, top_p on the writer's own
            distribution; `"greedy"`: the likelier writer's likeliest token; `"mix"`: the token is
            drawn from both writers' probabilities, summed; `"cat"`: drawn from the 2 V pairs of
            writer and token, top_p on these.
        writer: `"selected"`, or `"base"` or `"adapter"` for every token.

    Raises:
        InvalidArgument: an unknown scheme or writer, or a base with constraints or drafts.
    """

    base: LocalLM
    adapter: str
    scheme: Scheme = "sample"
    writer: Writer = "selected"

    def __post_init__(self) -> None:
        for name, allowed in (("scheme", get_args(Scheme)), ("writer", get_args(Writer))):
            if getattr(self, name) not in allowed:
                raise InvalidArgument(
                    f"SelectiveGenerator: {name} must be one of {', '.join(allowed)}, got "
                    f"{getattr(self, name)!r}."
                )
        if self.base.constraints or self.base.drafts is not None or self.base.mode != "mask":
            raise InvalidArgument(
                "SelectiveGenerator: the base must have no constraints, no drafts and mode 'mask'."
            )

    @property
    def vocabulary(self) -> Vocabulary:
        """The base's tokens."""
        return self.base.vocabulary

    def encode(self, prompt: Prompt) -> list[int]:
        """Return the token ids that a draw for this prompt continues."""
        return self.base.encode(prompt)

    def sample(self, prompt: Prompt, n: int, *, seed: int, first: int = 0) -> Samples[str]:
        """Return draws; `info` is that of `LocalLM` and `by_adapter`: bool, for every token.

        `logprob` is that of the pairs of writer and token, before temperature and top_p. In the
        scheme `mix` nobody in particular writes: `by_adapter` and `logprob` are None.
        """
        drawn = dict(self.stream(prompt, n, seed=seed, first=first))
        return Samples[str].of(drawn[k] for k in sorted(drawn))

    def stream(
        self, prompt: Prompt, n: int, *, seed: int, first: int = 0
    ) -> Iterator[tuple[int, Sample[str]]]:
        """Yield (index of the draw, draw) in the order of finishing."""
        from genwright.generators.language.request import Request
        from genwright.generators.language.sampling import Sampling

        engine, size = _engine(self.base, self.adapter)
        base, own = self.base, self.scheme in ("sample", "mix")
        sampling = Sampling(
            temperature=0.0 if self.scheme == "greedy" else 1.0 if own else base.temperature,
            top_p=1.0 if own else base.top_p,
            top_k=0 if own else base.top_k,
            min_p=0.0 if own else base.min_p,
            max_new_tokens=base.max_new_tokens,
            stop=base.stop,
        )
        shaper = WriterShaper(
            scheme=self.scheme, writer=self.writer, temperature=base.temperature, top_p=base.top_p
        )
        request = Request(
            prompt=self.encode(prompt),
            n=n,
            seed=seed,
            first=first,
            sampling=sampling,
            shapers=(shaper,),
        )
        for index, draw in engine.submit(request):
            yield index, told(draw, size, known=self.scheme != "mix")


def told(draw: Sample[str], size: int, *, known: bool = True) -> Sample[str]:
    """Say of a draw over 2 `size` tokens who wrote what, and of what tokens it is made."""
    pairs: list[int] = draw.info["tokens"]
    info = {
        **draw.info,
        "tokens": [pair % size for pair in pairs],
        "by_adapter": [pair >= size for pair in pairs] if known else None,
    }
    return replace(draw, logprob=draw.logprob if known else None, info=info)


@dataclass(frozen=True, kw_only=True)
class WriterShaper:
    """Turns a row of log P(who) + log P(what | who) into what a scheme draws from.

    Args:
        scheme: of `SelectiveGenerator`.
        writer: of `SelectiveGenerator`.
        temperature: of each writer's own distribution; in `cat` the engine's.
        top_p: of each writer's own distribution; in `cat` the engine's.
    """

    scheme: Scheme = "sample"
    writer: Writer = "selected"
    temperature: float = 1.0
    top_p: float = 1.0

    def start(self, vocabulary: Vocabulary, prompt: Sequence[int]) -> "WriterState":
        """Return the state of one draw."""
        return WriterState(self)


@dataclass(frozen=True)
class WriterState:
    """Of one draw; it remembers nothing."""

    shaper: WriterShaper

    def advance(self, token: int) -> None:
        """Nothing changes."""

    def shape(self, logits: Row) -> Row:
        """Return float32[2 V], unnormalised."""
        shaper = self.shaper
        who, what = apart(logits)
        if shaper.writer != "selected":
            chosen = int(shaper.writer == "adapter")
            if not np.isfinite(who[chosen]):
                raise InvalidArgument(
                    "SelectiveGenerator: this adapter has no selector, so that its base never "
                    "writes; draw from the base itself."
                )
            who = np.where(np.arange(2) == chosen, np.float32(0), np.float32(NONE))
        if shaper.scheme == "greedy":
            who = np.where(np.arange(2) == int(who.argmax()), np.float32(0), np.float32(NONE))
        if shaper.scheme in ("sample", "mix"):
            what = np.stack([self._filtered(row) for row in what])
        pairs = who[:, None] + what
        if shaper.scheme == "mix":
            pairs = np.stack([np.logaddexp(*pairs), np.full_like(pairs[0], NONE)])
        return pairs.reshape(-1)

    def _filtered(self, row: Row) -> Row:
        """Apply temperature and top-p to one writer's log-probabilities; what stays sums to 1."""
        if not np.isfinite(row.max()):
            return row
        if self.shaper.temperature == 0:
            kept = np.arange(len(row)) == int(row.argmax())
            return np.where(kept, np.float32(0), np.float32(NONE))
        row = row / np.float32(self.shaper.temperature)
        if self.shaper.top_p < 1:
            order = np.argsort(-row, kind="stable")
            mass = np.cumsum(np.exp(row[order] - np.float32(_total(row)), dtype=np.float64))
            left_out = order[int((mass < self.shaper.top_p).sum()) + 1 :]
            row[left_out] = NONE
        return row - np.float32(_total(row))


def apart(pairs: Row) -> tuple[Row, Row]:
    """Split [2 V] log-probabilities of pairs into log P(who), [2], and log P(what | who), [2, V].

    A writer that never writes has a row of -inf.
    """
    both = pairs.reshape(2, -1)
    who = np.array([_total(row) for row in both], np.float32)
    return who, both - np.where(np.isfinite(who), who, np.float32(0))[:, None]


def _total(row: Row) -> float:
    """Return log(sum(exp(row))), many times faster than `np.logaddexp.reduce`."""
    peak = float(row.max())
    if not np.isfinite(peak):
        return peak
    return peak + float(np.log(np.exp(row - np.float32(peak)).sum(dtype=np.float64)))


_engines: dict[tuple[str, str, str, int | None, int], tuple[float, "Engine", int]] = {}
_lock = threading.Lock()


def _engine(base: LocalLM, folder: str) -> "tuple[Engine, int]":
    """Return the engine of a base and an adapter, made anew when the adapter changes, and V."""
    from genwright.generators.language.engine import Engine
    from genwright.nets.adapters import WEIGHTS, RecurrentAdapter
    from genwright.steering.selective_model import Frozen, SelectiveModel

    weights = Path(folder) / WEIGHTS
    changed = weights.stat().st_mtime if weights.is_file() else 0.0
    key = base.model, base.dtype, folder, base.threads, base.batch
    with _lock:
        if key not in _engines or _engines[key][0] != changed:
            adapter = RecurrentAdapter.load(Path(folder))
            if key in _engines:
                _engines.pop(key)[1].close()
            model = SelectiveModel(Frozen(base), adapter)
            engine = Engine(model, batch=base.batch, threads=base.threads)
            _engines[key] = changed, engine, model.size
        _, engine, size = _engines[key]
        return engine, size
