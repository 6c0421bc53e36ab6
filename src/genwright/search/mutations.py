"""Where new programs come from: small random changes of old ones, or nothing but chance.

`Mutations` is the generator of an evolutionary search: its prompt is the population, and a draw is
a changed (or unchanged) member of it. `RandomPrograms` ignores its prompt and draws programs
afresh: the control that any search must beat.

Real et al. 2023, "AutoNumerics-Zero", arXiv:2312.08472: a change inserts a vertex (weight 1),
removes one (2) or rewires an edge (3), again and again until the program is another one; half of
the offspring are clones, whose constants are fitted again from other starts. Every draw ends in
`@ N`, the number of its start. Ours: programs are in simplified form; one that would have too many
operations is drawn again; a new source of an edge is, as likely as any vertex there is, a constant
of its own. Without that, constants are shared more often than not, and 1,500 programs for 2^x came
no further than the best line.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genwright.core import InvalidArgument, Samples, child_seed, method
from genwright.search.symbolic import SYMBOLS, Program, simplify

CONSTANT = "constant"
_ATTEMPTS = 1000


def with_start(program: Program, start: int) -> str:
    """Write a program down with the number of the start of its constants."""
    return f"{program} @ {start}"


def read_start(text: str) -> tuple[Program, int]:
    """Undo `with_start`. A text without a number has start 0.

    Raises:
        InvalidArgument: no program, or no number.
    """
    program, mark, start = text.partition("@")
    digits = start.strip()
    if mark and not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise InvalidArgument(f"Program: '@' must be followed by a number, got {digits[:20]!r}.")
    return Program.parse(program), int(digits or 0)


@method(paper="arXiv:2312.08472")
@dataclass(frozen=True, kw_only=True)
class Mutations:
    """Draw children of the programs in the prompt, each parent equally often.

    Args:
        operations: those that may be inserted, of `add`, `sub`, `mul` and `div`.
        max_operations: the most that a child may have, 1 or more. The paper allows 100 vertices.
        identity_rate: share of children that are their parent with another start.
        weights: of inserting a vertex, removing one and rewiring an edge.

    Raises:
        InvalidArgument: an unknown operation, or numbers out of their range.
    """

    operations: tuple[str, ...] = tuple(SYMBOLS)
    max_operations: int = 100
    identity_rate: float = 0.5
    weights: tuple[float, float, float] = (1.0, 2.0, 3.0)

    def __post_init__(self) -> None:
        check_operations("Mutations", self.operations, self.max_operations)
        if not 0 <= self.identity_rate < 1:
            raise InvalidArgument(
                f"Mutations: identity_rate must be in [0, 1), got {self.identity_rate}."
            )
        if len(self.weights) != 3 or min(self.weights) < 0 or self.weights[0] <= 0:
            raise InvalidArgument(
                f"Mutations: weights must be three numbers, 0 or more, the first above 0, got "
                f"{self.weights}."
            )

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[str]:
        """Draw n children.

        Args:
            prompt: the text of a program, or a list of such texts.
            n: how many.
            seed: of the draws.
            first: index of the first draw.

        Raises:
            InvalidArgument: an empty prompt, or a text that is no program.
        """
        texts = [prompt] if isinstance(prompt, str) else list(prompt)
        if not texts:
            raise InvalidArgument("Mutations: the prompt must hold at least one program.")
        parents = [simplify(read_start(text)[0]) for text in texts]
        return Samples([self._child(parents, child_seed(seed, first + i)) for i in range(n)])

    def _child(self, parents: Sequence[Program], seed: int) -> str:
        rng = random.Random(seed)
        parent = rng.choice(parents)
        start = rng.randrange(2**31)
        if rng.random() < self.identity_rate:
            return with_start(parent, start)
        child = parent
        for _ in range(_ATTEMPTS):
            child = mutate(child, rng, self.operations, self.weights)
            if len(child.operations) > self.max_operations:
                child = parent
            if child != parent:
                break
        return with_start(child, start)


@method()
@dataclass(frozen=True, kw_only=True)
class RandomPrograms:
    """Draw programs from nothing: first how many operations, each number equally likely.

    An operand is the input, a fresh constant or an earlier result; programs in which something does
    not count are drawn again.

    Args:
        operations: of `add`, `sub`, `mul` and `div`.
        max_operations: the most, 1 or more.

    Raises:
        InvalidArgument: an unknown operation, or numbers out of their range.
    """

    operations: tuple[str, ...] = tuple(SYMBOLS)
    max_operations: int = 8

    def __post_init__(self) -> None:
        check_operations("RandomPrograms", self.operations, self.max_operations)

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[str]:
        """Draw n programs; the prompt has no say."""
        return Samples([self._draw(child_seed(seed, first + i)) for i in range(n)])

    def _draw(self, seed: int) -> str:
        rng = random.Random(seed)
        size = rng.randint(1, self.max_operations)
        while True:
            operations: list[tuple[str, int, int]] = []
            first = 1 + 2 * size  # a constant of its own for every operand; few will be used
            for i in range(size):
                name = rng.choice(self.operations)
                operands = [self._operand(rng, 2 * i + side, first, i) for side in (0, 1)]
                operations.append((name, operands[0], operands[1]))
            program = simplify(Program(2 * size, tuple(operations), first + size - 1))
            if len(program.operations) == size:
                return with_start(program, rng.randrange(2**31))

    @staticmethod
    def _operand(rng: random.Random, constant: int, first: int, made: int) -> int:
        """Choose x, the operand's own constant, or one of the results made so far."""
        chosen = rng.randrange(2 + made)
        return (0, 1 + constant)[chosen] if chosen < 2 else first + chosen - 2


