"""Methods of other packages: found by entry point, used by task files, held to the same laws."""

import importlib
import json
import sys

import pytest

from genwright.cli.main import main
from genwright.core import Task, methods, problems, registry
from genwright.core.task_file import TaskFile
from genwright.testing import Passes, StrategyCase, Uniform, check_contract

MODULE = '''
"""A strategy that somebody else wrote."""

from dataclasses import dataclass

from genwright.core import Outcome, Samples, Stop, method


@method(paper="doi:10/theirs")
@dataclass(frozen=True, kw_only=True)
class LastOfMany:
    """Return the last of n draws."""

    n: int = 3
    careless: bool = False

    def run(self, generator, task, budget, seed):
        drawn = Samples()
        while len(drawn) < self.n and (self.careless or budget.room(drawn.cost, 1)):
            drawn += generator.sample(task.prompt, 1, seed=seed, first=len(drawn))
        stop = Stop.COMPLETE if len(drawn) == self.n else Stop.BUDGET
        return Outcome(drawn[len(drawn) - 1] if len(drawn) else None, drawn, stop)
'''

TASK = """name = "theirs"

[generator]
method = "recorded_generator"
path = "draws.jsonl"

[prompts]
rows = [{question = "p"}]

[strategy]
method = "last_of_many"
n = 2
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that puts a package with one entry point where Python finds it."""
    known, trouble = dict(registry._methods), dict(registry._problems)
    monkeypatch.syspath_prepend(tmp_path)

    def install(module, text):
        (tmp_path / f"{module}.py").write_text(text)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[genwright.methods]\n{module} = {module}\n")
        importlib.invalidate_caches()

    yield install
    registry._methods.clear()
    registry._methods.update(known)
    registry._problems.clear()
    registry._problems.update(trouble)
    for module in ("their_strategies", "their_broken_ones"):
        sys.modules.pop(module, None)


def listing(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["genwright", "methods", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return capsys.readouterr()


def test_it_is_listed_with_its_reference(installed, monkeypatch, capsys):
    installed("their_strategies", MODULE)
    rows = json.loads(listing(monkeypatch, capsys, "--json").out)["methods"]
    row = next(row for row in rows if row["name"] == "last_of_many")
    assert (row["slot"], row["paper"]) == ("strategy", "doi:10/theirs")


def test_it_fills_the_slot_of_a_task_file(installed, tmp_path):
    installed("their_strategies", MODULE)
    (tmp_path / "draws.jsonl").write_text('{"prompt": "p", "completions": ["a", "b", "c"]}')
    (tmp_path / "theirs.toml").write_text(TASK)
    made = TaskFile.load(tmp_path / "theirs.toml")
    strategy = made.build("strategy", made.strategy)
    assert (type(strategy).__module__, strategy.n) == ("their_strategies", 2)
    generator, (task,) = Uniform("ab"), made.tasks()
    outcome = strategy.run(generator, task, made.budgets()[0], 0)
    assert outcome.chosen == outcome.samples[1]


def test_one_that_breaks_its_contract_is_told_which_law_and_how(installed):
    installed("their_strategies", MODULE)
    kind = next(info.cls for info in methods() if info.name == "last_of_many")

    def case(**settings):
        task = Task("p", Passes(lambda value: value == "a"))
        return StrategyCase(make=lambda: kind(**settings), generator=Uniform("ab"), task=task)

    check_contract(case())
    with pytest.raises(AssertionError) as caught:
        check_contract(case(careless=True))
    assert str(caught.value).startswith(
        "strategy LastOfMany breaks the law 'a budget in draws is exact': a budget of 1 draws was "
        "spent on 3; use Budget.room"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import a_package_that_is_not_there", "No module named 'a_package_that_is_not_there'"),
        ("1 / 0", "division by zero"),
        ("def (", "invalid syntax"),
        (MODULE.replace("def run", "def go"), "LastOfMany has none of sample"),
    ],
)
def test_one_that_cannot_be_imported_is_a_problem_and_takes_nothing_down(
    installed, monkeypatch, capsys, text, why
):
    before = {(info.slot, info.name) for info in methods()}
    installed("their_broken_ones", text)
    assert {(info.slot, info.name) for info in methods()} == before
    assert why in problems()["their_broken_ones"]
    said = listing(monkeypatch, capsys)
    assert "their_broken_ones" in said.out + said.err
