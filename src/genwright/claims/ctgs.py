"""Filters make any model keep a rule, at less perplexity; word constraints keep rules of words."""

import gzip
import re
import tempfile
from collections.abc import Sequence
from math import exp
from typing import Any

import numpy as np

from genwright.claims.data import data_file
from genwright.core import Chunk, Cost, Ledger, Samples, Task, child_seed, solve
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.generators.language.loading import unload
from genwright.generators.language.local import LocalLM
from genwright.learning.supervised import Supervised
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.steering.filters import fold
from genwright.steering.lexical import Ban
from genwright.steering.phonetic import Syllables, dictionary, stresses
from genwright.steering.token_filter import TokenFilter
from genwright.steering.word_constraint import WordConstraint
from genwright.verifiers.predicate import Predicate

NOVEL = "text/gadsby_lipogram.txt.gz"
NEW, PROMPTS = 40, 20
STEPS, BATCH, SEEDS = 150, 8, 2
LIPOGRAM = TokenFilter(filters=(Ban(strings=("e",)),))
ONE_SYLLABLE = Syllables(count=1)
BY_TOKEN = TokenFilter(filters=(ONE_SYLLABLE,), transforms=("strip",))
BY_WORD = WordConstraint(filters=(ONE_SYLLABLE,), spaced=True)
BOUNDS = (
    "filtered_with_e <= 0",
    "base_with_e >= 0.5",
    "base_perplexity_fall >= 0.05",
    "words_exact >= 1",
    "words_by_token <= 0.95",
)
TUNED = (
    "tuned_filtered_with_e <= 0",
    "tuned_with_e >= 0.0025",
    "tuned_perplexity_fall >= 0.000001",
)

Passage = tuple[str, str]
"""A few words of the novel, and those that follow."""


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Draw and score the embedded model with and without the filter; at full scale also tune it."""
    passages = novel()
    kept = int(0.8 * len(passages))
    book, held = ledger or Ledger(), passages[kept:]
    before = len(book.runs())
    model = LocalLM(chat=False, temperature=1.0, max_new_tokens=NEW)
    draws, texts, seeds = (20, 16, 1) if scale == "smoke" else (200, 64, SEEDS)
    runs: list[dict[str, float]] = []
    for number in range(seeds):
        here = child_seed(seed, number)
        found = _lipogram(model, held, draws, texts, here, book)
        runs.append({f"base_{name}": value for name, value in found.items()})
        runs[-1] |= _syllables(model, held, draws, here, book)
        if scale == "full":
            with tempfile.TemporaryDirectory() as folder:
                tuned = _tuned(model, passages[:kept], folder, here)
                found = _lipogram(tuned, held, draws, texts, here, book)
                unload(tuned.model)  # or every seed's model stays in memory
            runs[-1] |= {f"tuned_{name}": value for name, value in found.items()}
    metrics = {name: float(np.mean([found[name] for found in runs])) for name in runs[0]}
    metrics["filtered_with_e"] = metrics.pop("base_filtered_with_e")
    notes = (
        f"{draws} draws of {NEW} tokens that continue {PROMPTS} held-out passages of the novel; "
        f"perplexity of the next words of {texts} of them; mean of {seeds} seed(s)",
        "with_e: share of draws with an e after folding case, accents and width",
        "words: share of whole words of the draws that CMUdict gives one syllable",
    )
    cost = sum((sum(r.costs().values(), Cost()) for r in book.runs()[before:]), Cost())
    bounds = BOUNDS if scale == "smoke" else BOUNDS + TUNED
    return ClaimResult(metrics=metrics, bounds=bounds, notes=notes, cost=cost)


def novel(words: int = 36, before: int = 12) -> list[Passage]:
    """Return the novel in passages: a few words, and those that follow; none with an e."""
    text = gzip.decompress(data_file(NOVEL).read_bytes()).decode()
    paragraphs = (p.split() for p in re.split(r"\n\s*\n", text))
    found: list[Passage] = []
    for paragraph in paragraphs:
        for at in range(before, len(paragraph) - 11, words):
            passage = " ".join(paragraph[at - before : at]), " ".join(paragraph[at : at + words])
            found.append(passage)
    return [(a, f" {b}") for a, b in found if "e" not in fold(a + b)]


def _tuned(model: LocalLM, passages: Sequence[Passage], folder: str, seed: int) -> LocalLM:
    rows = [{"prompt": before, "completion": after} for before, after in passages]
    learner = Supervised(
        folder=folder, steps=STEPS, batch=BATCH, template="{prompt}", max_tokens=96, rank=8
    )
    return learner.fit(model, rows, seed=seed)


def _lipogram(
    model: LocalLM, held: Sequence[Passage], draws: int, texts: int, seed: int, ledger: Ledger
) -> dict[str, float]:
    free = _drawn(model, held, draws, seed, ledger)
    filtered = _drawn(model.steered(LIPOGRAM), held, draws, seed, ledger)
    rows = [_log_likelihoods(model, passage) for passage in held[:texts]]
    plain, masked = (np.concatenate(column) for column in zip(*rows, strict=True))
    return {
        "with_e": _share_with_e(free),
        "filtered_with_e": _share_with_e(filtered),
        "perplexity": exp(-plain.mean()),
        "filtered_perplexity": exp(-masked.mean()),
        "perplexity_fall": 1 - exp(plain.mean() - masked.mean()),
    }


def _log_likelihoods(model: LocalLM, passage: Passage) -> tuple[Any, Any]:
    """Return log-probabilities of a passage's tokens, of the model and of the model filtered."""
    network, state = model.token_model, LIPOGRAM.compile(model.vocabulary).start()
    prompt, ids = model.encode(passage[0]), model.vocabulary.encode(passage[1])
    cache = network.branch(network.new_cache())
    logits = network.step([Chunk(cache, [*prompt, *ids[:-1]], every=True)]).astype(np.float64)
    network.release(cache)
    plain: list[float] = []
    masked: list[float] = []
    for row, token in zip(logits[len(prompt) - 1 :], ids, strict=True):
        plain.append(row[token] - np.logaddexp.reduce(row))
        masked.append(row[token] - np.logaddexp.reduce(row[state.mask()]))
        state.advance(token)
    return np.array(plain), np.array(masked)


