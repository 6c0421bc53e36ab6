"""A model that asks a completion tool uses more of a project's names, and makes up fewer."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from genwright.claims.scripted_coder import ScriptedCoder, made_project
from genwright.core import (
    Cost,
    InvalidArgument,
    Ledger,
    MissingExtra,
    Samples,
    Task,
    child_seed,
    require,
    solve,
)
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.generators.language.added_tokens import with_tokens
from genwright.generators.language.engine import Engine
from genwright.generators.language.local import LocalLM
from genwright.generators.language.request import Request
from genwright.generators.language.sampling import Sampling
from genwright.learning.supervised import Supervised
from genwright.search.single import Single
from genwright.steering.completion import TRIGGER
from genwright.steering.completion_shaper import CompletionShaper
from genwright.steering.jedi_tool import JediTool
from genwright.steering.triggers import Augmented, augment
from genwright.synthesis.functions import Function, documented_functions
from genwright.verifiers.dependency_coverage import DependencyCoverage, dependencies
from genwright.verifiers.static_validity import StaticValidity

TRAIN = ("rich", "networkx", "jinja2", "fsspec", "anyio", "packaging", "pygments", "accelerate")
TEST = ("httpx", "typer", "huggingface_hub")
EACH, TESTED, LONGEST = 16, 100, 128
STEPS, BATCH = 200, 2
CLASSES = 20
PATIENCE = 60.0
"""Seconds that Jedi may take, but for its two while SmolLM2 draws: a busy machine is slow."""
SMOKE = (
    "exact >= 1",
    "coverage_gain >= 0.1",
    "validity_gain >= 0.08",
    "asked_above_1 <= 0",
)
BOUNDS = ("coverage_gain >= 0.1", "validity_gain >= 0.08", "similarity_gain >= -0.01")


@dataclass(frozen=True)
class Case:
    """A function of a project, and where a tool knew the names of its body."""

    project: Path
    function: Function
    body: Augmented

    @classmethod
    def of(cls, project: Path, function: Function) -> "Case":
        """Ask Jedi about every name of a function."""
        where = {"file": function.file, "before": function.before, "after": function.below}
        tool = JediTool(project=str(project), seconds=PATIENCE)
        return cls(project, function, augment(function.body, tool, **where))

    @property
    def names(self) -> tuple[str, ...]:
        """The project's names that the body depends on."""
        return dependencies(self.function.head, self.body)


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Complete a scripted model in a made-up project; at full scale train SmolLM2 on packages."""
    with tempfile.TemporaryDirectory() as folder:
        if scale == "smoke":
            return _smoke(Path(folder), seed)
        return _full(Path(folder), seed, ledger or Ledger())


def _smoke(folder: Path, seed: int) -> ClaimResult:
    project = made_project(folder / "project", CLASSES, seed)
    model, tool = ScriptedCoder(project.right), JediTool(project=project.root, seconds=PATIENCE)
    functions = documented_functions(project.root)
    drawn: dict[str, list[str]] = {}
    asked: dict[str, int] = {}
    engine = Engine(model)
    for name, threshold in (("free", None), ("above", 1.01), ("completed", 0.8)):
        before = tool.tally.asked
        drawn[name] = [_scripted(engine, model, tool, f, threshold) for f in functions]
        asked[name] = tool.tally.asked - before
    engine.close()
    cases = [Case.of(Path(project.root), function) for function in functions]
    metrics = {
        f"{what}_{name}": value
        for name in ("free", "completed")
        for what, value in _measured(cases, drawn[name]).items()
    }
    for what in ("coverage", "validity"):
        metrics[f"{what}_gain"] = metrics[f"{what}_completed"] - metrics[f"{what}_free"]
    right = [model.expected(function.head) for function in functions]
    hits = [a == b for a, b in zip(drawn["completed"], right, strict=True)]
    metrics["exact"] = sum(hits) / len(hits)
    metrics["asked_above_1"], metrics["asked"] = asked["above"], asked["completed"]
    metrics["jedi_seconds"], metrics["jedi_failed"] = tool.tally.seconds, tool.tally.failed
    notes = (
        f"a made-up project of {CLASSES} classes; a scripted model that knows how names begin and "
        "makes up their ends; each third function's first trigger has a probability of 0.7",
        "exact: share of draws that are what the script and a threshold of 0.8 must give; "
        "asked_above_1: questions to the tool at a threshold of 1.01",
    )
    return ClaimResult(metrics=metrics, bounds=SMOKE, notes=notes)


def _scripted(
    engine: Engine,
    model: ScriptedCoder,
    tool: JediTool,
    function: Function,
    threshold: float | None,
) -> str:
    shapers = () if threshold is None else (_shaper(tool, function, threshold),)
    prompt = model.vocabulary.encode(function.head)
    sampling = Sampling(temperature=0.0, max_new_tokens=120)
    ticket = engine.submit(Request(prompt=prompt, seed=0, sampling=sampling, shapers=shapers))
    return next(draw.value for _, draw in ticket)


def _shaper(tool: JediTool, function: Function, threshold: float = 0.8) -> CompletionShaper:
    return CompletionShaper(
        tool=tool,
        file=function.file,
        before=function.before,
        after=function.below,
        threshold=threshold,
    )


def _full(folder: Path, seed: int, ledger: Ledger) -> ClaimResult:
    base = LocalLM(
        model=str(with_tokens(folder / "base", [TRIGGER])),
        chat=False,
        template="{prompt}",
        temperature=0.0,
        max_new_tokens=LONGEST,
    )
    training = [case for name in TRAIN for case in _cases(folder, name, EACH, base, seed)]
    asked = [JediTool(project=str(p)).tally for p in {case.project for case in training}]
    share = -(-TESTED // len(TEST))
    tested = [c for name in TEST for c in _cases(folder, name, share, base, seed, needed=True)]
    tested = tested[:TESTED]
    metrics = {
        "trained_on": float(len(training)),
        "tested_on": float(len(tested)),
        "triggers_per_function": sum(len(c.body.places) for c in training) / len(training),
        "augmenting_seconds_per_function": sum(t.seconds for t in asked) / len(training),
        "augmenting_failed": float(sum(t.failed for t in asked)),
    }
    drawn: dict[str, Samples[str]] = {}
    cost = Cost()
    for arm in ("plain", "completed"):
        model = _trained(base, training, folder / arm, triggers=arm == "completed", seed=seed)
        tools = {case.project: JediTool(project=str(case.project)) for case in tested}
        before = [replace(tool.tally) for tool in tools.values()]
        tasks = [
            Task(
                case.function.head,
                DependencyCoverage(names=case.names),
                f"{arm} {number}",
                steering=[_shaper(tools[case.project], case.function)] * (arm == "completed"),
            )
            for number, case in enumerate(tested)
        ]
        result = solve(
            tasks, model, Single(), ledger=ledger, name=f"toolgen: {arm}", seed=seed, workers=16
        )
        cost += result.cost
        drawn[arm] = sum((outcome.samples for outcome in result.outcomes), Samples[str]())
        for kind in ("asked", "failed", "seconds"):
            spent = sum(getattr(tool.tally, kind) for tool in tools.values())
            spent -= sum(getattr(tally, kind) for tally in before)
            metrics[f"{kind}_per_draw_{arm}"] = spent / len(tested)
    for arm, samples in drawn.items():
        found = _measured(tested, samples.values)
        metrics |= {f"{what}_{arm}": value for what, value in found.items()}
    for what in ("coverage", "validity", "similarity"):
        metrics[f"{what}_gain"] = metrics[f"{what}_completed"] - metrics[f"{what}_plain"]
    notes = (
        f"{STEPS} steps of {BATCH} functions of up to {LONGEST} tokens from {', '.join(TRAIN)}; "
        f"tested on functions of {', '.join(TEST)} that depend on a name of the project; greedy",
        "plain: the same functions without triggers, equal steps, no tool; bodies are written by "
        "ast.unparse; coverage over all names; similarity: RapidFuzz's ratio, in [0, 1]",
    )
    return ClaimResult(metrics=metrics, bounds=BOUNDS, notes=notes, cost=cost)


def _cases(
    folder: Path, package: str, most: int, model: LocalLM, seed: int, *, needed: bool = False
) -> list[Case]:
    """Return functions of an installed package that are short enough, in an order by seed.

    Args:
        folder: where a copy of the package goes.
        package: its name.
        most: how many.
        model: counts tokens.
        seed: of the order.
        needed: only those that depend on a name of the project.
    """
    project = _copied(package, folder / "packages" / package)
    found: list[Case] = []
    for function in sorted(
        documented_functions(project), key=lambda f: child_seed(seed, f.file, f.head)
    ):
        if len(model.encode(function.head + function.body)) > LONGEST:
            continue
        try:
            case = Case.of(project, function)
        except InvalidArgument:  # a body that only makes sense inside of its function
            continue
        if case.names or not needed:
            found.append(case)
        if len(found) == most:
            break
    return found


def _copied(package: str, target: Path) -> Path:
    """Copy the Python files of an installed package."""
    found = find_spec(package)
    places = list(found.submodule_search_locations or ()) if found is not None else []
    if not places:
        raise MissingExtra(f"the claim of toolgen reads {package}: pip install 'genwright[lm]'.")
    for path in sorted(Path(places[0]).rglob("*.py")):
        place = target / package / path.relative_to(places[0])
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return target


def _trained(
    base: LocalLM, cases: Sequence[Case], folder: Path, *, triggers: bool, seed: int
) -> LocalLM:
    rows = [
        {"prompt": c.function.head, "completion": c.body.text() if triggers else c.body.code}
        for c in cases
    ]
    learner = Supervised(
        folder=str(folder),
        steps=STEPS,
        batch=BATCH,
        template="{prompt}",
        tokens=(TRIGGER,),
        save_every=STEPS,
    )
    return learner.fit(base, rows, seed=seed)


def _measured(cases: Sequence[Case], draws: Sequence[str]) -> dict[str, float]:
    """Return the paper's measures of draws; coverage over all names, as in the authors' code."""
    fuzz = require("rapidfuzz.fuzz", extra="words", needed_by="the claim of toolgen")
    hits = valid = total = alike = same = 0.0
    for case, draw in zip(cases, draws, strict=True):
        (coverage,) = DependencyCoverage(names=case.names).check(Samples([draw]))
        hits += (coverage.score or 0.0) * len(case.names)
        total += len(case.names)
        where = case.function
        checker = StaticValidity(
            project=str(case.project), file=where.file, before=where.before, after=where.below
        )
        (verdict,) = checker.check(Samples([draw]))
        valid += verdict.passed is True
        texts = [" ".join(text.split()) for text in (draw, where.body)]
        alike += fuzz.ratio(*texts) / 100
        same += texts[0] == texts[1]
    found = {"coverage": hits / total, "validity": valid / len(cases)}
    return found | {"similarity": alike / len(cases), "same": same / len(cases)}


CLAIM = Claim(
    slug="toolgen",
    reference="Wang et al. 2024, Teaching Code LLMs to Use Autocompletion Tools in "
    "Repository-Level Code Generation, arXiv:2401.06391",
    statement="SmolLM2 trained for 200 steps on functions with triggers, and completed by Jedi, "
    "uses at least 10 points more of the names that 100 functions of three unseen packages depend "
    "on than the same model trained without, writes at least 8 points more functions without an "
    "unknown name, and is at most 1 point less similar to what was written there.",
    run=run,
)
