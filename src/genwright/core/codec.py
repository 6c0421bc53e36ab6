"""Values as text or bytes, and back: how the ledger writes down what a generator makes.

A value becomes a pair (kind, data). Texts stay texts, so that SQL can read them; JSON-like values
become JSON; NumPy arrays and torch tensors become the bytes of a `.npy` file. What JSON lacks
(tuples, bytes, not-a-number, keys that are not texts, arrays and dataclasses inside a value) is a
table with one key that starts with `$`. `decode(*encode(value))` equals the value.

Nothing is pickled: reading a ledger that somebody else wrote runs no code of theirs. A dataclass is
rebuilt only if its module is already loaded or belongs to genwright.
"""

import base64
import importlib
import io
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from typing import Any, cast

import numpy as np

from genwright.core.errors import InvalidArgument, LedgerError, require

KINDS = ("text", "json", "npy", "scalar", "torch")
"""A text, JSON, a NumPy array, a NumPy scalar, a torch tensor."""


def encode(value: Any) -> tuple[str, str | bytes]:
    """Return (kind, data) of a value; data is text for the kinds text and json, else bytes.

    Raises:
        InvalidArgument: no kind fits the value, or something inside it.
    """
    if type(value) is str and _is_plain(value):
        return "text", value
    if isinstance(value, np.generic):
        return "scalar", _npy(np.asarray(cast("Any", value)))
    if isinstance(value, np.ndarray):
        return "npy", _npy(cast("Any", value))
    if _is_tensor(value):
        return "torch", _from_tensor(value)
    return "json", dumps(value)


def decode(kind: str, data: str | bytes) -> Any:
    """Undo `encode`.

    Raises:
        LedgerError: an unknown kind, or data that the kind cannot have.
        MissingExtra: a tensor, and torch is not installed.
    """
    if kind not in KINDS:
        raise LedgerError(f"a value of kind {kind!r} was recorded; known are {', '.join(KINDS)}.")
    if kind == "text":
        return data
    if kind == "json":
        return loads(cast("str", data))
    raw = bytes(cast("bytes", data))
    if kind == "torch":
        return _to_tensor(raw)
    array = _array(raw)
    return array[()] if kind == "scalar" else array


def dumps(value: Any, *, canonical: bool = False, lossy: bool = False) -> str:
    """Return a value as JSON.

    Args:
        value: JSON-like, possibly holding tuples, bytes, arrays, tensors and dataclasses.
        canonical: sort keys, so that equal values give equal text.
        lossy: for evidence: NumPy scalars become plain numbers, and what cannot be rebuilt
            becomes the name of its type instead of raising.

    Raises:
        InvalidArgument: the value holds something that cannot be written (unless `lossy`).
    """
    return json.dumps(
        _plain(value, lossy), sort_keys=canonical, separators=(",", ":"), allow_nan=False
    )


def loads(text: str) -> Any:
    """Undo `dumps`."""
    return json.loads(text, object_hook=_rebuild)


def digest(value: Any) -> str:
    """Return 32 hex digits that equal values share."""
    kind, data = encode(value)
    if kind == "json":
        data = dumps(value, canonical=True)
    raw = data if isinstance(data, bytes) else data.encode()
    return blake2b(kind.encode() + b":" + raw, digest_size=16).hexdigest()


def stack(values: list[Any]) -> Any:
    """Join draws that came as rows of one array or tensor into one again."""
    if values and _is_tensor(values[0]):
        return require("torch", extra="lm", needed_by="a recorded tensor").stack(values)
    return np.stack(values)


def _plain(value: Any, lossy: bool) -> Any:
    """Replace whatever JSON lacks by a table with one `$` key."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and not isinstance(value, np.generic):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, list):
        return [_plain(item, lossy) for item in cast("list[Any]", value)]
    if isinstance(value, tuple):
        return {"$tuple": [_plain(item, lossy) for item in cast("tuple[Any, ...]", value)]}
    if isinstance(value, Mapping):
        pairs = list(cast("Mapping[Any, Any]", value).items())
        if all(isinstance(key, str) for key, _ in pairs) and not _looks_tagged(pairs):
            return {key: _plain(item, lossy) for key, item in pairs}
        return {"$dict": [[_plain(key, lossy), _plain(item, lossy)] for key, item in pairs]}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if lossy and isinstance(value, np.generic):
        return _plain(cast("Any", value).item(), lossy)
    if isinstance(value, np.generic | np.ndarray) or _is_tensor(value):
        kind, data = encode(value)
        return {f"${kind}": base64.b64encode(cast("bytes", data)).decode()}
    if is_dataclass(value) and not isinstance(value, type):
        content = {f.name: _plain(getattr(value, f.name), lossy) for f in fields(value) if f.init}
        return {"$object": [type(value).__module__, type(value).__qualname__, content]}
    label = f"{type(value).__module__}.{type(value).__qualname__}"
    if lossy:
        return f"<{label}>"
    raise InvalidArgument(
        f"a value of type {label} cannot be recorded; it must be JSON-like, an array, a tensor or "
        "a dataclass of these."
    )


def _looks_tagged(pairs: list[tuple[Any, Any]]) -> bool:
    return len(pairs) == 1 and pairs[0][0].startswith("$")


def _rebuild(table: dict[str, Any]) -> Any:
    """Undo `_plain` for one table; JSON calls it from the inside out."""
    if len(table) != 1:
        return table
    tag, content = next(iter(table.items()))
    match tag:
        case "$float":
            return float(content)
        case "$tuple":
            return tuple(content)
        case "$dict":
            return {key: item for key, item in content}
        case "$bytes":
            return base64.b64decode(content)
        case "$npy" | "$scalar" | "$torch":
            return decode(tag[1:], base64.b64decode(content))
        case "$object":
            return _dataclass(*content)
        case _:
            return table


def _dataclass(module: str, name: str, content: dict[str, Any]) -> Any:
    if module not in sys.modules and module.partition(".")[0] == "genwright":
        importlib.import_module(module)
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and is_dataclass(found)):
        raise LedgerError(f"a {module}:{name} was recorded; import {module} before reading it.")
    return found(**content)


def _is_plain(text: str) -> bool:
    """Whether SQLite can keep the text as it is: no lone surrogate, and no zero character."""
    return (text.isascii() and "\0" not in text) or _is_utf8(text)


def _is_utf8(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _npy(array: Any) -> bytes:
    if array.dtype.hasobject:
        raise InvalidArgument("an array of objects cannot be recorded; use a list.")
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _array(raw: bytes) -> Any:
    try:
        return np.load(io.BytesIO(raw), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise LedgerError(f"a recorded array cannot be read: {error}.") from error


def _is_tensor(value: Any) -> bool:
    """Whether it is a torch tensor; torch itself stays out of core."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _from_tensor(tensor: Any) -> bytes:
    """Name of the dtype, a zero byte, and the `.npy` bytes; bfloat16 travels as its 16 bits."""
    plain = tensor.detach().cpu()
    name = str(plain.dtype).removeprefix("torch.")
    if name == "bfloat16":
        plain = plain.view(sys.modules["torch"].int16)
    return name.encode() + b"\0" + _npy(plain.numpy())


def _to_tensor(raw: bytes) -> Any:
    torch: Any = require("torch", extra="lm", needed_by="a recorded tensor")
    name, _, npy = raw.partition(b"\0")
    tensor = torch.from_numpy(_array(npy))
    return tensor.view(torch.bfloat16) if name == b"bfloat16" else tensor
