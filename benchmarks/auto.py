"""Is `auto` within two points of the best fixed strategy at equal budget?

Run `python benchmarks/auto.py` (a table) or with `--json`. Three tasks from recorded draws: code
with its unit tests as verifier, dates that nothing can check, and predicted outputs of programs
with a verifier that errs in 15 of 100 cases either way, always alike, and does not say so. The
budget is in draws; the truth grades. Needs the data (`GENWRIGHT_DATA`).
"""

import argparse
import json
from typing import Any

from recorded import Draws, cruxeval, dates, humaneval, with_verifier

from genwright.core import Budget
from genwright.search.auto import Auto
from genwright.search.best_of_n import BestOfN
from genwright.search.compare import Comparison, compare
from genwright.search.majority_vote import MajorityVote
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.search.single import Single
from genwright.testing import Flaky

ALLOWED = 0.02
"""Points by which the best fixed strategy may be better."""


def draws(budget: Budget) -> int:
    """Return the draws that a budget allows."""
    assert budget.draws is not None
    return budget.draws


FIXED: dict[str, Any] = {
    "single": Single(),
    "vote": lambda b: MajorityVote(k=draws(b)),
    "repeated": lambda b: RepeatedSampling(n=draws(b)),
    "best of n": lambda b: BestOfN(n=draws(b)),
}


def code() -> tuple[Draws, dict[str, Any], list[int]]:
    """HumanEval with its tests: different programs may be right."""
    found = humaneval()
    auto = {"auto": lambda b: Auto(n=draws(b), right="many", reliability=(0.0, 0.0))}
    return with_verifier(found, found[2]), FIXED | auto, [4, 16, 64]


def dates_by_vote() -> tuple[Draws, dict[str, Any], list[int]]:
    """Dates: nothing can check a draw."""
    fixed = {name: FIXED[name] for name in ("single", "vote")}
    return dates(), fixed | {"auto": lambda b: Auto(n=draws(b))}, [3, 5, 10]


def outputs() -> tuple[Draws, dict[str, Any], list[int]]:
    """Outputs of programs, with a verifier that errs."""
    found = cruxeval()
    flaky = {
        key: Flaky(truth, 0.15, 0.15, seed=i, systematic=True)
        for i, (key, truth) in enumerate(found[2].items())
    }
    auto = {"auto": lambda b: Auto(n=draws(b))}
    return with_verifier(found, flaky), FIXED | auto, [3, 5, 10]


TASKS = {"code": code, "dates": dates_by_vote, "outputs": outputs}


def judge(found: Comparison) -> list[dict[str, Any]]:
    """Return for each budget auto beside the best fixed strategy."""
    rows: list[dict[str, Any]] = []
    for cell in found.of("auto"):
        fixed = {
            c.strategy: c.accuracy.estimate
            for c in found.cells
            if c.budget == cell.budget and c.strategy != "auto" and c.accuracy is not None
        }
        best = max(fixed, key=fixed.__getitem__)
        against = found.against(cell, best)
        assert cell.accuracy is not None
        assert against is not None
        gain, test = against
        rows.append(
            {
                "budget": cell.budget,
                "auto": cell.accuracy.estimate,
                "fixed": fixed,
                "best": best,
                "difference": gain.estimate,
                "interval95": [gain.low, gain.high],
                "p": test.p_value,
                "draws": cell.mean("draws"),
                "checks": cell.mean("verifier_calls"),
                "within": gain.estimate >= -ALLOWED,
            }
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--budgets", default="", help="only these, such as 3,10")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    told: dict[str, Any] = {"seed": args.seed, "tasks": {}}
    for name in args.tasks.split(","):
        (tasks, generator, graders), strategies, budgets = TASKS[name]()
        budgets = [int(b) for b in args.budgets.split(",") if b] or budgets
        found = compare(
            tasks, generator, strategies, budgets, graders=graders, name=name, seed=args.seed
        )
        told["tasks"][name] = {"prompts": len(tasks), "budgets": judge(found)}
    told["holds"] = all(b["within"] for t in told["tasks"].values() for b in t["budgets"])
    if args.json:
        print(json.dumps(told, indent=1))
        return
    print(
        f"{'task':8} {'budget':>6} {'auto':>6} {'best fixed':>20} {'difference':>24} {'draws':>6}"
    )
    for name, task in told["tasks"].items():
        for b in task["budgets"]:
            best = f"{b['best']} {b['fixed'][b['best']]:.3f}"
            low, high = b["interval95"]
            gap = f"{b['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
            print(
                f"{name:8} {b['budget']:6} {b['auto']:6.3f} {best:>20} {gap:>24} {b['draws']:6.1f}"
            )
    print("within 2 points everywhere" if told["holds"] else "NOT within 2 points everywhere")


if __name__ == "__main__":
    main()
