"""Methods are found by name, built from tables, and described so that they can be built again."""

import subprocess
import sys
from dataclasses import dataclass

import pytest

from genwright.core import InvalidArgument, TaskFileError, build, describe, find, method, registry
from genwright.core.registry import methods, slot_of, snake_case


@method(paper="doi:10/x")
@dataclass(frozen=True, kw_only=True)
class ShoutingKey:
    """Say it louder."""

    times: int = 1
    marks: tuple[str, ...] = ("!",)

    def __call__(self, text: str) -> str:
        return text.upper() + "".join(self.marks) * self.times


@method()
@dataclass(frozen=True, kw_only=True)
class TestOnlyStrategy:
    """Do nothing."""

    __test__ = False
    key: object
    k: int = 3

    def run(self, generator, task, budget, seed): ...


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("MajorityVote", "majority_vote"),
        ("LocalLM", "local_lm"),
        ("B4", "b4"),
        ("MBRExec", "mbr_exec"),
    ],
)
def test_names_are_snake_case(name, snake):
    assert snake_case(name) == snake


def test_the_slot_is_what_the_methods_show():
    assert find("key", "shouting_key").paper == "doi:10/x"
    assert find("strategy", "test_only_strategy").summary == "Do nothing."
    assert slot_of("shouting_key") == "key"


def test_describe_undoes_build_with_tables_inside_tables():
    table = {"method": "test_only_strategy", "key": {"method": "shouting_key", "times": 2}, "k": 5}
    made = build("strategy", table)
    assert made.key("a") == "A!!"
    assert build("strategy", describe(made)) == made


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "needs the key 'method'"),
        ({"method": "test_only_strategi"}, "Did you mean 'test_only_strategy'"),
        ({"method": "test_only_strategy", "kk": 1, "key": 1}, "has no key 'kk'.*Did you mean"),
        ({"method": "test_only_strategy"}, "also needs: key"),
    ],
)
def test_a_wrong_table_names_the_culprit(table, message):
    with pytest.raises(TaskFileError, match=message):
        build("strategy", table)


def test_a_method_that_lacks_a_package_names_the_command(monkeypatch):
    """A process without torch asks for a method that needs it."""
    program = """
import sys
sys.modules["torch"] = None
from genwright.core import MissingExtra, find
try:
    find("generator", "diffusion_model")
except MissingExtra as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert told.stdout.startswith("diffusion_model needs torch: pip install 'genwright[lm]'")
    monkeypatch.setattr(registry, "_commands", ["pip install 'genwright[lm]'"])
    with pytest.raises(TaskFileError, match="More are there after: pip install 'genwright"):
        find("learner", "nobody_wrote_this")


def test_two_classes_cannot_share_a_name():
    with pytest.raises(InvalidArgument, match="already"):

        @method(name="shouting_key")
        @dataclass(frozen=True)
        class Other:
            def __call__(self): ...


def test_what_fills_no_slot_is_refused():
    with pytest.raises(InvalidArgument, match="has none of sample"):

        @method()
        @dataclass(frozen=True)
        class Idle: ...


def test_every_registered_method_says_what_it_is():
    for info in methods():
        assert info.summary, info
