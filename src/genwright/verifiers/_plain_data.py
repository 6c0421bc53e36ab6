"""Plain data as JSON that keeps types apart: what crosses between a program and its tests.

Unlike pickle, reading it runs nothing. Imported by `_runner.py` in a bare interpreter too, so
standard library only.
"""

from typing import Any

ATOMS = (type(None), bool, str)


def encode(value: Any, depth: int = 0) -> Any:
    """Write plain data as JSON that keeps types apart.

    Raises:
        TypeError: not plain data: only exact built-in types are, since a subclass may bring an
            `__eq__` of its own.
    """
    kind = _exact_type(value)
    if kind in ATOMS:
        return value
    if depth > 200:
        raise TypeError("the value is nested deeper than 200 levels")
    if kind is int:
        return {"i": hex(value)}  # decimal digits would be quadratic, and Python limits them
    if kind is float:
        return {"f": value.hex()}
    if kind is complex:
        return {"c": [value.real.hex(), value.imag.hex()]}
    if kind in (bytes, bytearray):
        return {kind.__name__: value.hex()}
    if kind is range:
        return {"range": [hex(value.start), hex(value.stop), hex(value.step)]}
    if kind is list:
        return [encode(item, depth + 1) for item in value]
    if kind in (tuple, set, frozenset):
        return {kind.__name__: [encode(item, depth + 1) for item in value]}
    if kind is dict:
        pairs = [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in value.items()]
        return {"dict": pairs}
    raise TypeError(f"a value of type {kind.__name__} is not plain data")


def decode(data: Any) -> Any:
    """Undo `encode`. Data that `encode` did not write raises one error or another."""
    shape = _exact_type(data)
    if shape is list:
        return [decode(item) for item in data]
    if shape is not dict:
        return data
    ((kind, body),) = data.items()
    if kind == "i":
        return int(body, 16)
    if kind == "f":
        return float.fromhex(body)
    if kind == "c":
        return complex(*map(float.fromhex, body))
    if kind == "dict":
        return {decode(k): decode(v) for k, v in body}
    if kind == "range":
        return range(*(int(n, 16) for n in body))
    if kind in ("bytes", "bytearray"):
        return (bytes if kind == "bytes" else bytearray).fromhex(body)
    return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](decode(i) for i in body)


def _exact_type(value: Any) -> Any:
    return type(value)  # pyright: ignore[reportUnknownVariableType]
