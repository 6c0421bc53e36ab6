"""ASAp approaches the model conditioned on a grammar, and the exact mode starts there."""

import json
from dataclasses import dataclass

import numpy as np

from genwright.claims.replay import Drawn, Replay, divergence, fit, total_variation
from genwright.core import Constraint, Cost, Ledger, child_seed
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.generators.language.local import LocalLM
from genwright.generators.language.trie import Trie
from genwright.steering.aligned import (
    AlignedSampler,
    asap_distribution,
    exact_conditional,
    gcd_distribution,
    survey,
)
from genwright.steering.grammar import Grammar, Regex
from genwright.steering.json_schema import JsonSchema

DRAWS = 500


@dataclass(frozen=True)
class Language:
    """A finite language and the prompt under which the model is asked for one of its strings."""

    prompt: str
    constraint: Constraint
    max_tokens: int = 48


LANGUAGES = {
    "bits": Language(
        "Be a helpful assistant. Generate a random binary string of length 5? Directly show the "
        "generated string without explanation.",
        Regex(pattern="00000|1[01]{4}"),
    ),
    "sygus": Language(
        "Write one expression of the SyGuS bit-vector language for x or y, negated. Use "
        "only bvnot, bvand, bvor, x, y and #x0, for example (bvand x #x0). Directly show the "
        "expression without explanation.",
        Grammar(
            text='start: leaf | "(bvnot " leaf ")" | "(bvand " leaf " " leaf ")"'
            ' | "(bvor " leaf " " leaf ")"\n'
            'leaf: "x" | "y" | "#x0"'
        ),
    ),
    "json": Language(
        "Describe a random toy as one line of JSON with the keys color, size and count. Directly "
        "show the JSON without explanation.",
        JsonSchema(
            schema=json.dumps(
                {
                    "type": "object",
                    "properties": {
                        "color": {"enum": ["red", "green", "blue"]},
                        "size": {"enum": ["S", "M", "L"]},
                        "count": {"enum": [1, 2, 3, 4]},
                    },
                    "required": ["color", "size", "count"],
                    "additionalProperties": False,
                }
            ),
            engine="llguidance",
        ),
    ),
}


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Visit every prefix of each language once, then replay 500 draws of each mode over it."""
    names, repeats = (("bits",), 1) if scale == "smoke" else (tuple(LANGUAGES), 3)
    metrics: dict[str, float] = {}
    cost = Cost()
    for name in names:
        full, spent = surveyed(name)
        seeds = [child_seed(seed, name, i) for i in range(repeats)]
        metrics |= {f"{name}_{key}": value for key, value in _compared(full, seeds).items()}
        cost += spent
    bounds = ("bits_asap_tv_100 <= 0.000000001", "bits_mask_tv >= 0.3", "bits_exact_fit >= 0.0001")
    if scale == "full":
        for name in ("sygus", "json"):
            bounds += (f"{name}_kl_share <= 0.5", f"{name}_exact_fit >= 0.0001")
    notes = (
        "asap and kl: the worst of the seeds; kl_share: mean divergence of ASAp at draws 401-500 "
        "over the mask's; evaluations: of 500 draws, the mean of the seeds",
        "every prefix was evaluated once in float32; the modes are replayed over these rows",
    )
    return ClaimResult(metrics=metrics, bounds=bounds, notes=notes, cost=cost)


def surveyed(name: str) -> tuple[Trie, Cost]:
    """Return every prefix of a language under the embedded model, and what asking took."""
    language = LANGUAGES[name]
    model = LocalLM(temperature=1.0, dtype="float32")
    sampler = AlignedSampler(
        model=model.token_model, constraint=language.constraint, max_tokens=language.max_tokens
    )
    trie = survey(sampler, model.encode(language.prompt))
    return trie, Cost(network_evaluations=trie.visited)


def _compared(full: Trie, seeds: list[int]) -> dict[str, float]:
    truth, masked = exact_conditional(full), gcd_distribution(full)
    found: dict[str, list[float]] = {"asap_tv_100": [], "kl_share": [], "exact_fit": []}
    spent: dict[str, list[int]] = {"mask": [], "asap": [], "exact": []}
    for seed in seeds:
        asap = Replay(full, "asap", seed)
        drawn = _draws(asap, 0, 100)
        found["asap_tv_100"].append(total_variation(asap_distribution(full, asap.learnt), truth))
        drawn += _draws(asap, 100, DRAWS - 100)
        late: list[float] = []
        for k in range(DRAWS - 100, DRAWS, 10):
            late.append(divergence(asap_distribution(full, asap.learnt), truth))
            drawn += _draws(asap, k, k + 10)
        found["kl_share"].append(float(np.mean(late)) / divergence(masked, truth))
        exact = _draws(Replay(full, "exact", seed), 0, DRAWS)
        found["exact_fit"].append(fit(exact, truth))
        ways = {"asap": drawn, "exact": exact}
        ways["mask"] = _draws(Replay(full, "mask", seed), 0, DRAWS)
        for way, draws in ways.items():
            spent[way].append(sum(draw.evaluations for draw in draws))
    return {
        "strings": len(truth),
        "prefixes": full.visited,
        "legal_mass": full.root.bound,
        "mask_tv": total_variation(masked, truth),
        "mask_kl": divergence(masked, truth),
        "asap_tv_100": max(found["asap_tv_100"]),
        "kl_share": max(found["kl_share"]),
        "exact_fit": min(found["exact_fit"]),
        **{f"evaluations_{way}": float(np.mean(counts)) for way, counts in spent.items()},
    }


def _draws(replay: Replay, first: int, after: int) -> list[Drawn]:
    return [replay.draw(k) for k in range(first, after)]


CLAIM = Claim(
    slug="asap",
    reference="Park et al. 2024, Grammar-Aligned Decoding, arXiv:2405.21047",
    statement="For SmolLM2 asked for a 5-bit string a mask alone stays at least 0.3 in total "
    "variation from the model conditioned on the grammar, while ASAp comes within 1e-9 in 100 "
    "draws; on bounded SyGuS expressions and a JSON object of three enums the divergence of its "
    "draws 401 to 500 is at most half of the mask's; the exact mode has the right law throughout.",
    run=run,
)
