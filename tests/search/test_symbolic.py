"""Programs count, compute and derive as by hand, and their exports give the same bits."""

import ctypes
import shutil
import subprocess
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.core import InvalidArgument
from genwright.search.mutations import RandomPrograms, read_start
from genwright.search.symbolic import (
    Program,
    evaluate,
    jacobian,
    simplify,
    to_c,
    to_latex,
    to_python,
)

BY_HAND = {
    "x": 0,
    "c0": 0,
    "v0 = x * c0; v0": 1,
    "v0 = c2 * x; v1 = v0 + c1; v2 = v1 * x; v3 = v2 + c0; v3": 4,  # Horner, degree 2
    "v0 = c2 * x; v1 = v0 + c1; v2 = v1 * x; v3 = v2 + c0; v4 = v3 * v3; v4": 5,
    "v0 = x * c0; v1 = c0 * x; v2 = v0 + v1; v2": 2,  # one product, written twice
    "v0 = x * c0; v1 = x - c1; v0": 1,  # v1 is dead
    "v0 = c0 * c1; v1 = v0 + x; v1": 1,  # a product of constants is a constant
    "v0 = x - x; v1 = v0 + x; v1": 1,  # x - x is a constant
    "v0 = x / x; v0": 0,
    "v0 = x * x; v1 = x * x; v2 = v0 / v1; v3 = v2 * x; v3": 1,
    "v0 = x - c0; v1 = c0 - x; v2 = v0 * v1; v2": 3,  # subtraction has an order
    "v0 = c1 / x; v1 = c1 / x; v2 = v0 + c0; v3 = v2 * v1; v3": 3,
}


def programs(n, seed=0, size=8):
    values = RandomPrograms(max_operations=size).sample("", n, seed=seed).values
    return [read_start(value)[0] for value in values]


@pytest.mark.parametrize(("text", "operations"), BY_HAND.items())
def test_operations_are_counted_as_by_hand(text, operations):
    assert len(simplify(Program.parse(text)).operations) == operations


@given(st.integers(0, 2**32))
@settings(max_examples=50)
def test_text_and_program_say_the_same(seed):
    (program,) = programs(1, seed)
    assert Program.parse(str(program)) == program
    assert simplify(program) == program


def test_simplifying_changes_no_value():
    """Where the constants of the short program are what the long one makes of its own."""
    long = Program.parse("v0 = c0 * x; v1 = x * c0; v2 = v0 + v1; v3 = x * c1; v4 = v2 * v2; v4")
    short = simplify(long)
    assert (short.constants, len(short.operations)) == (1, 3)
    x = np.linspace(0.1, 2, 7)
    both = evaluate(long, x, np.array([[0.7, 9.0]])), evaluate(short, x, np.array([[0.7]]))
    assert (both[0] == both[1]).all()


def test_a_batch_of_constants_gives_what_each_gives_alone():
    x, rng = np.linspace(0, 1, 11), np.random.default_rng(0)
    for program in programs(40):
        constants = rng.normal(size=(5, program.constants))
        together = evaluate(program, x, constants)
        assert together.shape == (5, 11)
        for row, values in zip(constants, together, strict=True):
            assert np.array_equal(evaluate(program, x, row[None])[0], values, equal_nan=True)


def test_derivatives_are_those_of_complex_steps():
    """A step of 1e-30 i cancels nothing: the imaginary part is the derivative to the last digits.

    Numbers stay away from poles, where rounding is what one sees.
    """
    x, rng, seen = np.linspace(0.2, 0.9, 5), np.random.default_rng(1), 0
    for program in programs(120, seed=1):
        constants = rng.uniform(1, 2, (1, program.constants))
        values, slopes = jacobian(program, x, constants)
        if not np.isfinite(values).all() or np.abs(values).max() > 1e4:
            continue
        for c in range(program.constants):
            step = constants.astype(complex)
            step[0, c] += 1e-30j
            expected = evaluate(program, x.astype(complex), step)[0].imag / 1e-30
            assert slopes[0, :, c] == pytest.approx(expected, rel=1e-7, abs=1e-9)
            seen += 1
    assert seen > 100


def run_python(program, constants, x):
    space = {}
    exec(to_python(program, constants), space)
    return [float(space["f"](float(value))) for value in x]


def test_python_gives_the_same_bits():
    x, rng = np.linspace(0.01, 1, 50), np.random.default_rng(2)
    for program in programs(60, seed=2):
        constants = rng.normal(size=program.constants)
        expected = evaluate(program, x, constants[None])[0]
        if np.isfinite(expected).all():  # Python raises where NumPy gives infinity
            assert run_python(program, constants, x) == list(expected)


def test_c_gives_the_same_bits(tmp_path):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    x, rng, made = np.linspace(0.01, 1, 50), np.random.default_rng(3), []
    for i, program in enumerate(programs(60, seed=3)):
        made.append((program, rng.normal(size=program.constants), f"f{i}"))
    source = tmp_path / "f.c"
    source.write_text("\n".join(to_c(*one) for one in made))
    flags = ["-O2", "-ffp-contract=off", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, str(source), "-o", str(tmp_path / "f.so")], check=True)
    library = ctypes.CDLL(str(tmp_path / "f.so"))
    for program, constants, name in made:
        function = getattr(library, name)
        function.argtypes, function.restype = [ctypes.c_double], ctypes.c_double
        expected = evaluate(program, x, constants[None])[0]
        found = np.array([function(value) for value in x])
        assert np.array_equal(found, expected, equal_nan=True), program


def test_latex_brackets_what_binds_less():
    program = Program.parse("v0 = x + c0; v1 = v0 * v0; v2 = c1 / v1; v3 = v2 - v0; v3")
    formula = to_latex(program, (-2.0, 1e-9))
    assert formula == (
        r"\frac{1 \cdot 10^{-9}}{\left(x + \left(-2\right)\right)^{2}}"
        r" - \left(x + \left(-2\right)\right)"
    )
    assert to_latex(Program.parse("v0 = x * c0; v1 = v0 * v0; v1"), (0.5,)) == (
        r"\left(x \cdot 0.5\right)^{2}"
    )


def test_division_by_zero_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = evaluate(Program.parse("v0 = c0 / x; v0"), np.array([0.0, 1.0]), np.ones((1, 1)))
        jacobian(Program.parse("v0 = c0 / x; v0"), np.array([0.0, 1.0]), np.ones((1, 1)))
    assert list(values[0]) == [np.inf, 1.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is not of the form"),
        ("v0 = x ** x; v0", "'v0 = x ** x' is not of the form"),
        ("v0 = x + v1; v0", "v1 is used before"),
        ("v0 = x + x; v0 = x * x; v0", "v0 is assigned twice"),
        ("v0 = x + x; v1", "v1 is used before"),
        ("v0 = x + x; " * 2000 + "v0", "too many"),
    ],
)
def test_a_text_that_is_no_program_says_where(text, said):
    with pytest.raises(InvalidArgument, match=said.replace("*", r"\*")):
        Program.parse(text)


def test_a_program_refuses_values_that_are_not_there():
    with pytest.raises(InvalidArgument, match="operation 0 may use values 0 to 1"):
        Program(1, (("add", 0, 2),), 2)
    with pytest.raises(InvalidArgument, match="no value 3"):
        Program(1, (("add", 0, 1),), 3)
    with pytest.raises(InvalidArgument, match="must be one of add, sub"):
        Program(1, (("pow", 0, 1),), 2)
    with pytest.raises(InvalidArgument, match=r"\[batch, 1\]"):
        evaluate(Program.parse("v0 = x * c0; v0"), np.ones(2), np.ones((1, 2)))
