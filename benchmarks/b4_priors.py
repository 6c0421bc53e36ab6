"""Do priors fitted across problems help B4 on real programs and tests?

Run `python benchmarks/b4_priors.py` (a table) or with `--json`. CodeGen-16B's programs and tests
for HumanEval, as in the claim of b4: about two minutes of running programs. Problems are split in
halves; each half is judged with the priors fitted to the other. Needs the data (`GENWRIGHT_DATA`).
"""

import argparse
import json
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from genwright.claims.humaneval import pass_rows, recorded_tasks
from genwright.core import Samples
from genwright.core.statistics import paired_bootstrap
from genwright.search.asserts import read_asserts
from genwright.search.b4 import B4, Selector, Weights, top
from genwright.search.b4_priors import fit_priors


class Judged(NamedTuple):
    """One problem: which program passes which test, how often each was drawn, and the truth."""

    matrix: Any
    counts: Weights
    right: Any


def problems() -> list[Judged]:
    """Run every program of every problem that has right and wrong ones."""
    tasks, generator = recorded_tasks(0)
    found: list[Judged] = []
    for task in tasks:
        drawn = Counter(generator.sample(task.prompt, 100, seed=0).values)
        tests: Counter[str] = Counter()
        for text in task.data["test_texts"]:
            tests.update(read_asserts(f"assert {text}", task.data["entry_point"])[:5])
        assert task.verifier is not None
        right = np.array([v.passed is True for v in task.verifier.check(Samples(list(drawn)))])
        if tests and right.any() and not right.all():
            rows = np.array(pass_rows(list(drawn), list(tests)), dtype=int)
            counts = ([float(c) for c in drawn.values()], [float(c) for c in tests.values()])
            found.append(Judged(rows, counts, right))
    return found


def share(rule: Selector, problem: Judged) -> float:
    """Return the share of right programs among those a rule ranks first."""
    best = top(rule.select(problem.matrix, problem.counts))
    return float(np.average(problem.right[best], weights=np.array(problem.counts[0])[best]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    every = problems()
    halves = every[::2], every[1::2]
    fitted = [fit_priors([(p.matrix, p.counts) for p in half]).selector for half in halves]
    ours = [share(fitted[1 - i], p) for i, half in enumerate(halves) for p in half]
    published = [share(B4(), p) for half in halves for p in half]
    gap = paired_bootstrap(ours, published, seed=0)
    told = {
        "problems": len(every),
        "fitted": [[rule.alpha_xy, rule.beta_0] for rule in fitted],
        "right_fitted": float(np.mean(ours)),
        "right_published": float(np.mean(published)),
        "difference": [gap.estimate, gap.low, gap.high],
    }
    if args.json:
        print(json.dumps(told, indent=1))
        return
    for name, value in told.items():
        print(f"{name:16} {value}")


if __name__ == "__main__":
    main()