def mutate(
    program: Program,
    rng: random.Random,
    operations: Sequence[str],
    weights: Sequence[float] = (1.0, 2.0, 3.0),
) -> Program:
    """Return the program, simplified, after one random change, which may come to nothing.

    Args:
        program: what to change.
        rng: the randomness.
        operations: those that may be inserted.
        weights: of inserting a vertex, removing one and rewiring an edge.
    """
    graph = _Graph(program, rng, [*operations, CONSTANT])
    rng.choices((graph.insert, graph.remove, graph.rewire), weights)[0]()
    return graph.program()


class _Graph:
    """A program as vertices that know their sources; vertex 0 is x, vertex 1 the result."""

    def __init__(self, program: Program, rng: random.Random, allowed: Sequence[str]) -> None:
        number = [0, *range(2, 2 + program.constants + len(program.operations))]
        self.kinds = ["x", "result"] + [CONSTANT] * program.constants
        self.sources: list[list[int]] = [[], [number[program.output]]]
        self.sources += [[] for _ in range(program.constants)]
        for name, left, right in program.operations:
            self.kinds.append(name)
            self.sources.append([number[left], number[right]])
        self.rng = rng
        self.allowed = allowed

    def insert(self) -> None:
        """Put a new vertex on an edge; a constant takes the place of the edge's source."""
        vertex, slot = self._edge()
        kind = self.rng.choice(self.allowed)
        sources: list[int] = []
        if kind != CONSTANT:
            sources = [self.sources[vertex][slot], self._source(vertex)]
            self.rng.shuffle(sources)
        self.kinds.append(kind)
        self.sources.append(sources)
        self.sources[vertex][slot] = len(self.kinds) - 1

    def remove(self) -> None:
        """Take a vertex out; one of its sources, or any other vertex, takes its place."""
        if len(self.kinds) == 2:
            return
        vertex = self.rng.randrange(2, len(self.kinds))
        instead = self.rng.choice(self.sources[vertex]) if self.sources[vertex] else None
        for other, sources in enumerate(self.sources):
            for slot, source in enumerate(sources):
                if source == vertex:
                    sources[slot] = self._source(other, vertex) if instead is None else instead

    def rewire(self) -> None:
        """Give an edge another source."""
        vertex, slot = self._edge()
        self.sources[vertex][slot] = self._source(vertex)

    def program(self) -> Program:
        """Return the simplified program."""
        order: list[int] = []
        done: set[int] = set()

        def visit(vertex: int) -> None:
            if vertex not in done:
                done.add(vertex)
                for source in self.sources[vertex]:
                    visit(source)
                order.append(vertex)

        visit(1)
        constants = [v for v in order if self.kinds[v] == CONSTANT]
        steps = [v for v in order if self.kinds[v] in SYMBOLS]
        number = {0: 0} | {v: 1 + i for i, v in enumerate([*constants, *steps])}
        operations = [
            (self.kinds[v], number[self.sources[v][0]], number[self.sources[v][1]]) for v in steps
        ]
        output = number[self.sources[1][0]]
        return simplify(Program(len(constants), tuple(operations), output))

    def _edge(self) -> tuple[int, int]:
        edges = [(v, slot) for v, found in enumerate(self.sources) for slot in range(len(found))]
        return self.rng.choice(edges)

    def _source(self, vertex: int, but: int = -1) -> int:
        """Choose a new constant, or a vertex that does not follow `vertex`: no circle may arise."""
        follows = {vertex}
        while True:
            more = {v for v, found in enumerate(self.sources) if not follows.isdisjoint(found)}
            if more <= follows:
                break
            follows |= more
        allowed = [v for v in range(len(self.kinds)) if v not in follows and v not in (1, but)]
        chosen = self.rng.choice([*allowed, -1])
        if chosen < 0:
            self.kinds.append(CONSTANT)
            self.sources.append([])
            chosen = len(self.kinds) - 1
        return chosen


def check_operations(owner: str, operations: Sequence[str], max_operations: int) -> None:
    """Refuse operations that do not exist, and limits below 1.

    Raises:
        InvalidArgument: names the owner.
    """
    if not operations or any(name not in SYMBOLS for name in operations):
        raise InvalidArgument(
            f"{owner}: operations must be of {', '.join(SYMBOLS)}, got {list(operations)}."
        )
    if max_operations < 1:
        raise InvalidArgument(f"{owner}: max_operations must be 1 or more, got {max_operations}.")
