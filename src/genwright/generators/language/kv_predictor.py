"""Reading a prompt with a small model and predicting the large model's keys and values from it.

The small model reads the prompt without its last token; linear maps turn its keys and values into
those of the base, which then reads the last token itself and writes alone. The first token comes
sooner, from an approximation of what the base would have seen.

Choose it where prompts are long, answers short, and some loss is allowed: measure the loss on your
own prompts. `learning.fit_kv_predictor` makes the folder.

Horton et al. 2024, "KV Prediction for Improved Time to First Token", arXiv:2410.08391, Section 3.
Ours: the base reads the first token too. Later tokens park attention there that they have no use
for (Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks",
arXiv:2309.17453), and its keys are like no others: predicted a little wrong they spoil everything.
The auxiliary model stops at the keys and values of its last layer, which is all that is needed of
it; prompts are read in pieces, beside draws that are running.
"""

import json
import time
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genwright.core import Chunk, InvalidArgument, ModelNotFound, Vocabulary
from genwright.generators.language.cache import PromptCache
from genwright.generators.language.hf import FastLlama
from genwright.generators.language.prompts import ReadPrompt
from genwright.nets.kv_prediction import KVMaps, projections, rotate

FILE, MAPS, AUXILIARY = "kv_predictor.json", "kv_maps.safetensors", "auxiliary"


class KVPredictor:
    """Fills prompts' caches for one base.

    Args:
        auxiliary: reads the prompts.
        base: whose keys and values are predicted.
        maps: from one to the other.
        sinks: first tokens that the base reads itself.

    Raises:
        InvalidArgument: maps that fit other layers or heads.
    """

    def __init__(
        self, auxiliary: FastLlama, base: FastLlama, maps: KVMaps, *, sinks: int = 1
    ) -> None:
        small, large = auxiliary.net, base.net
        inputs = small.kinds * small.size * (1 + maps.cross)
        wanted = (len(large.layers), inputs, large.kinds * large.size)
        if tuple(maps.keys.shape) != wanted or max(maps.layer_map) >= len(small.layers):
            raise InvalidArgument(
                f"KVPredictor: these models need maps of shape {wanted} (base layers, inputs, "
                f"outputs), got {tuple(maps.keys.shape)} from layers {maps.layer_map}."
            )
        self._small, self._large, self._sinks = auxiliary, base, sinks
        self._maps = maps.to(large.embedding.device, large.dtype).requires_grad_(False)

    def begin(self) -> PromptCache:
        """Return where the auxiliary model keeps what it has read of one prompt."""
        return self._small.new_cache()

    def read(self, prompt: ReadPrompt, size: int) -> int:
        """Read on in a prompt, at most `size` tokens; return how many are left to the base.

        With the last but one token the prompt's cache is filled.
        """
        end = len(prompt.tokens) - 1
        if end <= self._sinks:
            prompt.ahead = None
            return size
        began = time.perf_counter()
        piece = prompt.tokens[prompt.done : min(prompt.done + size, end)]
        self._small.read([Chunk(prompt.ahead, piece)])
        prompt.done += len(piece)
        prompt.spent.prompt_tokens += len(piece)
        prompt.spent.network_evaluations += 1
        if prompt.done == end:
            if self._sinks:
                self._large.read([Chunk(prompt.cache, prompt.tokens[: self._sinks])])
                prompt.spent.network_evaluations += 1
            prompt.cache.append(*self.predict(prompt.ahead))
            prompt.ahead = None
        prompt.spent.seconds += time.perf_counter() - began
        return size - len(piece)

    @torch.inference_mode()
    def predict(self, cache: PromptCache) -> tuple[Tensor, Tensor]:
        """Return the base's keys, rotated, and values for what the auxiliary model has read.

        Returns:
            [L, K, N, D] each, the sinks left out, in the numbers of the base's cache.
        """
        small, large, n = self._small.net, self._large.net, cache.length
        positions = torch.arange(self._sinks, n, device=cache.keys.device)
        keys, values = (
            x[:, :, self._sinks : n].transpose(1, 2) for x in (cache.keys, cache.values)
        )
        plain = rotate(keys, -positions, small.frequencies)
        found = self._maps(plain.flatten(2).to(large.dtype), values.flatten(2).to(large.dtype))
        keys, values = (
            x.unflatten(2, (large.kinds, large.size)).to(self._large.pool.keys.dtype) for x in found
        )
        return rotate(keys, positions, large.frequencies).transpose(1, 2), values.transpose(1, 2)


