"""A Hugging Face tokenizer as a `Vocabulary`: the bytes that every token id stands for.

Three families are told apart by how the tokenizer writes its tokens down: byte-level BPE (GPT-2 and
most that followed), SentencePiece (`▁` for a space, `<0x0A>` for a byte), and anything else, which
is asked token by token.
"""

from functools import cache
from typing import Any

from genwright.core import Vocabulary

SPACE = "▁"


def vocabulary(tokenizer: Any, size: int, eos: frozenset[int], name: str = "") -> Vocabulary:
    """Return the vocabulary of a tokenizer.

    Args:
        tokenizer: of `transformers`.
        size: length of a logits row; ids past the tokenizer's own are unused and empty.
        eos: ids that end a draw; the tokenizer's own is added.
        name: for messages.
    """
    ends = set(eos)
    if tokenizer.eos_token_id is not None:
        ends.add(int(tokenizer.eos_token_id))
    special = set(tokenizer.all_special_ids) | ends
    added = tokenizer.added_tokens_decoder
    special |= {i for i, token in added.items() if token.special}
    written = tokenizer.get_vocab()
    to_bytes = _reader(tokenizer, written)
    tokens = [b""] * size
    for text, index in written.items():
        if index < size and index not in special:
            tokens[index] = text.encode() if index in added else to_bytes(text)

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    return Vocabulary(tokens, frozenset(ends), encode, name, tokenizer)


def _reader(tokenizer: Any, written: dict[str, int]) -> Any:
    """Return the function from a token as written to its bytes."""
    decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
    if "ByteLevel" in repr(decoder) or ("Ġthe" in written and f"{SPACE}the" not in written):
        return _from_byte_level
    if f"{SPACE}the" in written or "<0x0A>" in written:
        return _from_sentencepiece
    return lambda text: tokenizer.convert_tokens_to_string([text]).encode()


def _from_byte_level(text: str) -> bytes:
    alphabet = _byte_alphabet()
    try:
        return bytes(alphabet[c] for c in text)
    except KeyError:  # a token added by hand, written as it is
        return text.encode()


def _from_sentencepiece(text: str) -> bytes:
    if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
        return bytes([int(text[3:5], 16)])
    return text.replace(SPACE, " ").encode()


@cache
def _byte_alphabet() -> dict[str, int]:
    """The printable stand-in of every byte in byte-level BPE (Radford et al. 2019), inverted.

    Printable Latin-1 characters stand for themselves; the 68 others, in order, for U+0100 onwards.
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(plain)]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(others)}
