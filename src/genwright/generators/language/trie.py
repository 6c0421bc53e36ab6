"""What draws have learnt of a constraint under a model: a trie of prefixes.

Every prefix that the network was asked about keeps the probabilities of the tokens that may follow
it, so that no draw asks twice, and an upper bound of its *expected future grammaticality*: the
probability that the model, left alone, goes on to a string of the language. The exact value obeys
c(w) = sum over allowed tokens v of P(v|w) c(wv), with 1 for a finished string; a prefix that nobody
has visited counts as 1, so that bounds only fall, and meet the exact value once every prefix below
was visited.

Park, Wang, Berg-Kirkpatrick, Polikarpova and D'Antoni 2024, "Grammar-Aligned Decoding",
arXiv:2405.21047, Section 4 (the trie of ASAp). Ours: children that no draw took share one number
instead of a node each; rows of probabilities are kept as far as there is room; everything can be
written down and read back.

Legend: n tokens that may follow a prefix.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

ROOM = 32 * 2**20
"""Bytes of rows that one trie keeps; rows of wide places (free text) go first."""

WRITTEN = 256
"""A row of more tokens is not written down: it costs more to keep than to ask for again."""


@dataclass(frozen=True, eq=False)
class Row:
    """The tokens that may follow one prefix.

    Args:
        tokens: int64[n] ids, ascending.
        p: float64[n] their probabilities among *all* tokens, temperature inside: the sum falls
            short of 1 by what the constraint forbids.
        logprobs: float64[n] log-probabilities in nats under the unsteered model.
        ends: bool[n], whether the token ends the string.
    """

    tokens: NDArray[np.int64]
    p: NDArray[np.float64]
    logprobs: NDArray[np.float64]
    ends: NDArray[np.bool_]

    @cached_property
    def mass(self) -> float:
        """The probability that the model's next token is allowed."""
        return float(self.p.sum())

    @property
    def bytes(self) -> int:
        """Memory taken, roughly."""
        return 25 * len(self.tokens) + 400


class Node:
    """One prefix. `bound` is at least its expected future grammaticality, and equal once `closed`.

    `p` is the probability of its last token given the ones before.
    """

    __slots__ = (
        "bound", "children", "closed", "end", "mass", "p", "parent", "rest", "row", "size", "token"
    )  # fmt: skip

    def __init__(self, parent: "Node | None", token: int, p: float) -> None:
        self.parent, self.token, self.p = parent, token, p
        self.children: dict[int, Node] = {}
        self.row: Row | None = None
        self.bound, self.closed = 1.0, False
        self.size = -1  # tokens that may follow and do not end; -1 where nobody looked yet
        self.mass = self.end = self.rest = 0.0  # allowed, of ends, of tokens without a child

    @property
    def visited(self) -> bool:
        """Whether the network was asked about this prefix."""
        return self.size >= 0

    def path(self) -> list[int]:
        """Return the tokens of the prefix."""
        tokens: list[int] = []
        node = self
        while node.parent is not None:
            tokens.append(node.token)
            node = node.parent
        return tokens[::-1]


