"""Denoisers in folders: `denoiser.json` says what it is, `weights.safetensors` holds the weights.

Nothing is pickled, so that opening somebody else's model runs no code of theirs.
"""

import importlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from genwright.core import InvalidArgument, ModelNotFound, TrainingError, codec
from genwright.generators.diffusion.denoiser import Denoise, Denoiser
from genwright.generators.diffusion.drawing import device

SPEC, WEIGHTS = "denoiser.json", "weights.safetensors"


def save(denoiser: Denoiser, folder: str | Path) -> None:
    """Write a denoiser into a folder, made if it is not there.

    Raises:
        InvalidArgument: its network does not tell its settings, as those of `nets` do.
    """
    from safetensors.torch import save_file

    net, place = denoiser.net, Path(folder)
    kind = f"{type(net).__module__}:{type(net).__qualname__}"
    if not kind.startswith("genwright.nets.") or not hasattr(net, "settings"):
        raise InvalidArgument(f"save: only networks of genwright.nets can be saved, got {kind}.")
    place.mkdir(parents=True, exist_ok=True)
    told = {"net": kind, "settings": net.settings}
    told |= {"precondition": denoiser.precondition, "path": denoiser.path}
    (place / SPEC).write_text(codec.dumps(told), encoding="utf-8")
    tensors = {name: t.detach().cpu().contiguous() for name, t in net.state_dict().items()}
    save_file(tensors, place / WEIGHTS)


def load(folder: str | Path) -> Denoiser:
    """Return a denoiser of its own, on the processor; the folder may be named by its SPEC file.

    Raises:
        ModelNotFound: no denoiser is there.
        TrainingError: the weights are those of another configuration.
    """
    from safetensors.torch import load_file

    place = _folder(folder)
    if not (place / SPEC).is_file() or not (place / WEIGHTS).is_file():
        raise ModelNotFound(
            f"no denoiser is in {str(place)!r}: a trained one holds {SPEC} and {WEIGHTS}."
        )
    told: dict[str, Any] = codec.loads((place / SPEC).read_text(encoding="utf-8"))
    module, _, name = told["net"].partition(":")
    if not module.startswith("genwright.nets."):
        raise ModelNotFound(f"{place / SPEC} names {told['net']!r}, which is no network of ours.")
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in told["settings"].items()}
    net: nn.Module = getattr(importlib.import_module(module), name)(**settings)
    try:
        net.load_state_dict(load_file(place / WEIGHTS))
    except RuntimeError as error:
        raise TrainingError(
            f"{place / WEIGHTS} holds weights of another configuration than {SPEC} says; restore "
            f"the folder or train again ({error})."
        ) from error
    return Denoiser(net.eval().requires_grad_(False), told["precondition"], told["path"])


def opened(denoiser: str | Denoise) -> Any:
    """Return a denoiser ready to draw: one from a folder is read once, and put on the GPU if any.

    Raises:
        ModelNotFound: a folder without a denoiser.
    """
    if not isinstance(denoiser, str):
        return denoiser
    place = os.path.abspath(_folder(denoiser))
    weights = Path(place, WEIGHTS)
    return _opened(place, weights.stat().st_mtime_ns if weights.is_file() else 0)


def _folder(place: str | Path) -> Path:
    """Return a model's folder; it may be named by its file `denoiser.json`."""
    path = Path(place)
    return path.parent if path.name == SPEC else path


@lru_cache(maxsize=8)
def _opened(place: str, changed: int) -> Denoiser:
    """`changed` is part of the key: a folder trained anew is read anew."""
    found = load(place)
    found.net.to(device())
    return found
