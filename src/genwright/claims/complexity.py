"""Where chains of one question differ in length, the longest ones vote better than all together.

A made-up language of sums in words; a small model is trained from nothing on demonstrations that
are, a third each, worked step by step, worked two steps at a time, or bare answers.
"""

import random
import re
import tempfile
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from genwright.claims.data import data_file
from genwright.core import Cost, Ledger, Samples, Task, child_seed, solve
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.core.statistics import paired_bootstrap
from genwright.core.task_file import read_jsonl
from genwright.generators.language.local import LocalLM
from genwright.generators.language.recorded import RecordedGenerator
from genwright.generators.language.untrained import untrained
from genwright.learning.supervised import Supervised
from genwright.search.complexity import ComplexExamples, ComplexVote, steps, top_weights
from genwright.search.single import Single
from genwright.search.voting import count
from genwright.verifiers.natural_program import ChainAnswer

DATES = "reasoning/date_understanding_samples.jsonl.gz"
N, TOP, TEMPERATURE = 40, 0.5, 0.8
WIDTH, LAYERS, CONTEXT = 128, 3, 384
LONG = 350
"""Characters of a row that is trained on, at least: three worked sums, or more bare ones."""

SHOWN = "Q: {question}\nA: {answer}\n"
STYLES = {"worked": 1, "half-worked": 2, "bare": 0}
"""Operations a line of a demonstration takes; 0 for none at all."""


class Sum(NamedTuple):
    """A question, its worked answers by style, and what comes out."""

    question: str
    answers: dict[str, str]
    total: int


class Size(NamedTuple):
    """How much is done: models, questions for each, and steps of training."""

    models: int
    questions: int
    training: int


