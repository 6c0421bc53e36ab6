"""Texts can be verified by drawing them again, if every position has a random number of its own.

Decided here: the text half, on the embedded model. Not decided: the half about generated images,
which needs a diffusion model; its fingerprints, tolerance and vote are rehearsed on real images
with made-up differences between machines, and the rehearsal's numbers carry no bound.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from genwright.assurance.consensus import vote_probability
from genwright.assurance.determinism import agreement, determinism_report
from genwright.assurance.fingerprints import PerceptualHash
from genwright.assurance.tolerance import Tolerance
from genwright.claims.data import data_file
from genwright.core import Chunk, Cost, Ledger, child_seed
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.generators.language.local import LocalLM

EMOJI, DIGITS = "images/noto_emoji32.npz", "images/mnist_test.npz"
PROMPTS = {"smoke": (20, 20, 12), "full": (100, 50, 48)}
"""Scale -> prompts decoded greedily, prompts sampled, new tokens."""

BATCH = 16
BOUNDS = ("greedy_agree >= 0.98", "batch_stream_agree <= 0.6", "own_number_agree >= 0.95")


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Draw texts again under other batches and threads, and rehearse the vote on images."""
    greedy, sampled, length = PROMPTS[scale]
    prompts = _prompts(greedy, seed)
    exact: dict[str, Any] = {"dtype": "float32", "max_new_tokens": length}
    setups = {
        "alone": LocalLM(**exact, temperature=0, threads=1, batch=1),
        "batch": LocalLM(**exact, temperature=0, threads=1, batch=BATCH),
        "threads": LocalLM(**exact, temperature=0, threads=2, batch=BATCH),
    }
    metrics: dict[str, float] = {}
    cost = Cost()
    for row in determinism_report(prompts, setups, seed=seed)[1:]:
        metrics[f"greedy_{row.name}"] = row.rate.estimate
        cost += row.cost
    metrics["greedy_agree"] = min(metrics["greedy_batch"], metrics["greedy_threads"])
    setups = {
        "alone": LocalLM(**exact, temperature=1, threads=1, batch=1),
        "batch": LocalLM(**exact, temperature=1, threads=1, batch=BATCH),
    }
    _, numbered = determinism_report(prompts[:sampled], setups, seed=seed)
    metrics["own_number_agree"] = numbered.rate.estimate
    cut = {
        "eight": LocalLM(**exact, temperature=1, top_p=0.95, threads=1, batch=8),
        "batch": LocalLM(**exact, temperature=1, top_p=0.95, threads=1, batch=BATCH),
    }
    metrics["own_number_top_p_agree"] = determinism_report(prompts[:sampled], cut, seed=seed)[
        1
    ].rate.estimate
    model = setups["batch"]
    lone = _shared_stream(model, prompts[:sampled], 1, length, seed)
    many = _shared_stream(model, prompts[:sampled], BATCH, length, seed)
    metrics["batch_stream_agree"] = agreement("stream", lone, many).rate.estimate
    for kind in ("phash", "dhash"):
        for size in (8, 16):
            metrics |= _rehearsal(PerceptualHash(kind=kind, size=size), seed)
    notes = (
        f"text: {greedy} prompts decoded greedily and {sampled} sampled, {length} new tokens, "
        f"float32, batches of 1 and {BATCH}, 1 and 2 threads of one machine, not two machines",
        "batch_stream: torch.multinomial draws the batch's tokens from one generator that starts "
        "from the same seed; own_number: the engine's number for every position of every draw, "
        "read off the distribution over all tokens; top_p: the same with top_p 0.95, batches of 8 "
        f"and {BATCH}",
        "not decided: generated images. The numbers of phash and dhash are of real digits and "
        "emoji: an honest rerun is the image with rounding noise of one level in 255, made up; "
        "others are images of the same class. They carry no bound",
    )
    return ClaimResult(metrics=metrics, bounds=BOUNDS, notes=notes, cost=cost + numbered.cost)


def _prompts(n: int, seed: int) -> list[str]:
    """Return questions about emoji, each about another one."""
    with np.load(data_file(EMOJI)) as data:
        captions = [str(text).lower() for text in data["captions"] if text]
    order = np.random.default_rng(child_seed(seed, "prompts")).permutation(len(captions))
    return [f"Write two sentences about this: {captions[i]}." for i in order[:n]]


