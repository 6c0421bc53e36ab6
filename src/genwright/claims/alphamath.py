"""Values learned from search trees lead a beam past greedy decoding and past equal-cost voting."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from genwright.claims.reductions import (
    FINAL,
    Language,
    answer_of,
    beginner,
    drawn,
    perfect_value,
    right_share,
    whole,
)
from genwright.core import Cost, Ledger, Samples, Task, child_seed, solve
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.generators.language.policy_value import PolicyValueLM
from genwright.learning.alphamath import PolicyValueLearner, search_and_learn
from genwright.learning.supervised import Supervised
from genwright.search.alphamath import StepBeam, StepMCTS
from genwright.search.at_once import each_at_once
from genwright.search.single import Single
from genwright.search.voting import vote

SEEDS, QUESTIONS, NEW = 2, 100, 150
DEMONSTRATIONS, START, STEPS, RATE = 3000, 900, 120, 3e-4
SEARCH = StepMCTS(simulations=24, leaves=8, final=FINAL, depth=8)
BEAMS = {"sbs1": StepBeam(b1=1, b2=5, final=FINAL), "sbs3": StepBeam(b1=3, b2=5, final=FINAL)}
MECHANICS = ("beam >= 0.95", "tree >= 0.95", "five_children <= 0.9")
BOUNDS = (
    "sbs1_over_greedy >= 0.05",
    "sbs3_over_sbs1 >= 0",
    "sbs3_over_vote >= 0",
    "auc >= 0.75",
    "greedy_gain >= 0.05",
    "greedy_over_rejection >= 0.05",
)


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Show the mechanics with a scripted policy; at full scale search and train, twice."""
    if scale == "smoke":
        notes = ("scripted policy and perfect value; nothing is trained at smoke scale",)
        return ClaimResult(metrics=_mechanics(seed), bounds=MECHANICS, notes=notes)
    book, runs = ledger or Ledger(), list[dict[str, float]]()
    before = len(book.runs())
    for number in range(SEEDS):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(_learned(Path(folder), child_seed(seed, number), book))
    metrics = {name: float(np.mean([found[name] for found in runs])) for name in runs[0]}
    notes = (
        f"a model of 0.4M weights, not 3M; {QUESTIONS} questions a round, not 300; {NEW} new "
        f"questions, not 200; mean of {SEEDS} seeds",
        "rejection: as many new tokens a round, two rounds, the same training steps",
        "cost: of the searches and the beams",
    )
    cost = sum((sum(r.costs().values(), Cost()) for r in book.runs()[before:]), Cost())
    return ClaimResult(metrics=metrics, bounds=BOUNDS, notes=notes, cost=cost)


def _mechanics(seed: int) -> dict[str, float]:
    """Search with the demonstrator itself as policy, and the truth as value.

    Five children are too few where a right step is drawn once in four: no value can help that.
    """
    language = Language(seed)
    tasks = language.tasks(60, "smoke")
    policy = language.demonstrator()
    beam = StepBeam(b1=1, b2=24, value=perfect_value, final=FINAL)
    narrow = replace(SEARCH, check=False, value=perfect_value)
    found = solve(tasks, policy, beam, seed=seed).outcomes
    trees = solve(tasks, policy, replace(narrow, children=24), seed=seed).outcomes
    few = solve(tasks, policy, narrow, seed=seed).outcomes
    return {
        name: sum(o.passed is True for o in outcomes) / len(tasks)
        for name, outcomes in (("beam", found), ("tree", trees), ("five_children", few))
    }


