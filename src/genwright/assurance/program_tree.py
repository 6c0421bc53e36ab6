"""A program as a tree whose nodes know how unsure the model was of them.

`ProgramTree.from_python` and `from_sql` parse a draw and share the log-probabilities of its tokens
out among the nodes of its syntax tree: a node owns the characters of its stretch of the source that
no child owns, and a token belongs to the node that owns most of its characters.

Khakhar et al. 2023, "PAC Prediction Sets for Large Language Models of Code", arXiv:2302.08703,
Section 3 (a node's cost is the negative log-likelihood of its own text, clipped to 0..10). Ours:
children are told apart by their place in the grammar, where the published code compares texts of
subtrees; a node without text of its own, such as an empty argument list, costs nothing.
"""

import ast
import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from genwright.core import InvalidArgument, Sample, Vocabulary

MOST = 10.0
"""The largest cost of a node, in nats."""

Scored = Sequence[tuple[bytes, float]]
"""The tokens of a draw: their bytes and log-probabilities (nats)."""


@dataclass(frozen=True)
class Node:
    """A node of a syntax tree.

    Args:
        label: what it is, apart from its children: its kind, names, constants, and which places of
            the grammar its children fill.
        parent: the number of its parent; -1 for the root.
        start: where its source begins, in bytes; equal to `end` where it has none.
        end: where its source ends.
        cost: nats, in [0, 10].
    """

    label: str
    parent: int
    start: int
    end: int
    cost: float = 0.0


@dataclass(frozen=True)
class ProgramTree:
    """A program's syntax tree; a node stands behind its parent, and children in their order.

    Args:
        source: the program.
        nodes: none where the program cannot be parsed.
        language: "python" or "sql".
    """

    source: str
    nodes: tuple[Node, ...]
    language: str

    @classmethod
    def from_python(cls, code: str, tokens: Scored = ()) -> "ProgramTree":
        """Parse Python with `ast`; `return` may stand outside a function.

        Args:
            code: the program.
            tokens: what it was written with; text around the program is allowed. Without tokens
                every cost is 0.

        Raises:
            InvalidArgument: the tokens do not spell the program.
        """
        try:
            found = list(_walk_python(ast.parse(code), code))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            found = []
        return cls._made(code, found, "python", tokens)

    @classmethod
    def from_sql(cls, code: str, tokens: Scored = (), dialect: str = "sqlite") -> "ProgramTree":
        """Parse SQL, one statement, with sqlglot; see `from_python`."""
        from sqlglot import parse
        from sqlglot.errors import SqlglotError

        try:
            (statement,) = parse(code, read=dialect)
            found = [] if statement is None else list(_walk_sql(statement))
        except (SqlglotError, ValueError, RecursionError):
            found = []
        offsets = [len(code[:i].encode("utf-8", "replace")) for i in range(len(code) + 1)]
        offsets.append(-1)  # of nodes without a place
        found = [(label, up, offsets[a], offsets[b]) for label, up, a, b in found]
        return cls._made(code, found, "sql", tokens)

    @classmethod
    def _made(
        cls, code: str, found: list[tuple[str, int, int, int]], language: str, tokens: Scored
    ) -> "ProgramTree":
        source = code.encode("utf-8", "replace")
        spans = _grown([(start, end) for *_, start, end in found], [up for _, up, *_ in found])
        spans[:1] = [(0, len(source))] * len(spans[:1])  # the root owns what nobody else does
        costs = _costs(source, spans, tokens)
        nodes = (
            Node(label, up, start, end, cost)
            for (label, up, *_), (start, end), cost in zip(found, spans, costs, strict=True)
        )
        return cls(code, tuple(nodes), language)

    def like(self, code: str) -> "ProgramTree":
        """Parse another program of the same language, without costs."""
        parse = ProgramTree.from_python if self.language == "python" else ProgramTree.from_sql
        return parse(code)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """The numbers of each node's children, in order."""
        found: list[list[int]] = [[] for _ in self.nodes]
        for number, node in enumerate(self.nodes):
            if node.parent >= 0:
                found[node.parent].append(number)
        return tuple(tuple(row) for row in found)

    def __len__(self) -> int:
        return len(self.nodes)