def _shared_stream(
    model: LocalLM, prompts: Sequence[str], batch: int, length: int, seed: int
) -> list[tuple[int, ...]]:
    """Sample as is usual: one random stream a batch, so that a row's numbers depend on the rest.

    The control for the engine's numbers; it has no other use, and so no place outside this file.
    """
    tokens = model.token_model
    found: list[tuple[int, ...]] = []
    for start in range(0, len(prompts), batch):
        rows = [model.encode(prompt) for prompt in prompts[start : start + batch]]
        stems = [tokens.new_cache() for _ in rows]
        chunks = [Chunk(stem, row) for stem, row in zip(stems, rows, strict=True)]
        logits = tokens.step(chunks)
        caches = [tokens.branch(stem) for stem in stems]
        random = torch.Generator().manual_seed(child_seed(seed, "stream"))
        drawn: list[list[int]] = [[] for _ in rows]
        for step in range(length):
            odds = torch.softmax(torch.as_tensor(np.asarray(logits)), dim=-1)
            chosen = torch.multinomial(odds, 1, generator=random)[:, 0].tolist()
            for row, token in zip(drawn, chosen, strict=True):
                row.append(token)
            if step + 1 < length:
                pairs = zip(caches, chosen, strict=True)
                logits = tokens.step([Chunk(cache, [token]) for cache, token in pairs])
        for cache in [*caches, *stems]:
            tokens.release(cache)
        found += [_until_end(row, model.vocabulary.eos) for row in drawn]
    return found


def _until_end(row: Sequence[int], eos: frozenset[int]) -> tuple[int, ...]:
    ends = [i for i, token in enumerate(row) if token in eos]
    return tuple(row[: ends[0]] if ends else row)


def _rehearsal(fingerprint: PerceptualHash, seed: int) -> dict[str, float]:
    """Calibrate on half of the images, and let three workers vote on the other half."""
    rng = np.random.default_rng(child_seed(seed, "images"))
    found: dict[str, float] = {}
    for name, pairs in (("digits", _digits(rng, 1200)), ("emoji", _emoji(rng, 1200))):
        hashes = [
            (fingerprint.of(_noisy(a, rng)), fingerprint.of(_noisy(a, rng)), b) for a, b in pairs
        ]
        half = len(hashes) // 2
        honest = [fingerprint.distance(claim, own) for claim, own, _ in hashes[:half]]
        others = [fingerprint.distance(fingerprint.of(b), own) for _, own, b in hashes[:half]]
        limit = Tolerance.of_distances(honest, others, fpr=0.01, fnr=0.01).limit
        votes = {"honest": 0, "other": 0}
        single = 0
        for (image, other), (claim, _, _) in zip(pairs[half:], hashes[half:], strict=True):
            workers = [fingerprint.of(_noisy(image, rng)) for _ in range(3)]
            for which, made in (("honest", claim), ("other", fingerprint.of(other))):
                agree = sum(fingerprint.distance(made, own) <= limit for own in workers)
                votes[which] += agree >= 2
                single += agree if which == "honest" else 0
        label = f"{fingerprint.kind}{fingerprint.size}_{name}"
        found[f"{label}_limit"] = limit
        found[f"{label}_honest"] = votes["honest"] / (len(hashes) - half)
        found[f"{label}_other"] = votes["other"] / (len(hashes) - half)
        independent = vote_probability(single / (3 * (len(hashes) - half)))
        found[f"{label}_honest_if_independent"] = independent
    return found


def _noisy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the image with noise of one level: what another order of additions may leave."""
    noise = rng.normal(0, 1, image.shape)
    return np.clip(np.round(image + noise), 0, 255).astype(np.uint8)


def _digits(rng: np.random.Generator, n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return pairs of a digit and another image of the same digit."""
    with np.load(data_file(DIGITS)) as data:
        images, labels = data["images"], data["labels"]
    return [(images[i], images[j]) for i, j in _same_class(labels, rng, n)]


def _emoji(rng: np.random.Generator, n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return pairs of an emoji and another one of the same first word, such as `flag`."""
    with np.load(data_file(EMOJI)) as data:
        images = data["images"]
        labels = np.array([str(text).partition(" ")[0] for text in data["captions"]])
    return [(images[i], images[j]) for i, j in _same_class(labels, rng, n)]


def _same_class(labels: np.ndarray, rng: np.random.Generator, n: int) -> Iterator[tuple[int, int]]:
    order = rng.permutation(len(labels))
    made = 0
    for i in order:
        fellows = np.flatnonzero((labels == labels[i]) & (np.arange(len(labels)) != i))
        if made < n and len(fellows):
            made += 1
            yield int(i), int(rng.choice(fellows))


CLAIM = Claim(
    slug="consensus",
    reference="Kim, Isozaki, Sirkin and Robson 2023, Generative Artificial Intelligence Consensus "
    "in a Trustless Network, arXiv:2307.01898",
    statement="SmolLM2 in float32 writes the same 48 greedy tokens at any batch and thread count "
    "for at least 98% of prompts and the same sampled ones for at least 95% where every position "
    "has its own random number, but for at most 60% where the batch shares one stream; the half "
    "about generated images is not decided here.",
    run=run,
    needs={"smoke": (EMOJI, DIGITS), "full": (EMOJI, DIGITS)},
)
