"""What a prompt can make a language model say, and what it provably cannot make one head write.

Ours: the paper's searches try every token of the vocabulary in a greedy step and 26,112 swaps for
each longer length; here a step tries a shortlist of the gradient's, and a length some 400 swaps.
"""

import gzip
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genwright.assurance.attention_bound import Array, AttentionHead, exclusion_margin
from genwright.assurance.controlled import ControlledModel
from genwright.assurance.prompt_search import BackoffSearch, Found, RandomSearch
from genwright.assurance.reachability import Curve, controllability, reachable_set
from genwright.claims.data import data_file
from genwright.core import Cost, Ledger, child_seed
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.core.statistics import mcnemar
from genwright.generators.language.local import LocalLM
from genwright.generators.language.untrained import untrained
from genwright.learning.supervised import Supervised

PLAYS, ARTICLES = "text/tinyshakespeare.txt.gz", "text/wikitext2_valid.txt.gz"
LINE = 16
"""Characters of a training row."""

PAIRS, LIKELY = 30, 75
KS = (0, 1, 2, 3, 4, 6)
SEARCH = BackoffSearch(gcg=(4, 6), top_k=64, batch=64, iterations=6, shortlist=256)
CHARACTERS = BackoffSearch(greedy=(1, 2), gcg=(2,), top_k=48, batch=48, iterations=24)

SMALL = ("violations <= 0", "trials >= 20000", "chars_found >= 0.9")
LARGE = ("true_6 >= 0.85", "likely_6 >= 0.6", "over_random >= 0.1", "random_p <= 0.01")

