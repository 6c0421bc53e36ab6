"""Loaded models, shared by everything in the process that uses the same weights."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from genwright.core import InvalidArgument, ModelNotFound, TokenModel, Vocabulary, require
from genwright.generators.language import kv_predictor
from genwright.generators.language.apart import apart
from genwright.generators.language.embedded import quietly, resolve
from genwright.generators.language.engine import Engine
from genwright.generators.language.hf import token_model
from genwright.generators.language.tokens import vocabulary
from genwright.generators.language.tries import Tries

DTYPES = ("float32", "bfloat16", "int8")


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model in memory: its tokenizer, its vocabulary, and the engine that draws from it."""

    model: TokenModel
    tokenizer: Any
    vocabulary: Vocabulary
    engine: Engine
    tries: Tries


_loaded: dict[tuple[str, float, str, int | None, int, str, float], Loaded] = {}
_lock = threading.Lock()


def load(model: str, dtype: str, threads: int | None, batch: int, predictor: str = "") -> Loaded:
    """Return a model, with a KV predictor or without, read from disk the first time only.

    Raises:
        ModelNotFound: `model` leads nowhere, or what is there cannot be read.
        InvalidArgument: an unknown dtype.
    """
    if dtype == "auto":
        dtype = best_dtype()
    if dtype not in DTYPES:
        allowed = ", ".join(["auto", *DTYPES])
        raise InvalidArgument(f"LocalLM: dtype must be one of {allowed}, got {dtype!r}.")
    with _lock:
        where = resolve(model)
        key = (where, _changed(where), dtype, threads, batch, predictor, _changed(predictor))
        if key not in _loaded:
            tries = Tries([where, _changed(where), dtype])
            _loaded[key] = apart(lambda _: _read(where, dtype, threads, batch, tries, predictor))
        return _loaded[key]


def unload(model: str | None = None) -> None:
    """Drop loaded models (all, or those of one name or folder) and end their engines."""
    with _lock:
        where = None if model is None else resolve(model)
        for key in [k for k in _loaded if where is None or k[0] == where]:
            _loaded.pop(key).engine.close()


def best_dtype() -> str:
    """Return the dtype that decodes fastest here: bfloat16 where the hardware multiplies it."""
    if torch.cuda.is_available():
        return "bfloat16"
    capabilities = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return "bfloat16" if capabilities is not None and capabilities() else "float32"


def _changed(where: str) -> float:
    """Return when a folder's weights last changed: training into it makes another model."""
    times = [os.stat(f).st_mtime for f in Path(where).glob("*.safetensors")] if where else []
    return max(times, default=0.0)


def read(where: str, dtype: str) -> tuple[Any, Any]:
    """Return (model, tokenizer) of `transformers`: the model in what activations are to have.

    An adapter is merged in float32 before anything is rounded: merged in bfloat16, most of a small
    change would fall below the last bit of the weights it changes.

    Raises:
        ModelNotFound: what is there cannot be read.
    """
    transformers = require("transformers", extra="lm", needed_by="LocalLM")
    base, adapter = where, None
    if (Path(where) / "adapter_config.json").is_file():
        peft = require("peft", extra="lm", needed_by=f"the adapter in {where}")
        named = peft.PeftConfig.from_pretrained(where).base_model_name_or_path
        base, adapter = resolve(str(named)), where
    kind = getattr(torch, "float32" if dtype == "int8" else dtype)
    first = kind if adapter is None else torch.float32
    try:
        with quietly(transformers):
            model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=first)
        if adapter is not None:
            model = peft.PeftModel.from_pretrained(model, adapter).merge_and_unload()
        has_own = adapter is not None and (Path(adapter) / "tokenizer_config.json").is_file()
        tokenizer = transformers.AutoTokenizer.from_pretrained(adapter if has_own else base)
    except (OSError, ValueError, KeyError) as error:
        raise ModelNotFound(f"{where} cannot be read as a causal language model: {error}") from None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device, kind).eval(), tokenizer


def _read(
    where: str, dtype: str, threads: int | None, batch: int, tries: Tries, predictor: str
) -> Loaded:
    model, tokenizer = read(where, dtype)
    ends = {tokenizer.eos_token_id, *_ids(model.generation_config.eos_token_id)}
    ends |= set(_ids(model.config.get_text_config().eos_token_id))
    width = model.get_output_embeddings().weight.shape[0]
    words = vocabulary(tokenizer, width, frozenset(e for e in ends if e is not None), where)
    fast = token_model(model, words, int8=dtype == "int8")
    ahead = kv_predictor.load(predictor, model, fast, words, dtype) if predictor else None
    engine = Engine(fast, batch=batch, threads=threads, predictor=ahead)
    return Loaded(fast, tokenizer, words, engine, tries)


def _ids(value: int | list[int] | None) -> list[int]:
    return [] if value is None else [value] if isinstance(value, int) else list(value)
