"""B4 picks the right program by doubtful tests more often than CodeT's rule does."""

from collections import Counter

import numpy as np

from genwright.claims.humaneval import FILES, pass_rows, recorded_tasks
from genwright.core import Cost, Ledger, Samples, child_seed
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.core.statistics import paired_bootstrap
from genwright.search.asserts import read_asserts
from genwright.search.b4 import B4, CodeT, MaxPass, Selector, top
from genwright.search.pass_model import Theta

TRIALS = 2000
SIMULATED = ("simulated_b4 >= 0.95", "simulated_codet <= 0.88")
RECORDED = ("mixed_gain >= 0.04", "mixed_gain_low >= 0", "hard_gain >= 0.08", "hard_gain_low >= 0")


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Simulate the paper's model; at full scale also judge CodeGen-16B's programs by its tests."""
    metrics = _simulated(seed)
    if scale == "smoke":
        notes = ("simulated only; the recorded half runs at full scale",)
        return ClaimResult(metrics=metrics, bounds=SIMULATED, notes=notes)
    shares, cost = _recorded(seed)  # [task][B4, CodeT, share of right programs]
    for name, least in (("mixed", 0.0), ("hard", 0.8)):
        rows = [row for row in shares if row[2] <= 1 - least]
        gain = paired_bootstrap([r[0] for r in rows], [r[1] for r in rows], seed=seed)
        metrics |= {f"{name}_problems": len(rows), f"{name}_gain": gain.estimate}
        metrics |= {f"{name}_gain_low": gain.low}
        means = np.mean(rows, axis=0)
        metrics |= {f"{name}_b4": means[0], f"{name}_codet": means[1], f"{name}_random": means[2]}
    notes = ("mixed: problems with right and wrong programs; hard: at most 20% of them right",)
    return ClaimResult(metrics=metrics, bounds=SIMULATED + RECORDED, notes=notes, cost=cost)


def _simulated(seed: int) -> dict[str, float]:
    """Return how often each rule picks a right program where there is one."""
    rules = {"b4": B4(alpha_xy=10, beta_0=10), "codet": CodeT(), "maxpass": MaxPass()}
    right: dict[str, list[float]] = {name: [] for name in rules}
    for trial in range(TRIALS):
        passes, truth, _ = Theta().simulate(10, 30, seed=child_seed(seed, trial))
        if truth.any() and not truth.all():
            for name, rule in rules.items():
                right[name].append(float(truth[top(rule.select(passes))].mean()))
    return {f"simulated_{name}": float(np.mean(found)) for name, found in right.items()}


def _recorded(seed: int) -> tuple[list[tuple[float, float, float]], Cost]:
    """Return for each mixed problem the share of right programs chosen by B4, CodeT, at random."""
    tasks, generator = recorded_tasks(seed)
    found: list[tuple[float, float, float]] = []
    cost = Cost()
    for task in tasks:
        drawn = Counter(generator.sample(task.prompt, 100, seed=seed).values)
        tests: Counter[str] = Counter()
        for text in task.data["test_texts"]:
            tests.update(read_asserts(f"assert {text}", task.data["entry_point"])[:5])
        verdicts = task.verifier.check(Samples(list(drawn))) if task.verifier else []
        right = np.array([v.passed is True for v in verdicts])
        weights = np.array(list(drawn.values()), dtype=float)
        cost += sum((v.cost for v in verdicts), Cost(draws=len(drawn)))
        if tests and right.any() and not right.all():
            rows = np.array(pass_rows(list(drawn), list(tests)), dtype=int)
            counts = (list(weights), [float(c) for c in tests.values()])
            chosen = [_share(rule, rows, counts, right) for rule in (B4(), CodeT())]
            found.append((chosen[0], chosen[1], float(np.average(right, weights=weights))))
    return found, cost


def _share(
    rule: Selector, rows: np.ndarray, counts: tuple[list[float], list[float]], right: np.ndarray
) -> float:
    """Return the share of right programs among those a rule ranks first, ties broken evenly."""
    best = top(rule.select(rows, counts))
    return float(np.average(right[best], weights=np.array(counts[0])[best]))


CLAIM = Claim(
    slug="b4",
    reference="Chen et al. 2024, B4: Towards Optimal Assessment of Plausible Code Solutions with "
    "Plausible Tests, arXiv:2409.08692",
    statement="B4 picks a right program in at least 95% of simulated cases (CodeT in at most 88%), "
    "and on CodeGen-16B's programs and tests for HumanEval beats CodeT by at least 4 points, by at "
    "least 8 where at most 20% of the programs are right.",
    run=run,
    needs={"full": FILES},
)
