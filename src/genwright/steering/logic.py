"""What a text must and must not say, as clauses of words: a formula in conjunctive normal form.

A literal is a word that must occur, or with `!` before it one that must not; a clause holds where
one of its literals does, and a text must satisfy every clause: `(("dance", "dances"), ("!not",))`.
Choose `NeurologicBeam` to write such texts well: it looks for a likely text that satisfies all.
`CNF` itself is a constraint, for sampling and for use beside grammars (`Intersection`); it forbids
the end until every clause holds, and leaves it to the model to come to the words.

Lu et al. 2021, "NeuroLogic Decoding: (Un)supervised Neural Text Generation with Predicate Logic
Constraints", arXiv:2010.12884, Section 2.2: at any moment a clause is satisfied or not, and what it
is can change later (reversible) or not (irreversible).

Ours: a literal is found in the text, letter by letter, and not in the tokens, so that every way to
cut a word into tokens counts, and `dancer` is no `dance`. A word at the very end of a text counts
for as long as no further letter is written.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from genwright.core import ConstraintError, InvalidArgument, Vocabulary, method
from genwright.steering.python_machine import CompiledMachine, PythonMachine

PAPER = "arXiv:2010.12884"
NOT = "!"
GAP = 0x20
"""What every byte outside words is read as, and what stands before a draw."""

State = tuple[int, ...]
"""How much of each literal's text stands at the end; its whole length once it has occurred."""

Clauses = tuple[tuple[str, ...], ...]


class Status(Enum):
    """Where a clause stands; the value says it in words."""

    SATISFIED = "satisfied for good"
    HOLDS = "satisfied, and may be so no longer"
    OPEN = "not satisfied yet"
    VIOLATED = "violated for good"

    @property
    def met(self) -> bool:
        """Whether a text that ended now would satisfy the clause."""
        return self in (Status.SATISFIED, Status.HOLDS)


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class CNF:
    """The texts that satisfy every clause.

    Args:
        clauses: of literals, at least one each: a text that must occur, or `!` and a text that must
            not. No clauses allow every text.
        whole: whether a literal counts only where no letter or digit (and no byte outside ASCII)
            stands next to it; capital letters then count as small ones. False looks for the very
            bytes, inside words too.

    Raises:
        InvalidArgument: a clause without literals, or a literal without text.
    """

    clauses: Sequence[Sequence[str]] = ()
    whole: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.clauses, str) or any(isinstance(c, str) for c in self.clauses):
            raise InvalidArgument(
                f"CNF: clauses must be lists of literals, such as [['a', 'b'], ['!c']], got "
                f"{self.clauses!r:.200}."
            )
        object.__setattr__(self, "clauses", tuple(tuple(clause) for clause in self.clauses))
        for clause in self.clauses:
            if not clause or any(not text.removeprefix(NOT).strip() for text in clause):
                raise InvalidArgument(
                    f"CNF: a clause needs a literal, and a literal a text, got {list(clause)!r}."
                )

    def compile(self, vocabulary: Vocabulary) -> CompiledMachine:
        """Prepare for one vocabulary.

        Raises:
            ConstraintError: the clauses contradict, or no token may come first.
        """
        logic = self.logic()

        def step(state: Hashable, byte: int) -> Hashable | None:
            after = logic.step(state, byte)  # pyright: ignore[reportArgumentType]
            return None if logic.dead(after) else after

        def done(state: Hashable) -> bool:
            return logic.complete(state)  # pyright: ignore[reportArgumentType]

        return PythonMachine(begin=logic.begin, step=step, done=done).compile(vocabulary)

    def logic(self) -> "Logic":
        """Return what reads a text and knows where every clause stands.

        Raises:
            ConstraintError: the clauses contradict; the message names those that do.
        """
        return _logic(tuple(tuple(c) for c in self.clauses), self.whole)

    def holds(self, text: str) -> bool:
        """Tell whether a text satisfies every clause."""
        logic = self._unchecked()
        return logic.complete(logic.read(logic.begin, text.encode()))

    def _unchecked(self) -> "Logic":
        return Logic(tuple(tuple(c) for c in self.clauses), self.whole)


@lru_cache(256)
def _logic(clauses: Clauses, whole: bool) -> "Logic":
    logic = Logic(clauses, whole)
    if (guilty := logic.contradiction()) is not None:
        said = "; ".join(" or ".join(clause) for clause in guilty)
        raise ConstraintError(f"CNF: the clauses contradict, no text satisfies: {said}.")
    return logic


