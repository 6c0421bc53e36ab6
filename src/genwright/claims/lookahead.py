"""Lookahead changes no draw, and makes those that repeat their prompt or each other faster."""

import gzip
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.claims.data import data_file
from genwright.core import Cost, DraftSource, Ledger, Sample, Vocabulary, child_seed
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.core.task_file import read_jsonl
from genwright.generators.language.engine import Engine
from genwright.generators.language.local import LocalLM
from genwright.generators.language.lookahead import Lookahead
from genwright.generators.language.request import Request
from genwright.generators.language.sampling import Sampling
from genwright.generators.language.tabular import TabularModel
from genwright.steering.json_schema import JsonSchema

XQUAD, WIKITEXT = "text/xquad_en.jsonl.gz", "text/wikitext2_test.txt.gz"
NEW = 64
"""Tokens of a draw."""
GROUPS, GROUP = 5, 8
"""Prompts whose speed is measured: the median of so many groups counts."""
WARM = 100
"""Answers to other prompts that the trie holds before."""
LOSSLESS = ("greedy_differing <= 0", "tabular_tv <= 0.000000000001", "tabular_missing <= 0.00001")
SPEED = ("quote_edls >= 2", "quote_speed >= 1.5", "best_speed >= 2", "least_speed >= 0.95")


@dataclass(frozen=True)
class Work:
    """A kind of work: prompts in an order that depends on the seed, and how they are answered."""

    prompts: tuple[str, ...]
    settings: dict[str, Any]


def work(name: str, seed: int) -> Work:
    """Return a kind of work: "quote", "chat" (the same question, asked), "json" or "free"."""
    if name == "free":
        with gzip.open(data_file(WIKITEXT), "rt", encoding="utf-8") as lines:
            texts = [line.strip()[:400] for line in lines if len(line) > 600]
        return Work(_shuffled(texts, seed), {"chat": False})
    rows = [row for row in read_jsonl(data_file(XQUAD)) if len(row["context"]) < 1000]
    form, settings = FORMS[name]
    texts = [form.format(text=row["context"], question=row["question"]) for row in rows]
    return Work(_shuffled(texts, seed), settings)


_QUOTE = """Text: {text}
Question: {question}
The sentence of the text that answers the question, word for word: \""""
_EXAMPLE = (
    _QUOTE.format(
        text="The Pico lighthouse was built in 1871 on the cliffs above the harbour. Its lamp "
        "burned whale oil until 1902, when gas was laid to the tower. Since 1964 the lamp has been "
        "electric and no keeper has lived there.",
        question="What did the lamp burn at first?",
    )
    + 'Its lamp burned whale oil until 1902, when gas was laid to the tower."\n\n'
)
_FIELDS = ("question", "quote", "answer")
_OBJECT = JsonSchema(
    schema={
        "type": "object",
        "properties": {name: {"type": "string"} for name in _FIELDS},
        "required": list(_FIELDS),
        "additionalProperties": False,
    }
)
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    # asked in a chat, a model this small answers in its own words; after an example it quotes
    "quote": (_EXAMPLE + _QUOTE, {"chat": False, "stop": ("\n",)}),
    "chat": (
        "{text}\n\nQuote the sentence of the text above that answers this question, word for "
        "word: {question}",
        {},
    ),
    "json": (
        "{text}\n\nQuestion: {question}\n\nAnswer as JSON with three keys: question (the "
        "question), quote (the sentence of the text that answers it, word for word) and answer.",
        {"constraints": (_OBJECT,)},
    ),
}


