"""What is written down comes back equal, in type and in bits."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genwright.core import Cost, InvalidArgument, LedgerError, Sample
from genwright.core.codec import decode, digest, dumps, encode, loads, stack

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=12,
)
ARRAYS = hnp.arrays(
    st.sampled_from(["f2", "f4", "f8", "i1", "i8", "u2", "?", "c8", "U3"]),
    hnp.array_shapes(min_dims=0),
)


@given(VALUES)
@example({"$tuple": [1]})  # a value that looks like our own notation
@example({"$dict": {"$dict": 1}})
@example("\ud800")  # a lone surrogate is no UTF-8
@example("a\0b")
@example([float("inf"), -0.0])
def test_json_like_values_come_back(value):
    again = decode(*encode(value))
    assert again == value
    assert repr(again) == repr(value)  # tells 1 from True, 0.0 from -0.0, a tuple from a list


@given(ARRAYS)
def test_arrays_come_back_bit_by_bit(array):
    again = decode(*encode(array))
    assert (again.dtype, again.shape, again.tobytes()) == (
        array.dtype,
        array.shape,
        array.tobytes(),
    )
    nested = loads(dumps({"x": [array]}))["x"][0]
    assert (nested.dtype, nested.tobytes()) == (array.dtype, array.tobytes())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "int64", "bool"])
def test_tensors_come_back_bit_by_bit(dtype):
    torch = pytest.importorskip("torch")
    tensor = torch.tensor([[0.0, 1.0], [-2.5, 3.0]]).to(getattr(torch, dtype))
    again = decode(*encode(tensor))
    assert again.dtype == tensor.dtype
    assert torch.equal(again, tensor)
    assert torch.equal(stack([tensor[0], tensor[1]]), tensor)


@given(VALUES, VALUES)
@example(1, True)
@example("1", 1)
@example([], ())
def test_digests_are_equal_exactly_when_values_are_written_alike(a, b):
    assert (digest(a) == digest(b)) == (dumps(a, canonical=True) == dumps(b, canonical=True))


def test_the_order_of_keys_does_not_change_a_digest():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})


def test_a_draw_inside_a_value_comes_back():
    sample = Sample(("x", 1), -0.5, Cost(draws=1, joules=2.0, joules_by="estimated"), {"k": [1]})
    assert loads(dumps(sample)) == sample


def test_numpy_scalars_keep_their_type_in_values_and_become_numbers_in_evidence():
    assert type(decode(*encode(np.float32(0.1)))) is np.float32
    assert loads(dumps({"p": np.float32(0.5)}, lossy=True)) == {"p": 0.5}


@dataclass(frozen=True)
class Local:
    x: int


def test_what_cannot_be_written_is_refused_or_named():
    assert decode(*encode(Local(3))) == Local(3)
    with pytest.raises(InvalidArgument, match=r"builtins\.object cannot be recorded"):
        encode([object()])
    with pytest.raises(InvalidArgument, match="array of objects"):
        encode(np.array([object()]))
    assert loads(dumps([object()], lossy=True)) == ["<builtins.object>"]


@pytest.mark.parametrize(
    "text", ['{"$object":["os","system",{}]}', '{"$object":["antigravity","x",{}]}']
)
def test_reading_a_ledger_calls_and_imports_nothing_of_its_choice(text):
    with pytest.raises(LedgerError, match=r"import .* before reading"):
        loads(text)


def test_damaged_or_unknown_data_is_a_ledger_error():
    with pytest.raises(LedgerError, match="cannot be read"):
        decode("npy", b"not an array")
    with pytest.raises(LedgerError, match="known are text"):
        decode("pickle", b"")
