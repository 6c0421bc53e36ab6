"""The tokens of a model as bytes: what constraints and engines agree on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The tokens of one tokenizer.

    Args:
        tokens: the bytes each token id stands for; `b""` for special tokens and unused ids. Its
            length V is the length of a logits row.
        eos: ids that end a draw.
        encode: text to token ids, without special tokens.
        name: for messages.
    """

    tokens: Sequence[bytes]
    eos: frozenset[int]
    encode: Callable[[str], list[int]]
    name: str = ""
    backend: object = field(default=None, repr=False)
    """The tokenizer it was made from, for libraries that want the original."""

    def __len__(self) -> int:
        return len(self.tokens)

    def decode(self, ids: Sequence[int]) -> bytes:
        """Join the bytes of the tokens; special tokens are empty."""
        return b"".join(self.tokens[i] for i in ids)

    @cached_property
    def fingerprint(self) -> str:
        """A hash that two vocabularies share exactly when a constraint may be used with either."""
        hasher = blake2b(repr(sorted(self.eos)).encode(), digest_size=16)
        for token in self.tokens:
            hasher.update(len(token).to_bytes(4, "big") + token)
        return hasher.hexdigest()