class Logic:
    """The literals of a formula as Knuth-Morris-Pratt automata over bytes, read side by side.

    Knuth, Morris and Pratt 1977, "Fast Pattern Matching in Strings", SIAM Journal on Computing 6:
    after a mismatch, the longest ending that still begins the pattern is kept.

    Args:
        clauses: of literals.
        whole: whether literals are whole words.
    """

    def __init__(self, clauses: Clauses, whole: bool) -> None:
        self.clauses, self.whole = clauses, whole
        self.texts = list(dict.fromkeys(t.removeprefix(NOT) for c in clauses for t in c))
        at = {text: i for i, text in enumerate(self.texts)}
        self.positive = [tuple(at[t] for t in c if not t.startswith(NOT)) for c in clauses]
        self.negative = [tuple(at[t[1:]] for t in c if t.startswith(NOT)) for c in clauses]
        self.patterns = [pattern(text, whole) for text in self.texts]
        self._tables = [_table(found, whole) for found in self.patterns]
        self.begin: State = (int(whole),) * len(self.texts)  # a gap stands before the draw

    def step(self, state: State, byte: int) -> State:
        """Read one byte."""
        return tuple([table[here][byte] for table, here in zip(self._tables, state, strict=True)])

    def read(self, state: State, data: bytes) -> State:
        """Read bytes."""
        for byte in data:
            state = self.step(state, byte)
        return state

    def occurred(self, state: State, literal: int) -> bool:
        """Tell whether a literal has occurred, whatever follows."""
        return state[literal] == len(self.patterns[literal])

    def stands(self, state: State, literal: int) -> bool:
        """Tell whether a literal would have occurred if the text ended here."""
        return state[literal] >= len(self.patterns[literal]) - self.whole

    def status(self, state: State) -> list[Status]:
        """Return where each clause stands."""
        return [self._status(state, i) for i in range(len(self.clauses))]

    def _status(self, state: State, clause: int) -> Status:
        positive, negative = self.positive[clause], self.negative[clause]
        if any(self.occurred(state, i) for i in positive):
            return Status.SATISFIED
        if any(self.stands(state, i) for i in positive):
            return Status.HOLDS
        if not all(self.stands(state, i) for i in negative):
            return Status.HOLDS if negative else Status.OPEN
        gone = all(self.occurred(state, i) for i in negative)
        return Status.VIOLATED if gone and not positive else Status.OPEN

    def complete(self, state: State) -> bool:
        """Tell whether a text that ended here would satisfy every clause."""
        return all(status.met for status in self.status(state))

    def dead(self, state: State) -> bool:
        """Tell whether a clause is violated for good."""
        return Status.VIOLATED in self.status(state)

    def contradiction(self) -> list[tuple[str, ...]] | None:
        """Return clauses that no text satisfies together, or None where none are found.

        A text that holds a literal holds every literal inside it; beyond that, literals are taken
        to be free. A search by cases, clause by clause, shortest first.
        """
        inside = [
            {j for j, small in enumerate(self.patterns) if _contains(large, small)}
            for large in self.patterns
        ]
        order = sorted(range(len(self.clauses)), key=lambda i: len(self.clauses[i]))
        deepest = 0

        def fits(depth: int, true: frozenset[int], false: frozenset[int]) -> bool:
            nonlocal deepest
            deepest = max(deepest, depth)
            if depth == len(order):
                return True
            clause = order[depth]
            for i in self.positive[clause]:
                if not inside[i] & false and fits(depth + 1, true | inside[i], false):
                    return True
            return any(
                i not in true and fits(depth + 1, true, false | {i}) for i in self.negative[clause]
            )

        if fits(0, frozenset(), frozenset()):
            return None
        return [self.clauses[i] for i in order[: deepest + 1]]


def pattern(text: str, whole: bool) -> bytes:
    """Return the bytes that are looked for: with gaps around them where words are."""
    data = text.encode()
    return bytes([GAP, *map(_fold, data), GAP]) if whole else data


def _fold(byte: int) -> int:
    """Read a byte of words: letters as small ones, all that is in no word as a gap."""
    if byte >= 0x80 or bytes([byte]).isalnum():
        return ord(bytes([byte]).lower())
    return GAP


FOLDED = tuple(map(_fold, range(256)))


def _table(wanted: bytes, whole: bool) -> list[list[int]]:
    """Return [length + 1][256]: how much of a pattern stands at the end after one more byte."""
    fallback, tables = 0, list[list[int]]()
    for here, byte in enumerate(wanted):
        row = list(tables[fallback]) if here else [0] * 256
        if here:
            fallback = tables[fallback][byte]
        row[byte] = here + 1
        tables.append(row)
    tables.append([len(wanted)] * 256)  # it has occurred, and nothing undoes that
    return [[row[FOLDED[b]] for b in range(256)] for row in tables] if whole else tables


def _contains(large: bytes, small: bytes) -> bool:
    return small in large
