"""Distance to the true conditional against network evaluations, for five ways to obey a grammar.

Every prefix of three finite languages is evaluated once by the embedded model. Over these rows each
way makes 2,000 draws, as one row of draws with one memory, and pays for what it would have asked
the network. The distance is the total variation between what was drawn so far and the model
conditioned on the grammar; 2,000 independent draws are a little way off by chance.

* mask: grammar-constrained decoding; it remembers nothing.
* asap, exact: with the trie.
* rejection: draws from the model until one is allowed, each given up at its first wrong token. Its
  draws are exact, and its mean cost follows from the survey.
* genlm-control: `AWRS` within SMC of 10 particles, 200 filters, each prefix counted once since it
  caches. It runs in an environment of its own: `--peer ENV/bin/python`.

    python benchmarks/aligned.py --peer /tmp/genlm/bin/python --picture docs/methods/asap.svg
"""

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np

from genwright.claims.asap import LANGUAGES, surveyed
from genwright.claims.replay import Replay, Tokens, total_variation
from genwright.core import child_seed
from genwright.generators.language.trie import Trie
from genwright.steering.aligned import exact_conditional, gcd_distribution

DRAWS, SEEDS, PARTICLES, FILTERS = 2000, 3, 10, 200
MARKS = np.unique(np.geomspace(1, DRAWS, 25).astype(int))
"""Numbers of draws after which the distance is taken."""

Curve = list[tuple[float, float]]
"""(network evaluations so far, distance)."""

TITLES = {"bits": "5-bit strings", "sygus": "string expressions", "json": "three enums in JSON"}


def replayed(full: Trie, way: str, truth: dict[Tokens, float], seed: int) -> Curve:
    """Draw with a walk or a mask."""
    replay, spent, counts, curve = Replay(full, way, seed), 0, dict[Tokens, float](), Curve()
    for k in range(DRAWS):
        drawn = replay.draw(k)
        spent += drawn.evaluations
        if drawn.tokens is not None:
            counts[drawn.tokens] = counts.get(drawn.tokens, 0.0) + 1
        if k + 1 in MARKS:
            shares = {s: n / (k + 1) for s, n in counts.items()}
            curve.append((spent, total_variation(shares, truth)))
    return curve


def rejected(full: Trie, truth: dict[Tokens, float], seed: int) -> Curve:
    """Independent draws at the mean price of rejection."""
    reached, front = 0.0, [(full.root, 1.0)]  # evaluations of one attempt
    while front:
        node, p = front.pop()
        reached += p
        front += [(child, p * child.p) for child in node.children.values()]
    price = reached / full.root.bound
    strings, law = list(truth), np.array(list(truth.values()))
    draws = np.random.default_rng(seed).choice(len(law), DRAWS, p=law / law.sum())
    curve = Curve()
    for mark in MARKS.tolist():
        shares = np.bincount(draws[:mark], minlength=len(law)) / mark
        curve.append(
            (price * mark, total_variation(dict(zip(strings, shares, strict=True)), truth))
        )
    return curve


def peer(python: str, full: Trie, truth: dict[Tokens, float], seed: int) -> Curve:
    """Run genlm-control over the same rows."""
    rows, front = list[dict[str, object]](), [full.root]
    while front:
        node = front.pop()
        row = full.row(node)
        assert row is not None
        open_ = ~row.ends
        rows.append(
            {
                "path": node.path(),
                "tokens": row.tokens[open_].tolist(),
                "p": row.p[open_].tolist(),
                "end": float(row.p[row.ends].sum()),
            }
        )
        front += node.children.values()
    done = subprocess.run(
        [python, str(Path(__file__).with_name("aligned_peer.py")), str(PARTICLES),
         str(FILTERS), str(seed)],
        input=json.dumps(rows), capture_output=True, text=True, check=True, timeout=900,
    )  # fmt: skip
    pooled, curve = dict[Tokens, float](), Curve()
    for runs, line in enumerate(done.stdout.splitlines(), 1):
        asked, weights = json.loads(line)
        for text, weight in weights.items():
            tokens = tuple(map(int, text.split(","))) if text else ()
            pooled[tokens] = pooled.get(tokens, 0.0) + weight
        if runs & (runs - 1) == 0 or runs % 20 == 0:
            shares = {s: w / runs for s, w in pooled.items()}
            curve.append((asked, total_variation(shares, truth)))
    return curve


def measured(name: str, python: str) -> dict[str, object]:
    """Return the curves of one language, the mean of the seeds, and what is known of it."""
    full, _ = surveyed(name)
    truth = exact_conditional(full)
    curves: dict[str, list[Curve]] = {}
    for i in range(SEEDS):
        seed = child_seed(0, name, i) % 2**31
        for way in ("mask", "asap", "exact"):
            curves.setdefault(way, []).append(replayed(full, way, truth, seed))
        curves.setdefault("rejection", []).append(rejected(full, truth, seed))
        if python:
            curves.setdefault("genlm-control", []).append(peer(python, full, truth, seed))
    return {
        "strings": len(truth),
        "prefixes": full.visited,
        "legal_mass": full.root.bound,
        "mask_tv": total_variation(gcd_distribution(full), truth),
        "curves": {way: np.mean(found, axis=0).tolist() for way, found in curves.items()},
    }


def draw(results: dict[str, dict], path: Path) -> None:
    """Draw one panel a language."""
    from matplotlib import pyplot

    pyplot.rcParams |= {"svg.hashsalt": "genwright", "font.size": 9}
    figure, panels = pyplot.subplots(
        1, len(results), figsize=(1.5 + 3 * len(results), 3.4), sharey=True, squeeze=False
    )
    colours = {
        "mask": "#888888",
        "asap": "#d95f02",
        "exact": "#1b7837",
        "rejection": "#7570b3",
        "genlm-control": "#2166ac",
    }
    for panel, (name, result) in zip(panels[0], results.items(), strict=True):
        for way, curve in result["curves"].items():
            x, y = np.array(curve).T
            panel.plot(x, y, label=way, color=colours[way], linewidth=1.8)
        panel.set(xscale="log", yscale="log", title=TITLES[name], xlabel="network evaluations")
        panel.grid(alpha=0.25)
    panels[0, 0].set_ylabel("total variation from the\nmodel given the grammar")
    panels[0, -1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure, write JSON, and draw the picture where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--languages", default=",".join(LANGUAGES), help="those to measure anew")
    parser.add_argument("--peer", default="", help="python of an environment with genlm-control")
    parser.add_argument("--picture", type=Path, help="SVG to write")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    given.folder.mkdir(exist_ok=True)
    path = given.folder / "aligned.json"
    results = json.loads(path.read_text()) if path.is_file() else {}
    for name in filter(None, given.languages.split(",")):
        results[name] = measured(name, given.peer)
        path.write_text(json.dumps(results, indent=1) + "\n")
    for name, result in results.items():
        print(
            f"{TITLES[name]}: {result['strings']} strings, {result['prefixes']} prefixes,", end=""
        )
        print(f" legal mass {result['legal_mass']:.2g}, mask at TV {result['mask_tv']:.3f}")
        for way, curve in result["curves"].items():
            print(f"  {way}: TV {curve[-1][1]:.4f} after {curve[-1][0]:,.0f} evaluations")
    if given.picture:
        draw(results, given.picture)


if __name__ == "__main__":
    main()