SIZES: dict[Scale, Size] = {"smoke": Size(1, 30, 60), "full": Size(2, 200, 1500)}


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Train models, draw, vote, and choose demonstrations; at full scale read recorded chains."""
    book, cost = ledger or Ledger(), Cost()
    models, questions, training = SIZES[scale]
    found: list[dict[str, float]] = []
    for number in range(models):
        start = child_seed(seed, "round", number)
        problems = [
            make_sum(random.Random(child_seed(start, "problem", i))) for i in range(questions)
        ]
        with tempfile.TemporaryDirectory() as folder:
            model = _trained(Path(folder), start, training)
            voted, spent = _votes(model, problems, book, start)
            prompted, more = _prompts(model, problems, book, start)
        found.append(voted | prompted)
        cost += spent + more
    metrics = {name: sum(f[name] for f in found) / models for name in found[0]}
    notes = (
        f"{models} models, {training} steps of training each; the share that votes, {TOP}, was "
        "settled beforehand",
    )
    if scale == "full":
        metrics |= _recorded(seed)
        notes += ("recorded ChatGPT chains on dates are reported, not required",)
    else:
        notes += ("so short a training teaches the form of a chain and no sums",)
    bounds = ("gain_over_all >= 0.02", "gain_over_simple >= 0.06", "prompt_gain >= 0.03")
    return ClaimResult(metrics=metrics, bounds=bounds, notes=notes, cost=cost)


def make_sum(rng: random.Random) -> Sum:
    """Return a story of three to five steps; no total leaves 1..29."""
    total = start = rng.randrange(5, 20)
    changes: list[int] = []
    for _ in range(rng.randrange(3, 6)):
        allowed = [x for x in range(-9, 10) if abs(x) > 1 and 1 <= total + x <= 29]
        changes.append(rng.choice(allowed))
        total += changes[-1]
    told = "".join(f"{_told(x)}." for x in changes)
    answers = {style: _worked(start, changes, size) for style, size in STYLES.items()}
    return Sum(f"{rng.choice(('Ann', 'Ben', 'Cleo', 'Dan'))} has {start}.{told}", answers, total)


def _told(change: int) -> str:
    return f" Gets {change}" if change > 0 else f" Gives {-change}"


def _worked(start: int, changes: Sequence[int], size: int) -> str:
    """Work a sum out, `size` operations a line, each in the words of the question."""
    lines, total = [], start
    for i in range(0, len(changes), size) if size else ():
        some = changes[i : i + size]
        lines.append(f"{total}{''.join(map(_told, some))} = {total + sum(some)}")
        total += sum(some)
    return "\n".join([*lines, f"The answer is {start + sum(changes)}."])


def _prompt(problem: Sum) -> str:
    return f"Q: {problem.question}\nA:"


def _demonstrations(rng: random.Random, style: str) -> str:
    """Return sums in one style, about as much text of each: rows of one length train together."""
    shown: list[str] = []
    while sum(map(len, shown)) < LONG:
        one = make_sum(rng)
        shown.append(SHOWN.format(question=one.question, answer=one.answers[style]))
    return "\n".join(shown)


def _trained(folder: Path, seed: int, training: int) -> LocalLM:
    """Train on sequences of sums in one style, so that demonstrations tell the style."""
    data = []
    for number in range(6000):
        rng = random.Random(child_seed(seed, "row", number))
        text = _demonstrations(rng, rng.choice(list(STYLES)))
        data.append({"prompt": "Q:", "completion": text.removeprefix("Q:")})
    texts = [row["completion"] for row in data[:500]]
    start = untrained(
        folder / "untrained",
        texts,
        vocabulary=300,
        width=WIDTH,
        layers=LAYERS,
        context=CONTEXT,
        seed=seed,
    )
    learner = Supervised(
        folder=str(folder / "trained"),
        steps=training,
        batch=16,
        learning_rate=2e-3,
        warmup=20,
        rank=0,
        template="{prompt}",
        max_tokens=CONTEXT,
        save_every=training,
    )
    model = LocalLM(model=str(start), chat=False, dtype="float32", max_new_tokens=80)
    trained = learner.fit(model, data, seed=seed)
    return replace(trained, template="{prompt}", temperature=TEMPERATURE, stop=("\n\n",))


def _answer(chain: Any) -> Hashable | None:
    said = re.search(r"The answer is (\d+)\.", str(chain))
    return int(said[1]) if said else None


def _votes(
    generator: Any, problems: Sequence[Sum], book: Ledger, seed: int
) -> tuple[dict[str, float], Cost]:
    """Let all, the more complex half and the simpler half of the same draws vote."""
    n = len(problems)
    tasks = [Task(_prompt(p), key=f"sum-{i}") for i, p in enumerate(problems)]
    strategy = ComplexVote(n=N, top=TOP, key=_answer, batch=N)
    found = solve(tasks, generator, strategy, ledger=book, name="complexity: votes", seed=seed)
    right: dict[str, list[float]] = {"all": [], "complex": [], "simple": []}
    single, answered = 0.0, 0.0
    for outcome, problem in zip(found.outcomes, problems, strict=True):
        answers = [_answer(value) for value in outcome.samples.values]
        for name, share in vote_shares(outcome.samples, answers, problem.total, TOP).items():
            right[name].append(share)
        single += answers.count(problem.total) / N / n
        answered += sum(a is not None for a in answers) / N / n
    means = {name: sum(values) / n for name, values in right.items()}
    metrics = {f"vote_{name}": mean for name, mean in means.items()}
    gain = paired_bootstrap(right["complex"], right["all"], seed=seed, resamples=2000)
    metrics |= {"gain_over_all": gain.estimate, "gain_over_all_low": gain.low}
    metrics |= {"gain_over_simple": means["complex"] - means["simple"]}
    return metrics | {"pass@1": single, "answered": answered}, found.cost


def vote_shares(
    samples: Samples[str], answers: Sequence[Hashable | None], gold: Hashable, share: float
) -> dict[str, float]:
    """Return the chance that each way to vote on the same draws is right, ties shared."""
    counted = [
        None if a is None else steps(value)
        for a, value in zip(answers, samples.values, strict=True)
    ]
    turned = [None if c is None else -c for c in counted]
    weights = {
        "all": [1.0] * len(answers),
        "complex": top_weights(counted, share),
        "simple": top_weights(turned, share),
    }
    found = {}
    for name, row in weights.items():
        ballot = count(answers, row)
        pairs = zip(ballot.answers, ballot.shares, strict=True)
        found[name] = sum(s for answer, s in pairs if answer == gold)
    return found


def _prompts(
    model: LocalLM, problems: Sequence[Sum], book: Ledger, seed: int
) -> tuple[dict[str, float], Cost]:
    """Compare prompts with the two most complex examples of a pool and with the two simplest."""
    rng = random.Random(child_seed(seed, "pool"))
    pool = []
    for _ in range(30):
        made = make_sum(rng)
        pool.append({"question": made.question, "answer": made.answers[rng.choice(list(STYLES))]})
    n = len(problems)
    metrics: dict[str, float] = {}
    cost, greedy = Cost(), replace(model, temperature=0.0)
    for prefer in ("complex", "simple"):
        chooser = ComplexExamples(k=2, prefer=prefer)
        prompts = [
            chooser.prompt(pool, p.question, seed=seed, example=SHOWN + "\n").rstrip()
            for p in problems
        ]
        tasks = [Task(prompt, key=f"{prefer}-{i}") for i, prompt in enumerate(prompts)]
        name = f"complexity: {prefer} examples"
        found = solve(tasks, greedy, Single(), ledger=book, name=name, seed=seed, workers=16)
        drawn = [None if o.chosen is None else _answer(o.chosen.value) for o in found.outcomes]
        metrics[f"prompt_{prefer}"] = (
            sum(a == p.total for a, p in zip(drawn, problems, strict=True)) / n
        )
        cost += found.cost
    return metrics | {"prompt_gain": metrics["prompt_complex"] - metrics["prompt_simple"]}, cost


def _recorded(seed: int) -> dict[str, float]:
    """Vote on ten recorded chains for each question on dates, half of them at a time."""
    rows = list(read_jsonl(data_file(DATES)))
    generator = RecordedGenerator(
        rows=rows, prompt_field="question", values_field="samples", value_field="text"
    )
    totals = {"all": 0.0, "complex": 0.0, "simple": 0.0}
    for row in rows:
        samples = generator.sample(row["question"], 10, seed=seed)
        answers = [ChainAnswer()(value) for value in samples.values]
        for name, share in vote_shares(samples, answers, row["answer"], TOP).items():
            totals[name] += share / len(rows)
    return {f"dates_{name}": value for name, value in totals.items()}


CLAIM = Claim(
    slug="complexity",
    reference="Fu et al. 2022, Complexity-Based Prompting for Multi-Step Reasoning, "
    "arXiv:2210.00720",
    statement="On sums in words, answered by a small model whose demonstrations are worked in "
    "full, by halves or not at all, the vote of the 50% most complex of 40 chains beats the "
    "vote of all by at least 2 points and that of the simplest half by at least 6, and complex "
    "demonstrations in the prompt beat simple ones by at least 3.",
    run=run,
    needs={"full": (DATES,)},
)
