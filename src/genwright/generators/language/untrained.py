"""A small untrained language model, saved where `LocalLM` and every learner find it.

Choose it to study a method from nothing: a made-up language, a controlled experiment, a claim that
must not lean on what a released model has read. A model of one to three million weights trains in
minutes on two cores.

The network is Llama's (Touvron et al. 2023, arXiv:2302.13971), through `transformers`; tokens are
byte-level pairs (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners",
Section 2.2), through `tokenizers`. Ours: every digit is a token of its own, so that numbers are
read and written digit by digit.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genwright.core import InvalidArgument, require
from genwright.generators.language.embedded import quietly

END = "<end>"


def untrained(
    folder: str | Path,
    texts: Sequence[str] = (),
    *,
    vocabulary: int = 257,
    width: int = 128,
    layers: int = 4,
    heads: int = 4,
    context: int = 256,
    seed: int = 0,
) -> Path:
    """Save an untrained decoder and its tokenizer; the same arguments save the same files.

    Draw from it with `LocalLM(model=str(folder), chat=False)`, and train it with
    `Supervised(rank=0)`. A block holds about 12 width^2 weights.

    Args:
        folder: made if need be.
        texts: what the tokenizer learns its pairs from; unused at the smallest vocabulary.
        vocabulary: tokens in all: 256 bytes, the end token, and merged pairs beyond them, as far
            as the texts have any.
        width: of the residual stream; a multiple of 2 `heads`.
        layers: blocks.
        heads: of attention.
        context: the most tokens of a prompt and its draw together.
        seed: of the weights.

    Raises:
        InvalidArgument: a vocabulary below 257, no layer, or a width that the heads do not divide.
        MissingExtra: torch or transformers is not installed.
    """
    if (
        vocabulary < 257
        or layers < 1
        or context < 1
        or heads < 1
        or width % (2 * heads)
        or not width
    ):
        raise InvalidArgument(
            "untrained: needs a vocabulary of 257 or more, at least one layer, head and position, "
            f"and a width that is a multiple of 2 heads; got {vocabulary=}, {layers=}, {heads=}, "
            f"{context=}, {width=}."
        )
    transformers = require("transformers", extra="lm", needed_by="untrained")
    torch = require("torch", extra="lm", needed_by="untrained")
    tokenizer = _tokenizer(transformers, texts, vocabulary)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=8 * width // 3,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        model = transformers.LlamaForCausalLM(config)
    with quietly(transformers):
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def _tokenizer(transformers: Any, texts: Sequence[str], size: int) -> Any:
    """Return a byte-level tokenizer with merges learned from the texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=size > 257),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        show_progress=False,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    raw.train_from_iterator(texts if size > 257 else (), trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=END)