def _learned(folder: Path, seed: int, book: Ledger) -> dict[str, float]:
    """Train a beginner, improve it by search and by rejection, and compare on new questions."""
    language = Language(seed)
    first = beginner(
        language, folder, demonstrations=DEMONSTRATIONS, steps=START, seed=seed, layers=2
    )
    tasks, new = language.tasks(QUESTIONS, "train"), language.tasks(NEW, "new")

    def learner(number: int) -> PolicyValueLearner:
        return PolicyValueLearner(
            folder=str(folder / f"round{number}"), steps=STEPS, learning_rate=RATE
        )

    before = len(book.runs())
    trained = search_and_learn(first, tasks, SEARCH, learner, rounds=2, ledger=book, seed=seed)
    spent = [sum(r.costs().values(), Cost()).new_tokens for r in book.runs()[before:]]
    last = trained[-1]
    rejected = _by_rejection(first, tasks, spent, folder, seed)
    scores = {
        "greedy_0": _greedy(first, new),
        "greedy": _greedy(last.policy, new),
        "rejection": _greedy(rejected, new),
    }
    tokens: dict[str, float] = {}
    for name, beam in BEAMS.items():
        outcomes = solve(new, last, beam, ledger=book, seed=seed, workers=8).outcomes
        scores[name] = sum(o.passed is True for o in outcomes) / len(new)
        tokens[name] = sum(o.samples.cost.new_tokens for o in outcomes)
    source = whole(last.policy)
    lone = each_at_once(lambda t: source.sample(t.prompt, 5, seed=seed), new)
    k = ceil(5 * tokens["sbs3"] / sum(s.cost.new_tokens for s in lone))
    more = each_at_once(lambda t: source.sample(t.prompt, k, seed=seed), new)
    scores |= {"vote_5": _voted(new, lone), "vote": _voted(new, more)}
    return scores | {
        "vote_draws": k,
        "auc": _auc(last, new, lone),
        "sbs1_over_greedy": scores["sbs1"] - scores["greedy"],
        "sbs3_over_sbs1": scores["sbs3"] - scores["sbs1"],
        "sbs3_over_vote": scores["sbs3"] - scores["vote"],
        "greedy_gain": scores["greedy"] - scores["greedy_0"],
        "greedy_over_rejection": scores["greedy"] - scores["rejection"],
    }


def _by_rejection(
    policy: Any, tasks: Sequence[Task[Any]], spent: Sequence[int], folder: Path, seed: int
) -> Any:
    """Fine-tune on right answers drawn for the tokens of each round, in as many rounds."""
    for number, tokens in enumerate(spent):
        share, own = tokens / len(tasks), child_seed(seed, number)
        texts = each_at_once(partial(drawn, whole(policy), tokens=share, seed=own), tasks)
        rows = [
            {"prompt": task.prompt, "completion": f"{text.strip()}\n"}
            for task, found in zip(tasks, texts, strict=True)
            for text in found
            if answer_of(text) == task.data["gold"]
        ]
        learner = Supervised(
            folder=str(folder / f"rejection{number}"),
            rank=0,
            steps=STEPS,
            batch=32,
            learning_rate=RATE,
            template="{prompt}",
            save_every=STEPS,
        )
        policy = learner.fit(policy, rows, seed=seed)
    return policy


def _greedy(policy: Any, tasks: Sequence[Task[Any]]) -> float:
    """Return the share of right answers of the likeliest continuation."""
    likeliest = replace(whole(policy), temperature=0.0)
    found = solve(tasks, likeliest, Single(), workers=32).outcomes
    return right_share(tasks, [o.samples.values[0] for o in found])


def _voted(tasks: Sequence[Task[Any]], samples: Sequence[Samples[str]]) -> float:
    """Return the chance that the commonest answer is right, ties broken evenly."""
    total = 0.0
    for task, drawn_ in zip(tasks, samples, strict=True):
        ballot = vote(drawn_, answer_of)
        pairs = zip(ballot.answers, ballot.shares, strict=True)
        total += sum(share for answer, share in pairs if answer == task.data["gold"])
    return total / len(tasks)


def _auc(
    model: PolicyValueLM, tasks: Sequence[Task[Any]], samples: Sequence[Samples[str]]
) -> float:
    """Return how often a prefix of a right solution has a higher value than one of a wrong."""
    prompts, labels = list[str](), list[bool]()
    for task, texts in zip(tasks, samples, strict=True):
        for text in dict.fromkeys(texts.values):
            lines = text.strip().split("\n")
            for end in range(1, len(lines) + 1):
                prompts.append(task.prompt + "\n".join(lines[:end]) + "\n")
                labels.append(answer_of(text) == task.data["gold"])
    values = list[float]()
    for start in range(0, len(prompts), 64):
        values += model.prefix_values().sample(prompts[start : start + 64], 1, seed=0).values[0]
    ranks, right = rankdata(values), np.array(labels)
    n = int(right.sum())
    if not 0 < n < len(right):
        return 0.5
    return float((ranks[right].sum() - n * (n + 1) / 2) / (n * (len(right) - n)))


CLAIM = Claim(
    slug="alphamath",
    reference="Chen et al. 2024, AlphaMath Almost Zero: Process Supervision without Process, "
    "arXiv:2405.03553",
    statement="After two rounds of tree search and training on checked final answers alone, step "
    "beam search SBS(1,5) is at least 5 points above greedy decoding, SBS(3,5) no worse than "
    "SBS(1,5) and than a vote of equal token cost, the value tells right from wrong prefixes with "
    "an AUC of 0.75, and greedy decoding is 5 points above what it was and above fine-tuning on "
    "rejection-sampled answers of equal cost.",
    run=run,
)