Pair = tuple[tuple[int, ...], int]


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Attack margins and search a character model; at full scale search SmolLM2 too."""
    smoke = scale == "smoke"
    metrics: dict[str, float] = {}
    notes = (
        "attacks: half random controls, half small changes of the one that came nearest",
        "found: of the (state, token) pairs that some prompt of one or two characters reaches, and "
        "none needs; brute force over 4,290 prompts a state says which",
        "random: prompts drawn uniformly, as many of each length as the search evaluated, a "
        "gradient counted as three",
    )
    model = None if smoke else ControlledModel.of(LocalLM(chat=False))
    heads = [] if model is None else first_heads(model)
    metrics |= _attacked(heads, 50 if smoke else 100, 400, seed)
    with tempfile.TemporaryDirectory() as folder:
        found, spent = _characters(Path(folder), 8 if smoke else 40, 200 if smoke else 1500, seed)
        metrics |= found
    if model is None:
        cost = Cost(network_evaluations=spent)
        return ClaimResult(metrics=metrics, bounds=SMALL, notes=notes, cost=cost)
    metrics |= _articles(model, seed)
    cost = Cost(network_evaluations=spent + sum(model.spent.values()))
    notes += (
        f"SmolLM2: {PAIRS} states of 8 to 16 tokens of WikiText-2, each with its true next token "
        f"and with one of the {LIKELY} likeliest; name_k: share reached with at most k tokens",
        f"a greedy step tries {SEARCH.shortlist} tokens by the gradient at the mean embedding (the "
        f"paper: all), a length {SEARCH.batch * SEARCH.iterations} swaps (the paper: 26,112)",
        "as_text: still reached once prompt and state are written down and encoded anew",
    )
    return ClaimResult(metrics=metrics, bounds=(*SMALL, *LARGE), notes=notes, cost=cost)


def first_heads(model: ControlledModel) -> list[tuple[AttentionHead, Array]]:
    """Return the heads of a Llama's first layer, each with the rows that any token gives it."""
    body = model.exact.model
    layer, config = body.layers[0], model.exact.config
    rows = layer.input_layernorm(body.embed_tokens.weight).detach().double().cpu().numpy()
    size = config.head_dim
    maps = [
        getattr(layer.self_attn, f"{name}_proj").weight.detach().double().cpu().numpy()
        for name in "qkv"
    ]
    q, k, v = (m.reshape(-1, size, m.shape[1]) for m in maps)
    turns = body.rotary_emb.inv_freq.double().cpu().numpy()
    group = len(q) // len(k)
    return [(AttentionHead(q[i], k[i // group], v[i // group], turns), rows) for i in range(len(q))]


def _attacked(
    heads: Sequence[tuple[AttentionHead, Array]], worlds: int, trials: int, seed: int
) -> dict[str, float]:
    """Attack outputs that are excluded by a little, on random heads and on those that are given."""
    rng = np.random.default_rng(child_seed(seed, "heads"))
    nearest, violations = list[float](), 0
    for world in range(worlds):
        k = int(rng.integers(1, 5))
        table = None
        if heads and world % 2:
            head, table = heads[world // 2 % len(heads)]
            imposed = table[rng.integers(0, len(table), 8)]
            longest = float(np.linalg.norm(table, axis=1).max())
        else:
            head = AttentionHead(*(rng.normal(size=(3, 8, 16)) / 4))
            imposed = rng.normal(size=(6, 16))
            longest = float(rng.uniform(0.2, 2.0))
        wanted = _excluded(head, imposed, rng.normal(size=len(head.value)), k, longest)
        margin = exclusion_margin(head, imposed, wanted, k, longest)
        best, rows = np.inf, _control(rng, k, imposed.shape[1], longest, table)
        for trial in range(trials):
            if trial % 2:
                step = rng.normal(size=rows.shape) * longest * 10.0 ** rng.uniform(-4, 0)
                tried = _at_most(rows + step, longest)
            else:
                size = int(rng.integers(1, k + 1))
                tried = _control(rng, size, imposed.shape[1], longest, table)
            distance = float(np.linalg.norm(head.output(np.vstack([tried, imposed])) - wanted))
            violations += distance < margin * (1 - 1e-9)
            if distance < best:
                best, rows = distance, tried
        nearest.append(best / margin)
    return {
        "trials": float(worlds * trials),
        "violations": float(violations),
        "nearest_over_margin": min(nearest),
        "median_over_margin": float(np.median(nearest)),
    }


def _control(
    rng: np.random.Generator, size: int, width: int, longest: float, table: Array | None
) -> Array:
    """Return the rows of random tokens, or random rows where there are no tokens."""
    if table is not None:
        return table[rng.integers(0, len(table), size)]
    return _at_most(rng.normal(size=(size, width)) * longest, longest)


def _at_most(rows: Array, length: float) -> Array:
    """Shorten what is longer."""
    return rows * np.minimum(1, length / np.linalg.norm(rows, axis=1, keepdims=True))


def _excluded(head: AttentionHead, imposed: Array, way: Array, k: int, omega: float) -> Array:
    """Go from the head's own output in a direction until a tenth of the way is excluded."""
    start, way = head.output(imposed), way / np.linalg.norm(way)
    far = 1e-3
    while exclusion_margin(head, imposed, start + far * way, k, omega) < 0.1 * far:
        far *= 1.1
    return start + far * way


def _characters(folder: Path, states: int, steps: int, seed: int) -> tuple[dict[str, float], int]:
    """Train a character model, and search for all that one or two characters reach.

    The states are single characters: two more before a longer one seldom change what is likeliest.
    """
    text = gzip.decompress(data_file(PLAYS).read_bytes()).decode()
    pieces = [text[i : i + LINE] for i in range(0, len(text) - LINE, LINE)]
    rows = [{"prompt": piece[:1], "completion": piece[1:]} for piece in pieces]
    begun = untrained(folder / "begun", width=64, layers=2, heads=4, seed=child_seed(seed) % 2**31)
    learner = Supervised(
        folder=str(folder / "trained"),
        rank=0,
        steps=steps,
        batch=64,
        learning_rate=5e-3,
        template="{prompt}",
        save_every=steps,
    )
    start = LocalLM(model=str(begun), chat=False, dtype="float32")
    trained = learner.fit(start, rows, seed=seed)
    model = ControlledModel.of(trained, together=512)
    allowed = sorted({model.vocabulary.encode(c)[0] for c in set(text)})
    model = ControlledModel.of(trained, allowed=allowed, together=512)
    order = np.random.default_rng(child_seed(seed, "states")).permutation(allowed)
    tally = {"tried": 0, "found": 0, "random": 0, "at_two": 0, "found_at_two": 0}
    for state in [[int(character)] for character in order[:states]]:
        for target, prompt in reachable_set(model, state, 2).items():
            if prompt:
                own = child_seed(seed, *state, target)
                found = CHARACTERS.find(model, state, target, seed=own)
                random = RandomSearch(found.spent).find(model, state, target, seed=own)
                reached = found.length is not None
                tally["tried"] += 1
                tally["found"] += reached
                tally["random"] += random.length is not None
                tally["at_two"] += len(prompt) == 2
                tally["found_at_two"] += reached and len(prompt) == 2
    metrics = {
        "characters": float(len(allowed)),
        "chars_tried": float(tally["tried"]),
        "chars_found": tally["found"] / tally["tried"],
        "chars_random": tally["random"] / tally["tried"],
        "chars_found_at_two": tally["found_at_two"] / max(1, tally["at_two"]),
    }
    metrics["chars_over_random"] = metrics["chars_found"] - metrics["chars_random"]
    return metrics, sum(model.spent.values())


def _articles(model: ControlledModel, seed: int) -> dict[str, float]:
    """Search for the true next token of WikiText states, and for one of the likeliest."""
    true = states(model, PAIRS, seed)
    likely = [(state, _one_of_the_likeliest(model, state, seed)) for state, _ in true]
    metrics, curves = dict[str, float](), dict[str, Curve]()
    for name, pairs in (("true", true), ("likely", likely)):
        curve = controllability(model, pairs, KS, search=SEARCH, seed=seed)
        shares = zip(KS, curve.reached, strict=True)
        metrics |= {f"{name}_{k}": share.estimate for k, share in shares}
        metrics[f"{name}_6_low"] = curve.reached[-1].low
        metrics[f"{name}_6_high"] = curve.reached[-1].high
        metrics[f"{name}_as_text"] = float(np.mean([f.as_text for f in curve.found]))
        curves[name] = curve
    found = [*curves["true"].found, *curves["likely"].found]
    random = [
        _random(model, pair, f, seed) for pair, f in zip([*true, *likely], found, strict=True)
    ]
    mine = [f.length is not None for f in found]
    metrics["reached"], metrics["random"] = float(np.mean(mine)), float(np.mean(random))
    metrics["over_random"] = metrics["reached"] - metrics["random"]
    metrics["random_p"] = mcnemar(mine, random).p_value
    metrics["evaluations"] = float(np.mean([sum(f.spent.values()) for f in found]))
    return metrics


def states(model: ControlledModel, count: int, seed: int) -> list[Pair]:
    """Return pieces of 8 to 16 tokens of different paragraphs, each with its next token."""
    text = gzip.decompress(data_file(ARTICLES).read_bytes()).decode()
    paragraphs = [p for p in text.splitlines() if len(p) > 200 and "<unk>" not in p]
    rng = np.random.default_rng(child_seed(seed, "states"))
    found: list[Pair] = []
    for i in rng.permutation(len(paragraphs))[:count]:
        ids = model.vocabulary.encode(paragraphs[i].strip())
        size = int(rng.integers(8, 17))
        first = int(rng.integers(0, len(ids) - size))
        found.append((tuple(ids[first : first + size]), ids[first + size]))
    return found


def _one_of_the_likeliest(model: ControlledModel, state: Sequence[int], seed: int) -> int:
    import torch

    logits = model.logits(torch.zeros(1, 0).long(), state)[0]
    place = child_seed(seed, "rank", *state) % LIKELY
    return int(logits.topk(LIKELY).indices[place])


def _random(model: ControlledModel, pair: Pair, found: Found, seed: int) -> bool:
    state, target = pair
    own = child_seed(seed, target, *state)
    return RandomSearch(found.spent).find(model, state, target, seed=own).length is not None


CLAIM = Claim(
    slug="magic-word",
    reference="Bhargava et al. 2023, What's the Magic Word? A Control Theory of LLM Prompting, "
    "arXiv:2310.04444",
    statement="No control of 40,000 comes nearer to an output than its margin says; of what one or "
    "two characters can make a character model write the back-off search finds 90%; with at most "
    "six tokens before 30 states of WikiText-2 it makes SmolLM2 write the true next token for 85% "
    "and one of the 75 likeliest for 60%, and random prompts, with as many evaluations, reach a "
    "tenth of the pairs less.",
    run=run,
    needs={"smoke": (PLAYS,), "full": (PLAYS, ARTICLES)},
)
