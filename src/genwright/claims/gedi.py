"""A class-conditional model read by Bayes' rule leads another model away from a class."""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp
from pathlib import Path
from typing import Any

import numpy as np

from genwright.claims.data import data_file
from genwright.claims.word_classes import WordClassifier
from genwright.core import Chunk, Cost, Ledger, Samples, Task, child_seed, solve
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.core.task_file import read_jsonl
from genwright.generators.language.engine import Engine
from genwright.generators.language.local import LocalLM
from genwright.generators.language.request import Request
from genwright.generators.language.sampling import Sampling
from genwright.generators.language.tabular import TabularModel
from genwright.learning.class_conditional import ClassConditional
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.steering.guidance import BayesGuide
from genwright.verifiers.predicate import Predicate

MESSAGES = "text/sms_spam.jsonl.gz"
HAM, SPAM = "ham: ", "spam: "
PROMPTS, FIRST, NEW, SEEDS = 64, 6, 30, 2
TIMED, CANDIDATES = 8, 50
WORLDS = 6
BOUNDS = (
    "spam_fall >= 0.6",
    "perplexity_ratio <= 1.5",
    "distinct_2_ratio >= 0.8",
    "speed >= 0.3",
    "speed_over_scoring >= 5",
    "over_codes_alone >= 1",
)
CHAINS = ("posterior_error <= 0.0001", "posterior_gain >= 0.2", "likelihood_over_codes >= 0")


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Guide a made-up model by known chains; at full scale lead SmolLM2 away from spam."""
    if scale == "smoke":
        worlds = [_chains(child_seed(seed, number)) for number in range(WORLDS)]
        means = {name: float(np.mean([found[name] for found in worlds])) for name in worlds[0]}
        notes = (
            "two Markov chains of three letters guide a third model; the true posterior is known",
            f"200 draws of 12 tokens each; mean of {WORLDS} worlds",
        )
        return ClaimResult(metrics=means, bounds=CHAINS, notes=notes)
    book, runs = ledger or Ledger(), list[dict[str, float]]()
    before = len(book.runs())
    model = LocalLM(chat=False, temperature=1.0, max_new_tokens=NEW)
    for number in range(SEEDS):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(_messages(Path(folder), model, child_seed(seed, number), book))
    metrics = {name: float(np.mean([found[name] for found in runs])) for name in runs[0]}
    metrics["over_codes_alone"] = float(min(found["over_codes_alone"] for found in runs))
    notes = (
        f"{PROMPTS} held-out spam messages, begun with {FIRST} tokens, {NEW} tokens drawn at "
        f"temperature 1; mean of {SEEDS} seeds; judge: TF-IDF and logistic regression on messages "
        "that no guide was trained on",
        "codes: the guide drawn from by itself after the code of ham; over_codes_alone: 1 where it "
        "is not as good in both spam and perplexity under the base",
        f"speed: of {PROMPTS} draws in one batch, beside unguided; speed_over_scoring: beside the "
        f"guide's cached classifier asked about the {CANDIDATES} likeliest next tokens, one draw",
        "cost: of draws; the guide's own network evaluations are not counted",
    )
    cost = sum((sum(r.costs().values(), Cost()) for r in book.runs()[before:]), Cost())
    return ClaimResult(metrics=metrics, bounds=BOUNDS, notes=notes, cost=cost)


class Letters(TabularModel):
    """Random tables that hardly ever write anything but `a`, `b` and `c`."""

    def logits(self, tokens: Sequence[int]) -> Any:
        """Return float32[V]."""
        row = super().logits(tokens)
        row[3:] = -8.0
        return row


class Chains(TabularModel):
    """After its first token, `d` or `e`, one of two Markov chains over `a`, `b`, `c`."""

    def __init__(self, seed: int) -> None:
        super().__init__(size=6, seed=seed)
        self.tables = np.random.default_rng(seed).normal(0, 1.5, (2, 6, 6)).astype(np.float32)
        self.tables[:, :, 3:] = -8.0

    def logits(self, tokens: Sequence[int]) -> Any:
        """Return float32[V]: the row of the chain's table for the last token."""
        return self.tables[int(tokens[0] == 4), tokens[-1]]

    def log_odds(self, tokens: Sequence[int]) -> float:
        """Return log P(tokens | d) - log P(tokens | e)."""
        found = 0.0
        for code, sign in ((3, 1), (4, -1)):
            text = [code, *tokens]
            for i in range(1, len(text)):
                row = self.logits(text[:i]).astype(np.float64)
                found += sign * float(row[text[i]] - np.logaddexp.reduce(row))
        return found


