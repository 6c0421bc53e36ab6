"""The bytes of every token, against what the tokenizer itself decodes."""

import pytest

pytest.importorskip("transformers")
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from genwright.generators.language.tokens import vocabulary

TEXT = "the cat sat on the mat. \n\tünïcödé 猫 🙂 x = [1, 2];" * 4


def byte_level():
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, special_tokens=["<e>"])
    made.train_from_iterator([TEXT], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<e>")


def sentencepiece():
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<u>"))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence(steps)
    special = ["<u>", "<e>"]
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=special)
    made.train_from_iterator([TEXT], trainer)
    made.add_tokens([f"<0x{b:02X}>" for b in range(256)])
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<e>", unk_token="<u>")


def test_byte_level_tokens_join_to_the_text_in_any_language():
    tokenizer = byte_level()
    words = vocabulary(tokenizer, len(tokenizer), frozenset())
    for text in (TEXT, " two  spaces", "\n\n", "🙂é"):
        assert words.decode(words.encode(text)) == text.encode()


def test_every_single_byte_is_a_token_of_a_byte_level_vocabulary():
    tokenizer = byte_level()
    words = vocabulary(tokenizer, len(tokenizer), frozenset())
    assert {bytes([b]) for b in range(256)} <= set(words.tokens)


def test_sentencepiece_spaces_are_spaces():
    tokenizer = sentencepiece()
    words = vocabulary(tokenizer, len(tokenizer), frozenset())
    assert words.decode(words.encode("the cat sat on the mat")) == b"the cat sat on the mat"


def test_special_and_unused_ids_are_empty_and_ends_are_gathered():
    tokenizer = byte_level()
    words = vocabulary(tokenizer, len(tokenizer) + 5, frozenset({7}))
    assert len(words) == len(tokenizer) + 5
    assert words.tokens[-5:] == [b""] * 5
    assert words.eos == {7, tokenizer.eos_token_id}
    assert all(words.tokens[i] == b"" for i in words.eos)
