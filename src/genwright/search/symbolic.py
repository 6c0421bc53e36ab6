"""Short numeric programs of one variable: what a search over functions draws and scores.

A program is a directed acyclic graph of arithmetic operations over the input x and constants whose
values are not part of it. `evaluate` runs it for a whole batch of constant vectors at once;
`jacobian` also returns the derivatives by the constants, which is what fitting them needs;
`to_python`, `to_c` and `to_latex` write it down with its constants filled in.

As text, the form that a generator draws and the ledger keeps, a program is assignments separated by
semicolons, and last the name of its result: `v0 = x * c0; v1 = v0 + c1; v1`. Any text
that reads so is a program, whoever wrote it.

Real et al. 2023, "AutoNumerics-Zero: Automated Discovery of State-of-the-Art Mathematical
Functions", arXiv:2312.08472: programs as graphs; an operation counts if it works on x, directly or
not, and if the result depends on it. Ours: `simplify` also merges equal operations, so that a
sub-expression counts once however often it is written, and folds x - x and x / x.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import numpy as np
from numpy.typing import NDArray

from genwright.core import InvalidArgument

Array = NDArray[np.float64]

SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
"""The operations, and how they are written."""

_NAMES = {symbol: name for name, symbol in SYMBOLS.items()}
_VALUE = r"(x|c\d{1,3}|v\d{1,3})"
_ASSIGNMENT = re.compile(rf"\s*(v\d{{1,3}})\s*=\s*{_VALUE}\s*([-+*/])\s*{_VALUE}\s*")
_RESULT = re.compile(rf"\s*{_VALUE}\s*")
_LONGEST = 20_000


@dataclass(frozen=True)
class Program:
    """A graph in an order in which it can be computed.

    Values are numbered: 0 is x, then come the constants, then the results of the operations.

    Args:
        constants: how many there are.
        operations: (operation, left value, right value); both values come before it.
        output: number of the value that is the result.

    Raises:
        InvalidArgument: an unknown operation, or a value that is not there yet.
    """

    constants: int
    operations: tuple[tuple[str, int, int], ...]
    output: int

    def __post_init__(self) -> None:
        first = 1 + self.constants
        for i, (name, left, right) in enumerate(self.operations):
            if name not in SYMBOLS:
                raise InvalidArgument(
                    f"Program: an operation must be one of {', '.join(SYMBOLS)}, got {name!r}."
                )
            if not (0 <= left < first + i and 0 <= right < first + i):
                raise InvalidArgument(
                    f"Program: operation {i} may use values 0 to {first + i - 1}, got {left} and "
                    f"{right}."
                )
        if not 0 <= self.output < first + len(self.operations):
            raise InvalidArgument(f"Program: there is no value {self.output} to return.")

    def __str__(self) -> str:
        names = _value_names(self)
        lines = [
            f"{names[1 + self.constants + i]} = {names[left]} {SYMBOLS[name]} {names[right]}"
            for i, (name, left, right) in enumerate(self.operations)
        ]
        return "; ".join([*lines, names[self.output]])

    @classmethod
    def parse(cls, text: str) -> "Program":
        """Read a program from its text.

        Raises:
            InvalidArgument: the text is no program; the message names the first part that is not.
        """
        if len(text) > _LONGEST:
            raise InvalidArgument(f"Program: {len(text)} characters are too many for a program.")
        *assignments, result = text.split(";")
        read = [_read(_ASSIGNMENT, part) for part in assignments]
        (output,) = _read(_RESULT, result)
        used = [name for _, left, _, right in read for name in (left, right)] + [output]
        constants = sorted({name for name in used if name[0] == "c"}, key=lambda c: int(c[1:]))
        number = {"x": 0} | {name: 1 + i for i, name in enumerate(constants)}
        operations: list[tuple[str, int, int]] = []
        for name, left, symbol, right in read:
            operations.append((_NAMES[symbol], _known(number, left), _known(number, right)))
            if name in number:
                raise InvalidArgument(f"Program: {name} is assigned twice; give each its own name.")
            number[name] = len(constants) + len(operations)
        return cls(len(constants), tuple(operations), _known(number, output))


def simplify(program: Program) -> Program:
    """Return the program without whatever does not change what it can compute.

    Operations on constants alone become constants, since their values are free anyway; equal
    operations become one; x - x and x / x become constants; dead values and constants go. The
    number of operations left is what a program costs.
    """
    number: dict[int, int] = {0: 0}  # old value -> new value; constants get ids below 0 at first
    found: dict[tuple[str, int, int], int] = {}
    operations: list[tuple[str, int, int]] = []
    fresh = count(-1, -1)
    for i in range(program.constants):
        number[1 + i] = next(fresh)
    for i, (name, old_left, old_right) in enumerate(program.operations):
        left, right = number[old_left], number[old_right]
        if left > right and name in ("add", "mul"):
            left, right = right, left
        old = 1 + program.constants + i
        if (left < 0 and right < 0) or (left == right and name in ("sub", "div")):
            found.setdefault((name, left, right), next(fresh))
        elif (name, left, right) not in found:
            operations.append((name, left, right))
            found[name, left, right] = len(operations)  # 0 stays x
        number[old] = found[name, left, right]
    return _live(operations, number[program.output])


def _live(operations: Sequence[tuple[str, int, int]], output: int) -> Program:
    """Number what the output needs: value i + 1 is operation i, values below 0 are constants."""
    needed = {output}
    for i in range(len(operations), 0, -1):
        if i in needed:
            needed.update(operations[i - 1][1:])
    order = [v for v in range(1, len(operations) + 1) if v in needed]
    constants: list[int] = []
    for value in [v for i in order for v in operations[i - 1][1:]] + [output]:
        if value < 0 and value not in constants:
            constants.append(value)
    number = {0: 0} | {c: 1 + i for i, c in enumerate(constants)}
    number |= {v: 1 + len(constants) + i for i, v in enumerate(order)}
    kept = [operations[v - 1] for v in order]
    renumbered = tuple((name, number[left], number[right]) for name, left, right in kept)
    return Program(len(constants), renumbered, number[output])


def evaluate(program: Program, x: Array, constants: Array) -> Array:
    """Return float64[B, P]: the program's values at P points for each of B constant vectors.

    A division by zero gives an infinity or not-a-number, and no warning.

    Args:
        program: with C constants.
        x: float64[P].
        constants: float64[B, C].
    """
    shape = (len(constants), len(x))
    with np.errstate(all="ignore"):
        return np.broadcast_to(_values(program, x, constants)[program.output], shape)


def jacobian(program: Program, x: Array, constants: Array) -> tuple[Array, Array]:
    """Return the values, float64[B, P], and their derivatives by the constants, [B, P, C].

    One pass backwards through the program, whatever the number of constants.
    """
    shape = (len(constants), len(x))
    slopes = np.zeros((*shape, program.constants))
    with np.errstate(all="ignore"):
        values = _values(program, x, constants)
        adjoints: dict[int, Array] = {program.output: np.ones((1, 1))}
        depends = _depends(program)

        def add(value: int, adjoint: Array) -> None:
            if depends[value]:
                adjoints[value] = adjoints[value] + adjoint if value in adjoints else adjoint

        for i in range(len(program.operations) - 1, -1, -1):
            own = 1 + program.constants + i
            if own not in adjoints:
                continue
            name, left, right = program.operations[i]
            adjoint = adjoints.pop(own)
            if name in ("add", "sub"):
                add(left, adjoint)
                add(right, adjoint if name == "add" else -adjoint)
            elif name == "mul":
                add(left, adjoint * values[right])
                add(right, adjoint * values[left])
            else:
                share = adjoint / values[right]
                add(left, share)
                if depends[right]:
                    add(right, -share * values[own])
        for value, adjoint in adjoints.items():
            if 1 <= value <= program.constants:
                slopes[:, :, value - 1] = adjoint
    return np.broadcast_to(values[program.output], shape), slopes


def to_python(program: Program, constants: Sequence[float], name: str = "f") -> str:
    """Return the source of a Python function of x that computes the same bits as `evaluate`."""
    lines = [f"    {line}" for line in _lines(program, constants)]
    return "\n".join([f"def {name}(x):", *lines]) + "\n"


def to_c(program: Program, constants: Sequence[float], name: str = "f") -> str:
    """Return the source of a C function of a double.

    It computes the same bits as `evaluate` where the compiler keeps to IEEE 754 and fuses nothing:
    `-ffp-contract=off` with gcc and clang.
    """
    *body, result = _lines(program, constants)
    lines = [f"    const double {line};" for line in body] + [f"    {result};"]
    return "\n".join([f"double {name}(double x) {{", *lines, "}"]) + "\n"


def to_latex(program: Program, constants: Sequence[float], digits: int = 6) -> str:
    """Return one formula. What is used several times is written out each time."""
    texts: list[tuple[str, int]] = [("x", 3)]  # (text, how tightly it binds)
    for value in constants:
        texts.append((_latex_number(value, digits), 3 if value >= 0 else 1))
    for name, left, right in program.operations:
        if name == "div":
            texts.append((rf"\frac{{{texts[left][0]}}}{{{texts[right][0]}}}", 3))
        elif name == "mul":
            square = left == right
            base = _bracketed(texts[left], 3 if square else 2)
            product = f"{base}^{{2}}" if square else rf"{base} \cdot {_bracketed(texts[right], 2)}"
            texts.append((product, 2))
        else:
            other = _bracketed(texts[right], 2)
            texts.append((f"{texts[left][0]} {SYMBOLS[name]} {other}", 1))
    return texts[program.output][0]


def _values(program: Program, x: Array, constants: Array) -> list[Array]:
    if constants.ndim != 2 or constants.shape[1] != program.constants:
        raise InvalidArgument(
            f"evaluate: constants must be [batch, {program.constants}] for this program, got shape "
            f"{constants.shape}."
        )
    values: list[Array] = [x[None, :], *constants.T[:, :, None]]
    for name, left, right in program.operations:
        a, b = values[left], values[right]
        if name == "add":
            values.append(a + b)
        elif name == "sub":
            values.append(a - b)
        elif name == "mul":
            values.append(a * b)
        else:
            values.append(a / b)
    return values


@lru_cache(maxsize=256)
def _depends(program: Program) -> tuple[bool, ...]:
    """Tell of each value whether a constant goes into it."""
    depends = [False] + [True] * program.constants
    for _, left, right in program.operations:
        depends.append(depends[left] or depends[right])
    return tuple(depends)


def _value_names(program: Program) -> list[str]:
    constants = [f"c{i}" for i in range(program.constants)]
    return ["x", *constants, *(f"v{i}" for i in range(len(program.operations)))]


def _lines(program: Program, constants: Sequence[float]) -> list[str]:
    """Return one assignment an operation, constants filled in, and `return RESULT`."""
    names = _value_names(program)
    names[1 : 1 + program.constants] = [
        repr(float(c)) if c >= 0 else f"({float(c)!r})" for c in constants
    ]
    lines = [
        f"{names[1 + program.constants + i]} = {names[left]} {SYMBOLS[name]} {names[right]}"
        for i, (name, left, right) in enumerate(program.operations)
    ]
    return [*lines, f"return {names[program.output]}"]


def _latex_number(value: float, digits: int) -> str:
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def _bracketed(text: tuple[str, int], least: int) -> str:
    return text[0] if text[1] >= least else rf"\left({text[0]}\right)"


def _read(pattern: re.Pattern[str], part: str) -> tuple[str, ...]:
    found = pattern.fullmatch(part)
    if found is None:
        raise InvalidArgument(
            f"Program: {part.strip()[:40]!r} is not of the form 'v0 = x * c0', nor is it the name "
            "of a value at the end."
        )
    return found.groups()


def _known(number: dict[str, int], name: str) -> int:
    if name not in number:
        raise InvalidArgument(f"Program: {name} is used before it is assigned.")
    return number[name]