def _syllables(
    model: LocalLM, held: Sequence[Passage], draws: int, seed: int, ledger: Ledger
) -> dict[str, float]:
    ways = {"words_exact": BY_WORD, "words_by_token": BY_TOKEN}
    return {
        name: _share_of_monosyllables(_drawn(model.steered(way), held, draws, seed, ledger))
        for name, way in ways.items()
    }


def _drawn(
    model: LocalLM, held: Sequence[Passage], draws: int, seed: int, ledger: Ledger
) -> Samples[str]:
    tasks = [
        Task(before, Predicate(function=_without_e), str(i))
        for i, (before, _) in enumerate(held[:PROMPTS])
    ]
    strategy = RepeatedSampling(n=draws // PROMPTS, stop_on_pass=False)
    outcomes = solve(tasks, model, strategy, seed=seed, ledger=ledger, workers=PROMPTS).outcomes
    return sum((outcome.samples for outcome in outcomes), Samples[str]())


def _share_with_e(samples: Samples[str]) -> float:
    return float(np.mean([not _without_e(text) for text in samples.values]))


def _without_e(text: str) -> bool:
    return "e" not in fold(text)


def _share_of_monosyllables(samples: Samples[str]) -> float:
    """Return the share of words with a pronunciation of one syllable; a cut word does not count."""
    words: list[str] = []
    for text, info in zip(samples.values, samples.info, strict=True):
        found = re.findall(r"[\w']+", text.lower())
        words += found[: len(found) - (info["finish_reason"] == "length")]
    return float(np.mean([_has_one(dictionary().get(word)) for word in words]))


def _has_one(ways: Any) -> bool:
    return ways is not None and any(len(stresses(phones)) == 1 for phones in ways)


CLAIM = Claim(
    slug="ctgs",
    reference="Roush et al. 2022, Most Language Models can be Poets too: An AI Writing Assistant "
    "and Constrained Text Generation Studio, arXiv:2306.15926",
    statement="On the held-out fifth of a novel without the letter e, a filter on SmolLM2's tokens "
    "gives no output with an e (base: more than 50%; tuned by LoRA for 150 steps: more than 0%) "
    "and lowers the perplexity of base (by at least 5%) and tuned model; a word constraint to one "
    "syllable gives monosyllables only, the same filter on tokens less than 95%.",
    run=run,
    needs={"smoke": (NOVEL,), "full": (NOVEL,)},
)
