"""Draw from a token model in its own proportions among the strings that a constraint allows.

A mask alone (`mode="mask"`) makes every string legal, but an allowed beginning is followed as often
as the model likes it, however seldom it ends well. `"exact"` draws from the model conditioned on
the constraint; `"asap"` is the method that gets there draw by draw. Choose `LocalLM(mode=...)` for
language models by name; choose this for a token model of your own, or to compare the modes.
`survey` visits every prefix of a finite language, after which the distribution of each mode can be
read off.

Park, Wang, Berg-Kirkpatrick, Polikarpova and D'Antoni 2024, "Grammar-Aligned Decoding",
arXiv:2405.21047, Sections 3 and 4. Ours: the exact mode and how it stays independent of what was
learnt (`generators/language/walks.py`); a token limit is part of the language, so that a beginning
that cannot end in time counts for nothing instead of coming back cut off.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from genwright.core import Constraint, InvalidArgument, Sample, Samples, TokenModel, method
from genwright.generators.language.shortest import check_length
from genwright.generators.language.trie import Node, Row, Trie

if TYPE_CHECKING:
    from genwright.generators.language.engine import Engine
    from genwright.generators.language.request import Ticket

ALL = 2**62
"""Bytes: no row is ever dropped."""

Mode = Literal["mask", "asap", "exact"]


@method(paper="arXiv:2405.21047")
@dataclass(frozen=True, kw_only=True)
class AlignedSampler:
    """Texts of a token model under a constraint, with a trie for every prompt.

    Args:
        model: what is sampled. Samplers of one model share an engine.
        constraint: what a text must satisfy.
        mode: `"exact"`, `"asap"` (the paper's; its draws are made one after the other, and depend
            on those before them), or `"mask"` (grammar-constrained decoding, GCD).
        max_tokens: of a text, without its end token. Longer strings are no part of the language.
        temperature: of the model that is conditioned; the paper's is 1.
    """

    model: TokenModel
    constraint: Constraint
    mode: Mode = "exact"
    max_tokens: int = 64
    temperature: float = 1.0
    _tries: dict[tuple[int, ...], Trie] = field(
        init=False, repr=False, compare=False, default_factory=dict[tuple[int, ...], Trie]
    )

    def sample(self, prompt: Sequence[int], n: int, *, seed: int, first: int = 0) -> Samples[str]:
        """Return draws `first` to `first + n - 1` that continue a prompt of token ids.

        `info` is that of `LocalLM`; `logprob` is the unsteered model's, the end token included.

        Raises:
            ConstraintError: the constraint cannot be compiled, allows nothing, or allows nothing
                as short as `max_tokens`.
            InvalidArgument: a setting out of its range.
        """
        if self.mode != "asap":
            drawn = dict(_submit(self, prompt, n, seed, first, self.mode, self.trie(prompt)))
            return Samples[str].of(drawn[k] for k in sorted(drawn))
        one_by_one: list[Sample[str]] = []
        for k in range(first, first + n):
            ticket = _submit(self, prompt, 1, seed, k, "asap", self.trie(prompt))
            one_by_one += [draw for _, draw in ticket]
        return Samples[str].of(one_by_one)

    def trie(self, prompt: Sequence[int]) -> Trie:
        """Return what was learnt of a prompt, kept as long as the sampler is."""
        return self._tries.setdefault(tuple(prompt), Trie())


def survey(sampler: AlignedSampler, prompt: Sequence[int], *, visits: int = 20_000) -> Trie:
    """Visit every prefix of a finite language.

    Args:
        sampler: names model, constraint, temperature and token limit; its own tries stay as they
            are.
        prompt: token ids.
        visits: the most prefixes.

    Raises:
        InvalidArgument: there are more prefixes.
        ConstraintError: as for `sample`.
    """
    trie = Trie(ALL)
    front = [trie.root]
    while front:
        if trie.visited + len(front) > visits:
            raise InvalidArgument(
                f"survey: the language has more than {visits} prefixes of at most "
                f"{sampler.max_tokens} tokens; raise visits or take a smaller language."
            )
        trie.wanted.extend(front)
        for _ in _submit(sampler, prompt, len(front), 0, 0, "survey", trie):
            pass
        front = [node for start in front for node in _unvisited(trie, start)]
    return trie


def exact_conditional(trie: Trie) -> dict[tuple[int, ...], float]:
    """Return the model conditioned on the constraint: the probability of each token string.

    Args:
        trie: of a survey.

    Raises:
        InvalidArgument: prefixes are missing.
    """
    return _read_off(trie, trie.bounds)


def gcd_distribution(trie: Trie) -> dict[tuple[int, ...], float]:
    """Return how often a mask alone (grammar-constrained decoding) draws each token string.

    What runs into the token limit is left out, so that the sum may fall short of 1.
    """
    return _read_off(trie, lambda node, row: np.ones(len(row.tokens)))


def asap_distribution(trie: Trie, learnt: Trie) -> dict[tuple[int, ...], float]:
    """Return how often the next draw of ASAp is each token string.

    Args:
        trie: of a survey.
        learnt: what the draws so far have learnt, under the same model and constraint.
    """

    def bounds(node: Node, row: Row) -> NDArray[np.float64]:
        known = learnt.find(node.path())
        return np.ones(len(row.tokens)) if known is None else learnt.bounds(known, row)

    return _read_off(trie, bounds)


def _read_off(
    trie: Trie, bounds: Callable[[Node, Row], NDArray[np.float64]]
) -> dict[tuple[int, ...], float]:
    """Multiply out a distribution that takes each token by probability times bound."""
    if not trie.root.closed:
        raise InvalidArgument("not every prefix was visited: take the trie that `survey` returns.")
    found: dict[tuple[int, ...], float] = {}
    front: list[tuple[Node, tuple[int, ...], float]] = [(trie.root, (), 1.0)]
    while front:
        node, tokens, so_far = front.pop()
        row = trie.row(node)
        if row is None or not len(row.tokens):
            continue
        weights = row.p * bounds(node, row)
        total = weights.sum()
        shares = so_far * weights / total if total > 0 else weights
        for token, ends, share in zip(row.tokens.tolist(), row.ends, shares.tolist(), strict=True):
            if ends:
                found[tokens] = found.get(tokens, 0.0) + share
            elif share > 0:
                front.append((node.children[token], (*tokens, token), share))
    return found


def _unvisited(trie: Trie, node: Node) -> Iterator[Node]:
    """Yield the nearest prefixes at or below a node that nobody has visited."""
    if not node.visited:
        yield node
        return
    row = trie.row(node)
    if row is None:
        return
    for i in np.flatnonzero(~row.ends).tolist():
        yield from _unvisited(trie, trie.child(node, int(row.tokens[i]), float(row.p[i])))


def _submit(
    sampler: AlignedSampler,
    prompt: Sequence[int],
    n: int,
    seed: int,
    first: int,
    mode: Literal["mask", "asap", "exact", "survey"],
    trie: Trie,
) -> "Ticket":
    from genwright.generators.language.request import Request
    from genwright.generators.language.sampling import Sampling

    compiled = sampler.constraint.compile(sampler.model.vocabulary)
    check_length((compiled,), sampler.max_tokens)
    sampling = Sampling(
        temperature=sampler.temperature, max_new_tokens=sampler.max_tokens, mode=mode
    )
    return _engine(sampler.model).submit(
        Request(
            prompt=prompt,
            n=n,
            seed=seed,
            first=first,
            sampling=sampling,
            constraints=(compiled,),
            trie=trie,
        )
    )


@lru_cache(8)
def _engine(model: TokenModel) -> "Engine":
    """Return the engine of a model: only one thread may call it."""
    from genwright.generators.language.engine import Engine

    return Engine(model)