def scored_tokens(sample: Sample[str], vocabulary: Vocabulary) -> list[tuple[bytes, float]]:
    """Return the tokens of a draw of `LocalLM(logprobs=0)` with their log-probabilities.

    They are bytes of the draw's text: a character that several tokens spell belongs to the last of
    them, and bytes that spell none stand as the replacement character.

    Raises:
        InvalidArgument: the draw has no log-probabilities.
    """
    ids, values = sample.info.get("tokens"), sample.info.get("token_logprobs")
    if ids is None or values is None or len(ids) != len(values):
        raise InvalidArgument(
            "scored_tokens: the draw has no log-probability for each token; draw with "
            "LocalLM(logprobs=0)."
        )
    spell = codecs.getincrementaldecoder("utf-8")("replace")
    last = len(ids) - 1
    written = [spell.decode(vocabulary.tokens[i], k == last).encode() for k, i in enumerate(ids)]
    return list(zip(written, values, strict=True))


def _walk_python(root: ast.AST, code: str) -> Iterator[tuple[str, int, int, int]]:
    """Yield (label, parent, start, end) of every node, parents first."""
    starts = [0]
    for line in code.encode("utf-8", "replace").splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    todo: list[tuple[Any, int]] = [(root, -1)]
    number = 0
    while todo:
        node, parent = todo.pop()
        said: list[str] = [type(node).__name__]
        children: list[Any] = []
        for name, value in ast.iter_fields(node):
            values = value if isinstance(value, list) else [value]
            inner = [v for v in values if isinstance(v, ast.AST) and hasattr(v, "_fields")]
            tree = [v for v in inner if not isinstance(v, _SIGNS)]
            signs = [type(v).__name__ for v in inner if isinstance(v, _SIGNS)]
            plain = [repr(v) for v in values if not isinstance(v, ast.AST) and v is not None]
            if name not in ("ctx", "kind", "type_comment", "type_ignores"):
                said.append(f"{name}={len(tree)}{''.join(signs)}{''.join(plain)}")
                children += tree
        start = end = -1
        if hasattr(node, "end_col_offset"):
            start = starts[node.lineno - 1] + node.col_offset
            end = starts[node.end_lineno - 1] + node.end_col_offset
        yield " ".join(said), parent, start, end
        todo += [(child, number) for child in reversed(children)]
        number += 1


_SIGNS = (ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context)


def _walk_sql(root: Any) -> Iterator[tuple[str, int, int, int]]:
    """Yield (label, parent, start, end) of every node, parents first; ends in characters."""
    from sqlglot import exp

    kind: Any = exp.Expression  # pyright: ignore  # the library's types do not export it
    todo: list[tuple[Any, int]] = [(root, -1)]
    number = 0
    while todo:
        node, parent = todo.pop()
        said: list[str] = [type(node).__name__]
        children: list[Any] = []
        for name, value in sorted(node.args.items()):
            values = value if isinstance(value, list) else [value]
            tree = [v for v in values if isinstance(v, kind)]
            plain = [repr(v) for v in values if v is not None and not isinstance(v, kind)]
            if tree or any(word not in ("False", "''") for word in plain):
                said.append(f"{name}={len(tree)}{''.join(plain)}")
            children += tree
        start, end = node.meta.get("start", -1), node.meta.get("end", -2) + 1
        yield " ".join(said), parent, start, end
        todo += [(child, number) for child in reversed(children)]
        number += 1


def _grown(spans: list[tuple[int, int]], parents: list[int]) -> list[tuple[int, int]]:
    """Let every node reach over its children; one without any place stands, empty, at 0."""
    grown = [list(span) for span in spans]
    for number in range(len(spans) - 1, 0, -1):
        start, end = grown[number]
        if start < 0:
            continue
        up = grown[parents[number]]
        if up[0] < 0:
            up[:] = [start, end]
        else:
            up[:] = [min(up[0], start), max(up[1], end)]
    return [(0, 0) if start < 0 else (start, end) for start, end in grown]


def _costs(source: bytes, spans: list[tuple[int, int]], tokens: Scored) -> list[float]:
    """Share the tokens out, each to the node that owns most of its bytes, the first of equals."""
    costs = [0.0] * len(spans)
    if not tokens or not spans:
        return costs
    owner = [0] * len(source)
    for number, (start, end) in enumerate(spans):  # children come later, and so own in the end
        owner[start:end] = [number] * (end - start)
    written = b"".join(token for token, _ in tokens)
    at = -written.find(source)
    if at > 0:
        raise InvalidArgument(
            f"ProgramTree: the tokens spell {written[:80]!r}, which does not hold the program "
            f"{source[:80]!r}."
        )
    for token, logprob in tokens:
        owned = [owner[i] for i in range(max(at, 0), min(at + len(token), len(source)))]
        at += len(token)
        if owned:
            costs[max(owned, key=owned.count)] -= logprob
    return [min(MOST, max(0.0, cost)) for cost in costs]
