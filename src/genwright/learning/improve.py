"""The whole loop on one task file: measure, train, sample and check, train again, measure.

Every stage is a run of the ledger under an id that the task, its seed and its text determine, and
every training resumes from its checkpoint. A loop that was cut off therefore goes on where it
stopped when it is started again.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from genwright.core import (
    Generator,
    Task,
    TaskFileError,
    UserError,
    build,
    child_seed,
    describe,
)
from genwright.core.ledger import Ledger
from genwright.core.run import Item, Run
from genwright.core.runner import solve
from genwright.core.task_file import ImproveTable, MethodTable, TaskFile, fill
from genwright.learning.model_card import add_to_card, model_folder
from genwright.learning.rejection_sampling import accepted
from genwright.learning.scores import Measurement, markdown, score
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.search.single import Single
from genwright.synthesis.dedup import separation

Watch = Callable[[str, int, float], None]

MOST_RECORDED = 400
"""About as many values of a metric of one training go into the ledger, each a write to the disk."""


@dataclass(frozen=True, kw_only=True)
class Improvement:
    """What a loop found: the measurements before and after, and the new generator.

    Args:
        measurements: before, then after, an entry an arm.
        generator: the last one trained.
        rows: training rows of the first training.
        accepted: draws that passed and were trained on, by round.
        left_out: rows whose prompt is held out, and which were therefore not trained on.
        runs: what each run is -> its id.
        shared: what each group of held-out rows shares with the training rows, counted from the
            ledger (`synthesis.dedup.separation`); empty where rows do not say their template.
    """

    measurements: Sequence[Measurement]
    generator: Any
    rows: int
    accepted: Sequence[int]
    left_out: int
    runs: Mapping[str, str]
    shared: Mapping[str, Mapping[str, int | bool]]


def improve(
    task_file: TaskFile,
    ledger: Ledger,
    folder: Path,
    *,
    watch: Watch | None = None,
    on_event: Callable[[Any], None] | None = None,
    stage: Callable[[str], None] = lambda title: None,
) -> Improvement:
    """Run the loop of a task file that has an `[improve]` table.

    Args:
        task_file: what is wanted, and how the generator is made better.
        ledger: where every draw, verdict, training row and loss goes.
        folder: where the models go; `generator.json` in it names the last one.
        watch: called with (metric, step, value) while training.
        on_event: handed to the runner.
        stage: called with a line for people when a stage begins.

    Raises:
        TaskFileError: the task file has no `[improve]` table.
        UserError: a held-out prompt stands among the training rows under another group's name.
    """
    plan = task_file.improve
    if plan is None:
        raise TaskFileError(
            f"{task_file.path.name}: improve needs an [improve] table: data, completion, learner."
        )
    tasks = task_file.tasks()
    base = task_file.build("generator", task_file.generator)
    stem = f"{task_file.name}-{_fingerprint(task_file)}"
    runs: dict[str, str] = {}

    def measure(generator: Generator[Any], when: str) -> list[Measurement]:
        measured: list[Measurement] = []
        for arm in plan.arms:
            stage(f"measure {when} training, {arm}: {len(tasks)} prompts")
            runs[f"{when}, {arm}"] = f"{stem}-{when}-{arm}"
            measured.append(
                measure_arm(task_file, tasks, generator, when, arm, ledger, stem, on_event)
            )
        return measured

    before = measure(base, "before")

    stage("make training rows")
    rows, left_out = training_rows(task_file, plan, tasks)
    main = _run(ledger, f"{stem}-train", task_file)
    runs["training"] = main.id
    main.add_items(Item("train", f"{i:06}", row) for i, row in enumerate(rows))
    main.add_items(Item("held-out", task.key, dict(task.data)) for task in tasks)

    def learn(
        table: MethodTable, generator: Any, data: Sequence[Mapping[str, Any]], name: str
    ) -> Any:
        settings = table.model_dump() | {"folder": str(folder / name)}
        learner = build("learner", settings)
        steps = getattr(learner, "steps", 0)
        stage(f"train {name}: {len(data)} rows, {steps} steps")
        every = max(1, steps // MOST_RECORDED)

        def record(metric: str, step: int, value: float) -> None:
            if step % every == 0 or step == steps - 1:
                main.add_metric(f"{name}/{metric}", value, step)
            if watch:
                watch(metric, step, value)

        return learner.fit(generator, data, seed=child_seed(task_file.seed, name), watch=record)

    generator = learn(plan.learner, base, rows, "supervised")
    counts: list[int] = []
    for number in range(1, plan.rounds + 1):
        sampled = [
            r for i, r in enumerate(rows) if i % max(1, len(rows) // plan.round_prompts) == 0
        ]
        sampled = sampled[: plan.round_prompts]
        stage(
            f"expert iteration, round {number}: {len(sampled)} prompts x {plan.round_draws} draws"
        )
        result = solve(
            task_file.tasks(plan.data, rows=sampled),
            steer(task_file, generator, sampled),
            RepeatedSampling(n=plan.round_draws, batch=plan.round_draws, stop_on_pass=False),
            ledger=ledger,
            run_id=f"{stem}-round{number}",
            name=f"{task_file.name}: round {number}",
            seed=child_seed(task_file.seed, "round", number),
            workers=task_file.workers,
            on_event=on_event,
        )
        runs[f"round {number}"] = result.run_id
        good = accepted(ledger.run(result.run_id), per_task=plan.round_draws)
        counts.append(len(good))
        # As many first rows again keep what was learnt; the accepted draws alone are easy ones.
        kept = [rows[child_seed(task_file.seed, number, i) % len(rows)] for i in range(len(good))]
        if good:
            table = plan.round_learner or plan.learner
            generator = learn(table, generator, [*good, *kept], f"round{number}")

    after = measure(generator, "after")
    main.finish()
    save_generator(folder, generator)
    found = Improvement(
        measurements=[*before, *after],
        generator=generator,
        rows=len(rows),
        accepted=counts,
        left_out=left_out,
        runs=runs,
        shared=shared_with_training(main, task_file.prompts.group),
    )
    add_to_card(
        model_folder(generator),
        ledger=Path(ledger.path).name,
        runs=runs,
        scores=markdown(found.measurements),
    )
    return found


def measure_arm(
    task_file: TaskFile,
    tasks: Sequence[Task[Any]],
    generator: Generator[Any],
    when: str,
    arm: str,
    ledger: Ledger,
    stem: str,
    on_event: Callable[[Any], None] | None,
) -> Measurement:
    """Measure one way of drawing: `free` and `steered` make one greedy draw, `full` does it all."""
    per_prompt, per_run = task_file.budgets()
    drawn_from = steer(task_file, generator, [task.data for task in tasks])
    if arm == "free":
        drawn_from, tasks = generator, [replace(task, steering=()) for task in tasks]
    strategy: Any = task_file.build("strategy", task_file.strategy)
    if arm != "full":
        strategy = Single()
        drawn_from = _greedy(drawn_from)
    result = solve(
        tasks,
        drawn_from,
        strategy,
        ledger=ledger,
        run_id=f"{stem}-{when}-{arm}",
        name=f"{task_file.name}: {when}, {arm}",
        budget=per_prompt,
        run_budget=per_run,
        seed=task_file.seed,
        workers=task_file.workers,
        on_event=on_event,
    )
    scores, failures = score(task_file, tasks, result.outcomes)
    return Measurement(
        stage=when, arm=arm, run=result.run_id, scores=scores, cost=result.cost, failures=failures
    )


def steer(task_file: TaskFile, generator: Any, rows: Iterable[Mapping[str, Any]] = ()) -> Any:
    """Return the generator with the constraints of `[steering]` that name no field of the rows."""
    constraints = task_file.constraints(rows)
    return generator.steered(*constraints) if constraints else generator


def training_rows(
    task_file: TaskFile, plan: ImproveTable, held_out: Sequence[Task[Any]]
) -> tuple[list[dict[str, Any]], int]:
    """Return rows with `prompt` and `completion`, less those whose prompt is held out.

    Returns:
        the rows, each with the fields of its source, and how many were left out.

    Raises:
        UserError: no rows are left.
    """
    # a class to draw has no answer that could leak; a text is a question, and stays apart
    forbidden = {task.prompt for task in held_out if isinstance(task.prompt, str)}
    files = task_file.files()
    rows: list[dict[str, Any]] = []
    left_out = 0
    for row in task_file.rows(plan.data):
        prompt = fill(plan.data.template, {**files, **row}, strict=True)
        completion = fill(plan.completion, {**files, **row}, strict=True)
        if prompt in forbidden:
            left_out += 1
            continue
        if not isinstance(completion, list):  # the numbers of a picture stay numbers
            completion = str(completion)
        rows.append({**row, "prompt": prompt, "completion": completion})
    if not rows:
        raise UserError(f"{task_file.path.name}: [improve.data] gives no training rows.")
    return rows, left_out


def shared_with_training(run: Run, group: str) -> dict[str, dict[str, int | bool]]:
    """Count, from what the ledger holds, what held-out rows share with the training rows."""
    rows: dict[str, list[Mapping[str, Any]]] = {"train": [i.data for i in run.items("train")]}
    for item in run.items("held-out"):
        rows.setdefault(str(item.data.get(group, "held-out")), []).append(item.data)
    rows = {g: [r for r in part if r.keys() >= TEMPLATE_IDS] for g, part in rows.items()}
    return separation({g: r for g, r in rows.items() if r}) if rows["train"] else {}


TEMPLATE_IDS = {"question", "sql", "template", "phrasing", "structure"}


def save_generator(folder: Path, generator: Any) -> None:
    """Write down which generator a task's loop made."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "generator.json").write_text(json.dumps(describe(generator), indent=2))


def load_generator(folder: Path) -> Any | None:
    """Return the generator that a task's loop made, or None."""
    path = folder / "generator.json"
    return build("generator", json.loads(path.read_text())) if path.exists() else None


def _greedy(generator: Any) -> Any:
    """Return a generator that takes the likeliest token, where it has a temperature."""
    if any(f.name == "temperature" for f in fields(generator)):
        return replace(generator, temperature=0.0)
    return generator


def _run(ledger: Ledger, run_id: str, task_file: TaskFile) -> Run:
    """Open a run under a known id, or start it."""
    known = {run.id for run in ledger.runs()}
    if run_id in known:
        return ledger.run(run_id)
    spec = task_file.model_dump(mode="json")
    return ledger.start_run(f"{task_file.name}: training", spec, task_file.seed, run_id)


def _fingerprint(task_file: TaskFile) -> str:
    """Name what a loop depends on: the task file's content."""
    text = json.dumps(task_file.model_dump(mode="json"), sort_keys=True)
    return blake2b(text.encode(), digest_size=3).hexdigest()
