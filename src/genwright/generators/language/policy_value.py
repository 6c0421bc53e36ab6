"""A local model that draws steps and also says how promising a solution so far is.

Choose it for searches guided by a value (`StepBeam`, `StepMCTS`); `PolicyValueLearner` makes it.
The draws are the policy's own. `prefix_values()` is a generator too, whose one draw for a list of
prompts is the list of their values: so the values of a search land in the ledger like any draw, and
a resumed search reads them back.

Chen et al. 2024, "AlphaMath Almost Zero", arXiv:2405.03553, Section 3.1 (one model, two heads).
Ours: prompts that begin alike share the keys and values of what they have in common, as in the
engine, so that a step's value costs the tokens of the step.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genwright.core import Chunk, Cost, InvalidArgument, Sample, Samples, Vocabulary, method
from genwright.generators.language.local import LocalLM, Prompt


@method(paper="arXiv:2405.03553")
@dataclass(frozen=True, kw_only=True)
class PolicyValueLM:
    """A policy with a value head.

    Args:
        policy: draws; its folder also holds `value_head.safetensors`.
        kept: prompts whose keys and values are kept for the next values.

    Raises:
        InvalidArgument: `kept` below 1.
    """

    policy: LocalLM
    kept: int = 64

    def __post_init__(self) -> None:
        if self.kept < 1:
            raise InvalidArgument(f"PolicyValueLM: kept must be 1 or more, got {self.kept}.")

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's tokens."""
        return self.policy.vocabulary

    @property
    def chat(self) -> bool:
        """Whether prompts go through a chat template."""
        return self.policy.chat

    @property
    def template(self) -> str:
        """Of the policy."""
        return self.policy.template

    def encode(self, prompt: Prompt) -> list[int]:
        """Return the token ids that a draw for this prompt continues."""
        return self.policy.encode(prompt)

    def sample(self, prompt: Prompt, n: int, *, seed: int, first: int = 0) -> Samples[str]:
        """Return the policy's draws; see `LocalLM.sample`."""
        return self.policy.sample(prompt, n, seed=seed, first=first)

    def stream(
        self, prompt: Prompt, n: int, *, seed: int, first: int = 0
    ) -> Iterator[tuple[int, Sample[str]]]:
        """Yield the policy's draws; see `LocalLM.stream`."""
        return self.policy.stream(prompt, n, seed=seed, first=first)

    def prefix_values(self) -> "PrefixValues":
        """Return the generator of values."""
        return PrefixValues(policy=self.policy, kept=self.kept)


@dataclass(frozen=True, kw_only=True)
class PrefixValues:
    """Maps a list of prompts to the list of their values in [-1, 1]: one draw, always the same.

    Args:
        policy: whose folder holds the value head.
        kept: prompts whose keys and values are kept.
    """

    policy: LocalLM
    kept: int = 64

    def sample(
        self, prompt: Sequence[Prompt], n: int, *, seed: int, first: int = 0
    ) -> Samples[list[float]]:
        """Return n equal draws, each the list of the values after the prompts' last tokens.

        Raises:
            InvalidArgument: the policy's folder holds no value head.
        """
        reader = _reader(self.policy, self.kept)
        began = time.perf_counter()
        values, read = reader.read([self.policy.encode(p) for p in prompt])
        cost = Cost(
            prompt_tokens=read,
            network_evaluations=len(prompt),
            seconds=time.perf_counter() - began,
        )
        return Samples([values] * n, costs=[cost] + [Cost()] * (n - 1) if n else [])


class _Reader:
    """One model with its value head, and the prompts that it read lately."""

    def __init__(self, folder: Path, kept: int) -> None:
        from genwright.generators.language.hf import token_model
        from genwright.generators.language.loading import read
        from genwright.nets.value_head import ValueHead

        head = ValueHead.load(folder)
        if head is None:
            raise InvalidArgument(
                f"{folder} holds no value head; train one with PolicyValueLearner."
            )
        model, tokenizer = read(str(folder), "float32")
        model.set_output_embeddings(head.map.to(model.device))
        self._model = token_model(model, Vocabulary([b""], frozenset(), tokenizer.encode))
        self._kept = kept
        self._prompts: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._values: dict[tuple[int, ...], float] = {}
        self._lock = threading.Lock()

    def read(self, prompts: Sequence[Sequence[int]]) -> tuple[list[float], int]:
        """Return the value of each prompt, and how many tokens were read for them."""
        keys = [tuple(prompt) for prompt in prompts]
        with self._lock:
            new = [key for key in dict.fromkeys(keys) if key not in self._prompts]
            chunks = [self._begun(key) for key in new]
            if chunks:
                raw = self._model.step(chunks)[:, 0]
                for key, chunk, value in zip(new, chunks, np.tanh(raw).tolist(), strict=True):
                    self._prompts[key] = chunk.cache
                    self._values[key] = value
            values = [self._values[key] for key in keys]
            for key in keys:
                self._prompts.move_to_end(key)
            while len(self._prompts) > self._kept:
                key, cache = self._prompts.popitem(last=False)
                self._model.release(cache)
                del self._values[key]
        return values, sum(len(chunk.tokens) for chunk in chunks)

    def _begun(self, key: tuple[int, ...]) -> Chunk:
        """Start from the longest beginning that a kept prompt has, the last token left out."""
        best, length = None, 0
        for other, cache in self._prompts.items():
            shared = _shared(key[:-1], other, length)
            if shared > length:
                best, length = cache, shared
        return Chunk(self._model.new_cache(best, length), key[length:])


def _shared(a: tuple[int, ...], b: tuple[int, ...], least: int) -> int:
    """Return the length of the common beginning, or 0 where it is no longer than `least`."""
    if a[: least + 1] != b[: least + 1]:
        return 0
    size = min(len(a), len(b))
    return next((i for i in range(least, size) if a[i] != b[i]), size)


_readers: dict[tuple[str, float, int], _Reader] = {}
_loading = threading.Lock()


def _reader(policy: LocalLM, kept: int) -> _Reader:
    """Return the reader of a folder's weights, made at the first use and when they change."""
    from genwright.nets.value_head import FILE

    folder = Path(policy.model)
    head = folder / FILE
    changed = head.stat().st_mtime if head.is_file() else 0.0
    key = str(folder), changed, kept
    with _loading:
        if key not in _readers:
            for old in [k for k in _readers if k[0] == key[0]]:
                del _readers[old]
            _readers[key] = _Reader(folder, kept)
        return _readers[key]
