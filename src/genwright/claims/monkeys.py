"""Coverage grows with draws by a power law that few draws suffice to fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genwright.claims.data import data_file
from genwright.claims.humaneval import FILES, passed, recorded_tasks
from genwright.core import Cost, Ledger, Samples, Task, child_seed, solve
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.core.task_file import read_jsonl
from genwright.generators.language.local import LocalLM
from genwright.search.coverage import Counts, coverage, fit_power_law
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.search.voting import vote
from genwright.verifiers.math_answer import MathAnswer, MathKey

GSM8K = "reasoning/gsm8k_train.jsonl.gz"
QUESTION = "{prompt}\nSolve it step by step. End with the line: The answer is N."


@dataclass(frozen=True)
class Drawn:
    """The draws of every task, and for each whether it passed."""

    samples: list[Samples[Any]]
    flags: list[list[bool | None]]
    cost: Cost

    def at(self, k: int) -> float:
        """Return the coverage of k draws."""
        return coverage([Counts.of(row) for row in self.flags], [k]).at(k)


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Fit the law on recorded draws; at full scale also draw, check and vote with a live model."""
    book = ledger or Ledger()
    n, few, limit = (20, 20, 20) if scale == "smoke" else (100, 20, None)
    tasks, generator = recorded_tasks(seed, limit)
    drawn = _draw("CodeGen-16B", tasks, generator, n, book, seed)
    start = coverage([Counts.of(row[:few]) for row in drawn.flags], range(1, 11))
    predicted = fit_power_law(start.ks, start.values).predict(n)
    metrics = {"pass@1": drawn.at(1), f"coverage@{n}": drawn.at(n), f"predicted@{n}": predicted}
    metrics |= {"error": abs(predicted - drawn.at(n)), "ratio": drawn.at(n) / drawn.at(1)}
    notes = (f"{len(tasks)} recorded problems; law fitted to k <= 10 of {few} draws a problem",)
    if scale == "smoke":
        bounds = ("error <= 0.1", "ratio >= 1.5")
        notes += ("the live half runs at full scale only",)
        return ClaimResult(metrics=metrics, bounds=bounds, notes=notes, cost=drawn.cost)
    live, cost = _live(book, seed)
    bounds = ("error <= 0.05", "ratio >= 3", "live_ratio >= 3", "live_gap >= 0.05")
    cost += drawn.cost
    return ClaimResult(metrics=metrics | live, bounds=bounds, notes=notes, cost=cost)


def _live(book: Ledger, seed: int) -> tuple[dict[str, float], Cost]:
    """Draw 32 answers to each of 20 problems with the embedded model."""
    rows = sorted(read_jsonl(data_file(GSM8K)), key=lambda row: child_seed(seed, row["question"]))
    tasks = [
        Task(r["question"], MathAnswer(gold=r["answer"]), f"gsm8k-{i}")
        for i, r in enumerate(rows[:20])
    ]
    model = LocalLM(template=QUESTION, temperature=0.8, max_new_tokens=160)
    drawn = _draw("live", tasks, model, 32, book, seed)
    majority = [_majority(s, f) for s, f in zip(drawn.samples, drawn.flags, strict=True)]
    one, all_32, voted = drawn.at(1), drawn.at(32), sum(majority) / len(majority)
    metrics = {"live_pass@1": one, "live_coverage@32": all_32, "live_majority@32": voted}
    ratio = all_32 / one if one else 0.0
    return metrics | {"live_ratio": ratio, "live_gap": all_32 - voted}, drawn.cost


def _draw(
    what: str, tasks: Sequence[Task[Any]], generator: Any, n: int, book: Ledger, seed: int
) -> Drawn:
    """Make and check n draws a task, all of them recorded."""
    strategy = RepeatedSampling(n=n, stop_on_pass=False)
    found = solve(tasks, generator, strategy, ledger=book, name=f"monkeys: {what}", seed=seed)
    run, samples = book.run(found.run_id), [outcome.samples for outcome in found.outcomes]
    flags = [passed(run, task.key, s) for task, s in zip(tasks, samples, strict=True)]
    return Drawn(samples, flags, found.cost)


def _majority(samples: Samples[Any], flags: Sequence[bool | None]) -> float:
    """Return the chance that the commonest answer is right, ties broken evenly."""
    ballot = vote(samples, MathKey())
    firsts = [ballot.groups.index(answer) for answer in range(len(ballot.answers))]
    shares = zip(ballot.shares, firsts, strict=True)
    return sum(share for share, first in shares if flags[first])


CLAIM = Claim(
    slug="monkeys",
    reference="Brown et al. 2024, Large Language Monkeys: Scaling Inference Compute with Repeated "
    "Sampling, arXiv:2407.21787",
    statement="CodeGen-16B's coverage of HumanEval at 100 draws is at least 3 times pass@1 and "
    "within 0.05 of a power law fitted to k <= 10 of 20 draws; the embedded model's coverage of "
    "GSM8K at 32 draws is at least 3 times pass@1 and 5 points above a majority vote.",
    run=run,
    needs={"smoke": FILES, "full": (*FILES, GSM8K)},
)
