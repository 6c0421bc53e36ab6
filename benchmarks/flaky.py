"""What a verifier that is wrong in 5 of 100 checks does to each method, and what helps.

Run `python benchmarks/flaky.py` (a table) or with `--json`. Draws: 295 questions of Date
Understanding, 10 answers each by ChatGPT, one of them right at most; the truth grades. Each method
is run with a verifier that never errs, with one that errs either way at the rate given and is
trusted, with the same where the method is told the rates, and where it is told them and `Repeat`
asks again.
The selectors of programs by tests run on simulated pass matrices (10 programs, 30 tests, the
rates of the B4 paper's simulation) whose cells err at the same rate. Needs the data.
"""

import argparse
import json
from typing import Any

import numpy as np
from recorded import dates, with_verifier

from genwright.core import child_seed
from genwright.search.auto import Auto
from genwright.search.b4 import B4, CodeT, MaxPass, MBRExec, top
from genwright.search.best_of_n import BestOfN
from genwright.search.compare import compare
from genwright.search.majority_vote import MajorityVote
from genwright.search.pass_model import Theta
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.search.sequential import Sequential
from genwright.search.single import Single
from genwright.search.soft_b4 import SoftB4
from genwright.testing import Flaky
from genwright.verifiers.repeat import Repeat

N = 10
METHODS: dict[str, Any] = {
    "single": lambda rates: Single(),
    "majority vote": lambda rates: MajorityVote(k=N, reliability=rates),
    "repeated sampling": lambda rates: RepeatedSampling(n=N, batch=1, reliability=rates),
    "sequential": lambda rates: Sequential(n=N, reliability=rates),
    "best of n": lambda rates: BestOfN(n=N, reliability=rates),
    "auto": lambda rates: Auto(n=N, reliability=rates),
}
SELECTORS: dict[str, Any] = {"MaxPass": MaxPass(), "MBRExec": MBRExec(), "CodeT": CodeT()}


def strategies(rate: float, prompts: int | None) -> list[dict[str, Any]]:
    """Return a row a method: accuracy and checks a prompt, in each of the four settings."""
    tasks, generator, truth = dates()
    tasks = tasks[:prompts]
    draws = (tasks, generator, truth)

    numbers = {task.key: i for i, task in enumerate(tasks)}

    def errs() -> dict[str, Flaky[Any]]:  # new for every setting, so that all see the same errors
        return {key: Flaky(truth[key], rate, rate, seed=i) for key, i in numbers.items()}

    both = (rate, rate)
    settings = {
        "never errs": (truth, None),
        "trusted": (errs(), None),
        "told": (errs(), both),
        "told, asked again": (
            {key: Repeat(verifier=v, reliability=both) for key, v in errs().items()},
            both,
        ),
    }
    rows: dict[str, dict[str, Any]] = {name: {"method": name} for name in METHODS}
    for setting, (verifiers, rates) in settings.items():
        checked, generator, graders = with_verifier(draws, verifiers)
        made = {name: make(rates) for name, make in METHODS.items()}
        found = compare(checked, generator, made, [N], graders=graders, name=setting)
        for cell in found.cells:
            assert cell.accuracy is not None
            rows[cell.strategy][setting] = cell.accuracy.estimate
            rows[cell.strategy][f"checks, {setting}"] = cell.mean("verifier_calls")
    return list(rows.values())


def selectors(rate: float, trials: int) -> list[dict[str, Any]]:
    """Return a row a selector: the share of right programs chosen from clean and erring cells."""
    kinds = SELECTORS | {
        "B4": B4(alpha_xy=10, beta_0=10),
        "B4, told (SoftB4)": SoftB4(alpha_xy=10, beta_0=10, reliability=(rate, rate)),
    }
    right: dict[str, list[list[float]]] = {name: [[], []] for name in kinds}
    for trial in range(trials):
        clean, truth, _ = Theta().simulate(10, 30, seed=trial)
        if not truth.any() or truth.all():
            continue
        wrong = np.random.default_rng(child_seed(trial, "errors")).random(clean.shape) < rate
        for name, kind in kinds.items():
            for i, matrix in enumerate((clean, np.where(wrong, 1 - clean, clean))):
                right[name][i].append(float(truth[top(kind.select(matrix))].mean()))
    return [
        {"method": name, "clean": float(np.mean(found[0])), "erring": float(np.mean(found[1]))}
        for name, found in right.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--prompts", type=int, default=None, help="only the first")
    parser.add_argument("--trials", type=int, default=500, help="simulated pass matrices")
    args = parser.parse_args()
    rows, matrices = strategies(args.rate, args.prompts), selectors(args.rate, args.trials)
    if args.json:
        print(json.dumps({"rate": args.rate, "strategies": rows, "selectors": matrices}, indent=1))
        return
    settings = ("never errs", "trusted", "told", "told, asked again")
    print("accuracy (checks a prompt)".ljust(28) + "".join(s.rjust(20) for s in settings))
    for row in rows:
        cells = (f"{row[s]:.3f} ({row[f'checks, {s}']:.1f})" for s in settings)
        print(row["method"].ljust(28) + "".join(c.rjust(20) for c in cells))
    print(
        "\nshare of right programs".ljust(29) + "clean cells".rjust(20) + "erring cells".rjust(20)
    )
    for row in matrices:
        print(
            row["method"].ljust(28)
            + f"{row['clean']:.3f}".rjust(20)
            + f"{row['erring']:.3f}".rjust(20)
        )


if __name__ == "__main__":
    main()