def save(
    folder: Path, maps: KVMaps, *, base: Any, name: str, vocabulary: Vocabulary, sinks: int
) -> None:
    """Write a predictor's maps, beside the auxiliary model that is in the folder already.

    Args:
        folder: its subfolder `auxiliary` holds the model and the tokenizer.
        maps: as they were trained.
        base: the `transformers` model whose cache they predict.
        name: of the base, for messages.
        vocabulary: of the base.
        sinks: first tokens that the base reads itself.
    """
    from safetensors.torch import save_file

    save_file({k: v.detach().contiguous() for k, v in maps.state_dict().items()}, folder / MAPS)
    about = {
        "base": name,
        "weights": weights_of(base),
        "vocabulary": vocabulary.fingerprint,
        "layer_map": list(maps.layer_map),
        "cross": maps.cross,
        "sinks": sinks,
    }
    (folder / FILE).write_text(json.dumps(about, indent=1), encoding="utf-8")


def load(folder: str, base: Any, model: Any, vocabulary: Vocabulary, dtype: str) -> KVPredictor:
    """Return the predictor that a folder holds.

    Args:
        folder: written by `save`.
        base: the `transformers` model that it is to serve.
        model: its token model.
        vocabulary: of the base.
        dtype: of the auxiliary model: the base's.

    Raises:
        ModelNotFound: no predictor there.
        InvalidArgument: it was made for another tokenizer or other weights, or the base is not of
            Llama's shape.
    """
    from safetensors.torch import load_file

    from genwright.generators.language.hf import token_model
    from genwright.generators.language.loading import read

    place = Path(folder)
    if not (place / FILE).is_file():
        raise ModelNotFound(f"no KV predictor in {folder!r}: FitKVPredictor makes one.")
    about = json.loads((place / FILE).read_text(encoding="utf-8"))
    _check(about, folder, base, vocabulary)
    weights = load_file(place / MAPS)
    small, _ = read(str(place / AUXILIARY), dtype)
    auxiliary = token_model(small, vocabulary, int8=dtype == "int8")
    if not isinstance(model, FastLlama) or not isinstance(auxiliary, FastLlama):
        raise InvalidArgument(
            "predicted prefill is for models of Llama's shape, got "
            f"{base.config.model_type} and {small.config.model_type}."
        )
    _, wide, outputs = weights["keys"].shape
    maps = KVMaps(
        about["layer_map"],
        auxiliary=small.config.num_hidden_layers,
        inputs=wide // 2 if about["cross"] else wide,
        outputs=outputs,
        cross=about["cross"],
    )
    maps.load_state_dict(weights)
    return KVPredictor(auxiliary, model, maps, sinks=about["sinks"])


def _check(about: Mapping[str, Any], folder: str, base: Any, vocabulary: Vocabulary) -> None:
    if about["vocabulary"] != vocabulary.fingerprint:
        raise InvalidArgument(
            f"the KV predictor in {folder!r} was made for {about['base']}, whose tokenizer is not "
            f"that of {vocabulary.name}; fit one for this model."
        )
    if about["weights"] != weights_of(base):
        raise InvalidArgument(
            f"the KV predictor in {folder!r} was made for {about['base']}, and these are other "
            "weights; fit one for this model."
        )


def weights_of(model: Any) -> str:
    """Return a hash of some weights of a `transformers` model, as bfloat16 has them.

    Its number format then makes no difference, and another training of the same network does.
    """
    hasher = blake2b(digest_size=16)
    for k_proj, _ in projections(model):
        weight = k_proj.weight.detach().to("cpu", torch.bfloat16)
        hasher.update(weight.contiguous().view(torch.int16).numpy().tobytes())
    return hasher.hexdigest()