class Trie:
    """The prefixes of one language under one model, prompt and temperature.

    Only one thread may learn; `fresh_records` may be called from another.

    Args:
        room: bytes of rows to keep.
    """

    def __init__(self, room: int = ROOM) -> None:
        self.root: Final = Node(None, -1, 1.0)
        self.name = ""
        """Under which it is remembered; none where nothing but the process could know it again."""
        self.visited = 0
        """Prefixes that the network was asked about."""
        self.wanted: deque[Node] = deque()
        """Prefixes that a survey is to visit next."""
        self._room, self._taken = room, 0
        self._kept: OrderedDict[Node, int] = OrderedDict()
        self._fresh: deque[Node] = deque()

    def row(self, node: Node) -> Row | None:
        """Return what may follow a prefix, or None where the network must be asked."""
        if node.row is not None:
            self._kept.move_to_end(node)
        return node.row

    def child(self, node: Node, token: int, p: float) -> Node:
        """Return the prefix one token longer; `p` is that token's probability."""
        found = node.children.get(token)
        if found is None:
            found = node.children[token] = Node(node, token, p)
            node.rest = self._rest(node, node.rest - p)
        return found

    def learn(self, node: Node, row: Row) -> None:
        """Note what may follow a prefix, and lower the bounds above it."""
        new = not node.visited
        node.size = int((~row.ends).sum())
        node.mass, node.end = row.mass, float(row.p[row.ends].sum())
        self._keep(node, row)
        node.rest = self._rest(node, node.mass - node.end)
        if new:
            self.visited += 1
            self._fresh.append(node)
        _lower(node)

    def bounds(self, node: Node, row: Row) -> NDArray[np.float64]:
        """Return float64[n]: the bound of each prefix one token longer."""
        found = np.ones(len(row.tokens))
        if node.children:
            at = np.searchsorted(row.tokens, list(node.children))
            found[at] = [child.bound for child in node.children.values()]
        return found

    def _keep(self, node: Node, row: Row) -> None:
        self._taken += row.bytes - self._kept.pop(node, 0)
        node.row, self._kept[node] = row, row.bytes
        while self._taken > self._room and len(self._kept) > 1:
            other, size = self._kept.popitem(last=False)
            other.row, self._taken = None, self._taken - size

    def _rest(self, node: Node, roughly: float) -> float:
        """Return the mass of allowed tokens without a child, added up afresh where that can be.

        What is left after many subtractions may be mostly rounding.
        """
        if len(node.children) == node.size:
            return 0.0
        if node.row is None:
            return max(0.0, roughly)
        left = ~node.row.ends
        left[np.searchsorted(node.row.tokens, list(node.children))] = False
        return float(node.row.p[left].sum())

    def fresh_records(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (prefix, what is known of it) for each prefix visited since the last call."""
        while self._fresh:
            node = self._fresh.popleft()
            yield np.array(node.path(), np.int32).tobytes(), _written(node)

    def restore(self, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Read records of an equal trie back; what is known already stays.

        A record whose own beginning is missing is left out: it could not be reached.
        """
        restored: list[Node] = []
        for path, data in sorted(records, key=lambda record: len(record[0])):
            tokens = np.frombuffer(path, np.int32).tolist()
            parent = self.find(tokens[:-1])
            if parent is None or (tokens and not parent.visited):
                continue
            p, mass, end, size, row = _read(data)
            node = self.child(parent, tokens[-1], p) if tokens else parent
            if node.visited:
                continue
            node.mass, node.end, node.size, node.rest = mass, end, size, mass - end
            if row is not None:
                self._keep(node, row)
            self.visited += 1
            restored.append(node)
        for node in reversed(restored):
            _lower(node)

    def find(self, tokens: Sequence[int]) -> Node | None:
        """Return a prefix that a draw has been to, or None."""
        node: Node | None = self.root
        for token in tokens:
            node = node.children.get(token) if node is not None else None
        return node


def _lower(node: Node | None) -> None:
    """Compute the bound of a visited prefix, then of those above it, as far as anything changes."""
    while node is not None and node.visited:
        below = node.children.values()
        bound = node.end + node.rest + sum(child.p * child.bound for child in below)
        closed = len(below) == node.size and all(child.closed for child in below)
        if bound >= node.bound and closed == node.closed:
            return
        node.bound, node.closed = min(bound, node.bound), closed  # rounding must not raise it
        node = node.parent


def _written(node: Node) -> bytes:
    row = node.row if node.row is not None and len(node.row.tokens) <= WRITTEN else None
    head = np.array([node.p, node.mass, node.end, node.size, row is not None])
    if row is None:
        return head.tobytes()
    table = np.stack([row.tokens.astype(np.float64), row.p, row.logprobs, row.ends])
    return head.tobytes() + table.tobytes()


def _read(data: bytes) -> tuple[float, float, float, int, Row | None]:
    numbers = np.frombuffer(data)
    p, mass, end, size, has_row = numbers[:5].tolist()
    if not has_row:
        return p, mass, end, int(size), None
    tokens, probabilities, logprobs, ends = numbers[5:].reshape(4, -1)
    row = Row(tokens.astype(np.int64), probabilities, logprobs, ends.astype(np.bool_))
    return p, mass, end, int(size), row
