"""What a training leaves on the disk, so that a killed one goes on where it stopped.

A folder holds `training.json` (what it is and how far it came) once it is finished, and a
`checkpoint` of the same kind with the weights in `state.pt` until then.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genwright.core import TrainingError


def read_state(folder: Path) -> dict[str, Any]:
    """Return a folder's `training.json`, or {} where there is none."""
    path = folder / "training.json"
    return json.loads(path.read_text()) if path.exists() else {}


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a folder's `training.json`."""
    (folder / "training.json").write_text(json.dumps(state))


def unfinished(folder: Path, identity: str) -> dict[str, Any]:
    """Return the state of the checkpoint of a training, or {} where there is none.

    Raises:
        TrainingError: the checkpoint is of another training.
    """
    state = read_state(folder / "checkpoint")
    if state and state["identity"] != identity:
        raise TrainingError(
            f"{folder / 'checkpoint'} belongs to another training (other data, seed or "
            f"settings). Remove it or choose another folder."
        )
    return state


def save_checkpoint(folder: Path, tensors: dict[str, Any], state: Mapping[str, Any]) -> None:
    """Replace the checkpoint as a whole: a kill in between leaves the old one or the new one."""
    import torch

    fresh, old = folder / "checkpoint.new", folder / "checkpoint.old"
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir(parents=True)
    torch.save(tensors, fresh / "state.pt")
    write_state(fresh, state)
    if (folder / "checkpoint").exists():
        os.rename(folder / "checkpoint", old)
    os.rename(fresh, folder / "checkpoint")
    shutil.rmtree(old, ignore_errors=True)


def drop_checkpoint(folder: Path) -> None:
    """Remove the checkpoint of a training that is finished."""
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
