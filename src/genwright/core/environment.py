"""What a run ran on, where its data is, and what must never be written down."""

import os
import platform
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

_PACKAGES = ("genwright", "numpy", "torch", "transformers", "peft", "llguidance", "xgrammar")

_SECRET_NAME = re.compile(
    r"(api|access|auth|secret|private|session)_?-?(key|token)|^secret|password|passwd|authorization"
    r"|^token$|credential",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"\b(sk|pk|rk)-[A-Za-z0-9_-]{16,}|\bhf_[A-Za-z0-9]{16,}|\bgh[opsur]_[A-Za-z0-9]{16,}"
    r"|\bgithub_pat_\w{16,}|\bA[KS]IA[A-Z0-9]{16}\b|\bAIza[\w-]{30,}|\bxox[abprs]-[\w-]{10,}"
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,}|(?<=[Bb]earer )[\w.~+/-]{8,}|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)


@cache
def environment() -> dict[str, Any]:
    """Return versions and the kind of machine; no host, user or folder names."""
    versions: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "packages": versions,
    }


def data_folder() -> Path:
    """Return the folder of `GENWRIGHT_DATA`, or `../shared/data` from here where it is not set.

    It holds data that is too large for the package.
    """
    return Path(os.environ.get("GENWRIGHT_DATA") or Path("..") / "shared" / "data")


def redact(thing: Any) -> Any:
    """Return a copy of JSON-like data with `"***"` for whatever looks like a key or password."""
    if isinstance(thing, str):
        # The address of an object says nothing, and differs from process to process.
        return _SECRET_VALUE.sub("***", re.sub(r" at 0x[0-9a-f]+", "", thing))
    if isinstance(thing, Mapping):
        pairs = cast("Mapping[Any, Any]", thing).items()
        return {
            key: "***"
            if isinstance(value, str) and _SECRET_NAME.search(str(key))
            else redact(value)
            for key, value in pairs
        }
    if isinstance(thing, list | tuple):
        return [redact(item) for item in cast("list[Any]", thing)]
    return thing