def _chains(seed: int) -> dict[str, float]:
    """Compare posteriors with the truth, and draws guided, unguided and of the code alone."""
    chains, errors = Chains(child_seed(seed, "chains")), list[float]()
    guide = BayesGuide(guide=chains, code="d", anti_code="e", omega=10.0)
    for k in range(60):
        tokens = [(k // 3**i) % 3 for i in range(k % 5)]
        state = replace(guide, scale=len(tokens) + 1.0).start(chains.vocabulary, tokens)
        truth = [1 / (1 + exp(-chains.log_odds([*tokens, x]))) for x in range(6)]
        errors.append(float(np.abs(state.posterior() - np.array(truth)).max()))
    base = Letters(size=6, seed=child_seed(seed, "base"))
    drawn = {
        "free": _tabular(base, [0], (), seed),
        "guided": _tabular(base, [0], (guide,), seed),
        "codes": _tabular(chains, [3, 0], (), seed),
    }
    odds = {n: np.mean([chains.log_odds([0, *t]) > 0 for t in texts]) for n, texts in drawn.items()}
    fits = {n: np.mean([_log_likelihood(base, t) for t in texts]) for n, texts in drawn.items()}
    return {
        "posterior_error": max(errors),
        **{f"wanted_{name}": float(share) for name, share in odds.items()},
        "posterior_gain": float(odds["guided"] - odds["free"]),
        "likelihood_over_codes": float(fits["guided"] - fits["codes"]),
    }


def _tabular(model: Any, prompt: list[int], shapers: tuple[Any, ...], seed: int) -> list[list[int]]:
    engine = Engine(model)
    sampling = Sampling(temperature=1.0, max_new_tokens=12)
    request = Request(prompt=prompt, n=200, seed=seed, sampling=sampling, shapers=shapers)
    texts = [draw.info["tokens"] for _, draw in engine.submit(request)]
    engine.close()
    return texts


def _log_likelihood(model: TabularModel, tokens: Sequence[int]) -> float:
    """Return the mean log-probability of a token after the prompt of `_tabular`."""
    rows = [model.log_probabilities([0, *tokens[:i]])[x] for i, x in enumerate(tokens)]
    return float(np.mean(rows)) if rows else 0.0


@dataclass(frozen=True)
class _Split:
    """Messages apart: what trains the guide, what trains the judge, and what begins the draws."""

    guide: list[dict[str, str]]
    judge: list[dict[str, str]]
    begun: list[str]


def _split(seed: int) -> _Split:
    rows = sorted(read_jsonl(data_file(MESSAGES)), key=lambda row: child_seed(seed, row["text"]))
    by = {label: [r["text"] for r in rows if r["label"] == label] for label in ("spam", "ham")}
    by = {label: list(dict.fromkeys(texts)) for label, texts in by.items()}
    begun, rest = by["spam"][:PROMPTS], by["spam"][PROMPTS:]
    half = len(rest) // 2
    ham = by["ham"][: 2 * half]
    guide = [{"text": t, "code": SPAM} for t in rest[:half]]
    guide += [{"text": t, "code": HAM} for t in ham[:half]]
    judge = [{"text": t, "code": SPAM} for t in rest[half : 2 * half]]
    judge += [{"text": t, "code": HAM} for t in ham[half:]]
    return _Split(guide, judge, begun)


def _messages(folder: Path, model: LocalLM, seed: int, ledger: Ledger) -> dict[str, float]:
    split = _split(seed)
    kept = len(split.judge) // 8
    order = sorted(split.judge, key=lambda row: child_seed(seed, "judge", row["text"]))
    judge = WordClassifier.fit(
        [r["text"] for r in order[kept:]], [r["code"] == SPAM for r in order[kept:]]
    )
    marks = judge.probabilities([r["text"] for r in order[:kept]]) >= 0.5
    accuracy = float(np.mean(marks == [r["code"] == SPAM for r in order[:kept]]))
    learner = ClassConditional(folder=str(folder), codes=(HAM, SPAM))
    codes = learner.fit(model, split.guide, seed=seed)
    guide = BayesGuide(guide=codes, code=HAM, anti_code=SPAM)
    prompts = [model.vocabulary.encode(text)[:FIRST] for text in split.begun]
    begun = [model.vocabulary.decode(ids).decode(errors="replace") for ids in prompts]
    arms: dict[str, Any] = {"base": model, "guided": model.steered(guide)}
    found: dict[str, float] = {"judge_accuracy": accuracy, "scale": guide.learned_scale}
    texts: dict[str, Samples[str]] = {}
    for name, arm in arms.items():
        arm.sample(begun[0], 1, seed=seed)  # loads what is loaded at the first use
        start = time.perf_counter()
        texts[name] = _drawn(arm, begun, seed, ledger, judge)
        tokens = sum(len(info["tokens"]) for info in texts[name].info)
        found[f"{name}_tokens_per_second"] = tokens / (time.perf_counter() - start)
    texts["codes"] = _drawn(codes, [HAM + text for text in begun], seed, ledger, judge)
    for name, samples in texts.items():
        whole = [a + b for a, b in zip(begun, samples.values, strict=True)]
        found[f"{name}_spam"] = float(np.mean(judge.probabilities(whole) >= 0.5))
        found[f"{name}_perplexity"] = _perplexity(model, begun, samples)
        found[f"{name}_distinct_2"] = _distinct(samples.values)
    found["spam_fall"] = 1 - found["guided_spam"] / max(found["base_spam"], 1e-9)
    found["perplexity_ratio"] = found["guided_perplexity"] / found["base_perplexity"]
    found["distinct_2_ratio"] = found["guided_distinct_2"] / max(found["base_distinct_2"], 1e-9)
    found["speed"] = found["guided_tokens_per_second"] / found["base_tokens_per_second"]
    found["speed_over_scoring"] = _over_scoring(model, guide, prompts[:TIMED])
    alone = found["codes_spam"] <= found["guided_spam"]
    found["over_codes_alone"] = float(
        not (alone and found["codes_perplexity"] <= found["guided_perplexity"])
    )
    return found


def _drawn(
    model: LocalLM, prompts: Sequence[str], seed: int, ledger: Ledger, judge: WordClassifier
) -> Samples[str]:
    def clean(text: str) -> bool:
        return bool(judge.probabilities([text])[0] < 0.5)

    tasks = [Task(prompt, Predicate(function=clean), str(i)) for i, prompt in enumerate(prompts)]
    strategy = RepeatedSampling(n=1)
    found = solve(tasks, model, strategy, seed=seed, ledger=ledger, workers=PROMPTS)
    return sum((outcome.samples for outcome in found.outcomes), Samples[str]())


def _perplexity(model: LocalLM, begun: Sequence[str], samples: Samples[str]) -> float:
    """Return the perplexity of the drawn tokens under the unsteered base."""
    total = tokens = 0.0
    for prompt, text in zip(begun, samples.values, strict=True):
        if text:
            total += model.score(prompt, [text])[0]
            tokens += len(model.vocabulary.encode(text))
    return exp(-total / tokens)


def _distinct(texts: Sequence[str]) -> float:
    """Return the share of pairs of neighbouring words that are different ones."""
    pairs = Counter(pair for t in texts for pair in zip(t.split(), t.split()[1:], strict=False))
    return len(pairs) / max(pairs.total(), 1)


def _over_scoring(model: LocalLM, guide: BayesGuide, prompts: Sequence[list[int]]) -> float:
    """Return how much faster one token is guided than by asking a classifier of candidates.

    The classifier is the guide itself, asked about each candidate after a text that it has read.
    """
    network = guide.guide.token_model if isinstance(guide.guide, LocalLM) else guide.guide
    row = np.random.default_rng(0).normal(0, 3, len(model.vocabulary)).astype(np.float32)

    def guided(ids: list[int]) -> None:
        state = guide.start(model.vocabulary, ids[:-1])
        state.shape(row)
        state.advance(ids[-1])
        began.append(time.perf_counter())
        state.shape(row)

    def scored(ids: list[int]) -> None:
        read = []
        for code in (HAM, SPAM):
            cache = network.new_cache()
            network.step([Chunk(cache, [*model.vocabulary.encode(code), *ids])])
            read.append(cache)
        began.append(time.perf_counter())
        rows = [network.branch(cache) for cache in read for _ in range(CANDIDATES)]
        picked = [int(t) for t in np.argsort(row)[-CANDIDATES:]] * 2
        network.step([Chunk(r, [t]) for r, t in zip(rows, picked, strict=True)])
        for r in rows:
            network.release(r)

    began: list[float] = []
    spent: list[float] = []
    ways: tuple[Callable[[list[int]], None], ...] = (guided, scored)
    for way in ways:
        way(prompts[0])
        took: list[float] = []
        for ids in prompts:
            way(ids)
            took.append(time.perf_counter() - began[-1])
        spent.append(float(np.median(took)))
    return spent[1] / spent[0]


CLAIM = Claim(
    slug="gedi",
    reference="Krause et al. 2020, GeDi: Generative Discriminator Guided Sequence Generation, "
    "arXiv:2009.06367",
    statement="Guided by a copy of itself trained on 217 spam and 217 other messages, SmolLM2 "
    "continues beginnings of spam with 60% less spam, at 1.5 times its perplexity at most, with "
    "0.8 of its distinct pairs of words at least, at 0.3 of its speed and five times faster than a "
    "classifier of 50 candidates; the guide alone is not as good in both.",
    run=run,
    needs={"full": (MESSAGES,)},
)