def _shuffled(texts: Sequence[str], seed: int) -> tuple[str, ...]:
    return tuple(sorted(dict.fromkeys(texts), key=lambda text: child_seed(seed, text)))


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Compare draws with and without, token by token, and at full scale the time they take."""
    prompts = work("chat", seed).prompts
    count = 5 if scale == "smoke" else 60
    distance, missing = tabular_distance(seed)
    metrics = {"tabular_tv": distance, "tabular_missing": missing}
    exact = LocalLM(dtype="float32", temperature=0, max_new_tokens=NEW, batch=16)
    metrics["greedy_differing"], cost = _differing(exact, prompts[:count], seed)
    if scale == "smoke":
        notes = ("greedy and by enumeration only; sampling and speed are measured at full scale",)
        return ClaimResult(metrics=metrics, bounds=LOSSLESS, notes=notes, cost=cost)
    free = work("free", seed).prompts
    sampled = replace(exact, temperature=1.0, chat=False)
    metrics["sampled_differing"], more = _differing(sampled, free[:40], seed)
    cost += more
    for name in ("quote", "chat", "json", "free"):
        found, more = speed(name, seed)
        metrics |= {f"{name}_{key}": value for key, value in found.items()}
        cost += more
    metrics["best_speed"] = max(metrics["quote_speed"], metrics["json_speed"])
    metrics["least_speed"] = min(metrics["chat_speed"], metrics["free_speed"])
    bounds = (*LOSSLESS, "sampled_differing <= 0", *SPEED)
    notes = (
        "edls: tokens for each evaluation of the network; speed: tokens a second over those "
        "without, decoding alone, one draw at a time, the median of five groups of prompts",
    )
    return ClaimResult(metrics=metrics, bounds=bounds, notes=notes, cost=cost)


def _differing(lm: LocalLM, prompts: Sequence[str], seed: int) -> tuple[int, Cost]:
    """Count draws whose tokens differ with and without lookahead, eight prompts at a time."""
    lookahead, differing, cost = replace(lm, drafts=Lookahead()), 0, Cost()
    for start in range(0, len(prompts), 8):
        part = prompts[start : start + 8]
        plain, fast = (draw_together(model, part, seed) for model in (lm, lookahead))
        differing += sum(
            a.info["tokens"] != b.info["tokens"] for a, b in zip(plain, fast, strict=True)
        )
        cost += sum((draw.cost for draw in (*plain, *fast)), Cost())
    return differing, cost


def draw_together(lm: LocalLM, prompts: Sequence[str], seed: int) -> list[Sample[str]]:
    """Return one draw for each prompt, drawn side by side."""
    tickets = [lm.submit(prompt, 1, seed=child_seed(seed, prompt)) for prompt in prompts]
    return [draw for ticket in tickets for _, draw in ticket]


def speed(
    name: str, seed: int, groups: int = GROUPS, warm: int = WARM
) -> tuple[dict[str, float], Cost]:
    """Return tokens for each evaluation and the speed over that of plain decoding.

    Draws are made with and without in alternating order, after the prompt was read, by the number
    format that is fastest here.
    """
    made = work(name, seed)
    plain = LocalLM(temperature=0, max_new_tokens=NEW, **made.settings)
    fast = replace(plain, drafts=Lookahead())
    read = replace(plain, max_new_tokens=1, constraints=())
    test, others = made.prompts[: groups * GROUP], made.prompts[groups * GROUP :][:warm]
    cost = sum((draw.cost for draw in draw_together(fast, others, seed)), Cost())
    ratios: list[float] = []
    tokens = evaluations = 0
    for group in range(groups):
        rates = {False: [0, 0.0], True: [0, 0.0]}
        for i, prompt in enumerate(test[group * GROUP : (group + 1) * GROUP]):
            read.sample(prompt, 1, seed=seed)
            for ahead in (False, True) if i % 2 else (True, False):
                began = time.perf_counter()
                (draw,) = (fast if ahead else plain).sample(prompt, 1, seed=seed)
                rates[ahead][1] += time.perf_counter() - began
                rates[ahead][0] += len(draw.info["tokens"])
                cost += draw.cost
                if ahead:
                    tokens += len(draw.info["tokens"])
                    evaluations += draw.cost.network_evaluations
        with_, without = rates[True], rates[False]
        ratios.append(with_[0] / with_[1] / (without[0] / without[1]))
    return {"edls": tokens / evaluations, "speed": median(ratios)}, cost


def tabular_distance(seed: int, depth: int = 8) -> tuple[float, float]:
    """Return the total variation from plain decoding, and by how much all strings miss 1 together.

    Every string of a model of two letters is drawn along, and has the probability that the rows of
    logits give it from which its tokens were chosen.
    """
    strings = [s for n in range(depth + 1) for s in product(range(2), repeat=n)]
    model = TabularModel(size=3, depth=depth, seed=seed)
    found: list[NDArray[np.float64]] = []
    for drafts in (None, Lookahead(size=16)):
        engine = Engine(model)
        logps = [_along(engine, string, depth, drafts) for string in strings]
        found.append(np.array([math.exp(logp) for logp in logps]))
        engine.close()
    distance = float(np.abs(found[0] - found[1]).sum() / 2)
    return distance, abs(float(found[1].sum()) - 1.0)


def _along(engine: Engine, string: Sequence[int], depth: int, drafts: DraftSource | None) -> float:
    sampling = Sampling(max_new_tokens=depth)
    request = Request(prompt=[0], sampling=sampling, shapers=(Along(string),), drafts=drafts)
    ((_, draw),) = engine.submit(request)
    assert draw.info["tokens"] == list(string)
    assert draw.logprob is not None
    return draw.logprob


class Along:
    """Leaves no choice but one string and its end."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens, self._done = tokens, 0

    def start(self, vocabulary: Vocabulary, prompt: Sequence[int]) -> "Along":
        """Return the state of one draw."""
        return Along(self._tokens)

    def shape(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Leave one token."""
        left = np.full_like(logits, -np.inf)
        left[[*self._tokens, len(logits) - 1][self._done]] = 0.0
        return left

    def advance(self, token: int) -> None:
        """Go on."""
        self._done += 1


CLAIM = Claim(
    slug="lookahead",
    reference="Zhao et al. 2024, Lookahead: An Inference Acceleration Framework for Large Language "
    "Model with Lossless Generation Accuracy, arXiv:2312.12728",
    statement="Drafts from the prompt and earlier answers change none of 60 greedy and 40 sampled "
    "draws of SmolLM2 in float32 nor the distribution of a tabular model; answers that quote take "
    "at least 2 tokens a step and are at least 1.5 times as fast, quotes or JSON at least twice, "
    "and nothing is below 0.95 times.",
    run=run,
    needs={"smoke": (XQUAD,), "full": (XQUAD, WIKITEXT)},
)
