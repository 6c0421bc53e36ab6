"""Hold a draw to a state machine of your own, written in Python over bytes.

Choose it for what no grammar says: a running sum, balanced doses, a checksum. A step is a function
of (state, byte); the mask of a state is found by walking the trie of all tokens with it, and kept
for the next visit, so states should be hashable and few.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from genwright.core import ConstraintError, InvalidArgument, Vocabulary, method

KEPT = 1024
"""Masks kept per compiled machine: 50 MB at 49,152 tokens."""

REACHED = 16_384
"""Pairs of a byte and a state whose tokens are kept; nearly all have few tokens."""


@dataclass
class _Node:
    """A node of the token trie: the tokens that end here, and the bytes that lead on."""

    tokens: list[int] = field(default_factory=list[int])
    children: "dict[int, _Node]" = field(default_factory=dict[int, "_Node"])


_tries: "OrderedDict[str, _Node]" = OrderedDict()
_TRIES = 4
"""Tries kept, by the fingerprint of their vocabulary."""


def _trie(vocabulary: Vocabulary) -> _Node:
    """Return the trie of all tokens, made once for a vocabulary."""
    root = _tries.pop(vocabulary.fingerprint, None)
    if root is None:
        root = _Node()
        for index, token in enumerate(vocabulary.tokens):
            node = root
            for byte in token:
                node = node.children.setdefault(byte, _Node())
            if token and index not in vocabulary.eos:
                node.tokens.append(index)
    _tries[vocabulary.fingerprint] = root
    while len(_tries) > _TRIES:
        _tries.popitem(last=False)
    return root


@method()
@dataclass(frozen=True, kw_only=True)
class PythonMachine:
    """The byte strings that a machine of yours accepts.

    Args:
        begin: the state of the empty string.
        step: maps (state, byte) to the next state, or to None where the byte is not allowed.
        done: tells whether the string may end in a state.
    """

    begin: Hashable
    step: Callable[[Hashable, int], Hashable | None]
    done: Callable[[Hashable], bool]

    def compile(self, vocabulary: Vocabulary) -> "CompiledMachine":
        """Prepare for one vocabulary.

        Raises:
            ConstraintError: no token may come first, and the empty string is not accepted.
        """
        compiled = CompiledMachine(machine=self, vocabulary=vocabulary, root=_trie(vocabulary))
        if not compiled.start().mask().any():
            raise ConstraintError("PythonMachine: no token of the vocabulary may come first.")
        return compiled


@dataclass(frozen=True, eq=False, kw_only=True)
class CompiledMachine:
    """A machine for one vocabulary, with the masks of the states visited last."""

    machine: PythonMachine
    vocabulary: Vocabulary
    root: _Node
    kept: "OrderedDict[Hashable, NDArray[np.bool_]]" = field(
        default_factory=OrderedDict[Hashable, NDArray[np.bool_]]
    )
    reached: "OrderedDict[tuple[int, Hashable], NDArray[np.intp]]" = field(
        default_factory=OrderedDict[tuple[int, Hashable], NDArray[np.intp]]
    )

    def start(self) -> "MachineState":
        """Return the state of the empty draw."""
        return MachineState(self.machine.begin, self)

    def mask(self, state: Hashable) -> NDArray[np.bool_]:
        """Return bool[V] for one state of the machine."""
        mask = self.kept.pop(state, None)
        if mask is None:
            mask = np.zeros(len(self.vocabulary), np.bool_)
            mask[sorted(self.vocabulary.eos)] = self.machine.done(state)
            for byte, child in self.root.children.items():
                after = self.machine.step(state, byte)
                if after is not None:
                    mask[self._reached(byte, child, after)] = True
        self.kept[state] = mask
        if len(self.kept) > KEPT:
            self.kept.popitem(last=False)
        return mask

    def _reached(self, byte: int, start: _Node, state: Hashable) -> NDArray[np.intp]:
        """Return the tokens that begin with a byte and are allowed from the state after it on.

        They are kept, for many states have the same next ones: every end of a word, one between
        words.
        """
        found = self.reached.pop((byte, state), None)
        if found is None:
            tokens: list[int] = []
            open_nodes: list[tuple[_Node, Hashable]] = [(start, state)]
            while open_nodes:
                node, here = open_nodes.pop()
                tokens += node.tokens
                for following, child in node.children.items():
                    after = self.machine.step(here, following)
                    if after is not None:
                        open_nodes.append((child, after))
            found = np.array(tokens, np.intp)
        self.reached[byte, state] = found
        if len(self.reached) > REACHED:
            self.reached.popitem(last=False)
        return found


class MachineState:
    """Where one draw stands in the machine."""

    __slots__ = ("_compiled", "_state")

    def __init__(self, state: Hashable, compiled: CompiledMachine) -> None:
        self._state = state
        self._compiled = compiled

    def mask(self) -> NDArray[np.bool_]:
        """Return bool[V]: the tokens that may come next, end tokens where the draw may end."""
        return self._compiled.mask(self._state)

    def advance(self, token: int) -> None:
        """Move on by one allowed token.

        Raises:
            InvalidArgument: the token is not allowed here.
        """
        if not self.mask()[token] or not self._compiled.vocabulary.tokens[token]:
            raise InvalidArgument(f"advance: token {token} is not allowed here.")
        for byte in self._compiled.vocabulary.tokens[token]:
            self._state = self._compiled.machine.step(self._state, byte)

    def fork(self) -> "MachineState":
        """Return an independent copy."""
        return MachineState(self._state, self._compiled)

    @property
    def accepting(self) -> bool:
        """Whether the draw may end here."""
        return self._compiled.machine.done(self._state)

    def forced(self) -> list[int]:
        """Return no tokens: a machine does not say what every continuation shares."""
        return []
