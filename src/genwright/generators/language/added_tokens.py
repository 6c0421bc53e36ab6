"""Give a model tokens that it did not have, such as a trigger that asks for a tool.

Choose it before training a model to write them: `Supervised(tokens=...)` then trains their
embeddings too. A new embedding is the mean of those that were there, which makes a new token as
likely as an average one (Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language
Models").

Ours: they are special tokens, so that text is never cut into them by accident and what a draw says
does not show them; `info["tokens"]` does.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genwright.core import InvalidArgument, require
from genwright.generators.language.embedded import EMBEDDED, quietly, resolve


def with_tokens(folder: str | Path, tokens: Sequence[str], *, model: str = EMBEDDED) -> Path:
    """Save a copy of a model that has more tokens, in float32; the same arguments save the same.

    Args:
        folder: made if need be.
        tokens: texts, one token each.
        model: what `LocalLM` takes, without an adapter.

    Raises:
        InvalidArgument: no tokens, one that the model has, or an adapter.
        ModelNotFound: there is no such model.
        MissingExtra: torch or transformers is not installed.
    """
    transformers: Any = require("transformers", extra="lm", needed_by="with_tokens")
    torch: Any = require("torch", extra="lm", needed_by="with_tokens")
    where = resolve(model)
    if (Path(where) / "adapter_config.json").is_file():
        raise InvalidArgument(f"with_tokens: {model} is an adapter; give the model below it.")
    with quietly(transformers):
        net = transformers.AutoModelForCausalLM.from_pretrained(where, dtype="float32")
        tokenizer = transformers.AutoTokenizer.from_pretrained(where)
        known = tokenizer.get_vocab()
        wanted = list(dict.fromkeys(tokens))
        if not wanted or any(not token or token in known for token in wanted):
            raise InvalidArgument(
                f"with_tokens: tokens must be texts that {model} has no token for, got {wanted}."
            )
        added = [transformers.AddedToken(token, special=True, normalized=False) for token in wanted]
        tokenizer.add_tokens(added, special_tokens=True)
        ids = tokenizer.convert_tokens_to_ids(wanted)
        width = net.get_input_embeddings().weight.shape[0]
        if max(ids) >= width:
            net.resize_token_embeddings(max(ids) + 1, mean_resizing=False)
        old = sorted(set(known.values()))
        with torch.no_grad():
            for layer in {net.get_input_embeddings(), net.get_output_embeddings()}:
                layer.weight[ids] = layer.weight[old].mean(0)
        net.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return Path(folder)
