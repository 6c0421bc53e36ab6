"""Every registered method keeps the laws of its slot. A method without a case here fails.

To add a method, add a function whose name is SLOT__NAME to the file of its slot beside this one;
its arguments are fixtures.
"""

import inspect
import json

import data_cases
import generator_cases
import learner_cases
import pytest
import steering_cases
import strategy_cases
import verifier_cases

from genwright.core import build, describe, methods
from genwright.testing import contract_checks

OURS = [info for info in methods() if info.cls.__module__.startswith("genwright.")]
FILES = (data_cases, generator_cases, learner_cases, steering_cases, strategy_cases, verifier_cases)
CASES = {name: made for file in FILES for name, made in vars(file).items() if "__" in name}


def case_for(info, request):
    factory = CASES.get(f"{info.slot}__{info.name}")
    if factory is None:
        pytest.fail(
            f"the {info.slot} {info.name} ({info.cls.__module__}) has no case of its contract; "
            f"add a function {info.slot}__{info.name} beside {__name__}."
        )
    wanted = inspect.signature(factory).parameters
    return factory(**{name: request.getfixturevalue(name) for name in wanted})


def listed(slow=()):
    marks = {True: (pytest.mark.slow,), False: ()}
    return [
        pytest.param(info, id=f"{info.slot}-{info.name}", marks=marks[info.name in slow])
        for info in OURS
    ]


@pytest.mark.parametrize("info", listed(slow=("flights_database",)))
def test_it_keeps_the_laws_of_its_slot(info, request):
    case = case_for(info, request)
    assert type(case.make()) is info.cls
    for law in contract_checks(info.slot):
        law(case)


@pytest.mark.parametrize("info", listed())
def test_it_is_described_and_built_again(info, request):
    made = case_for(info, request).make()
    table = describe(made)
    assert table["method"] == info.name
    again = json.loads(json.dumps(table))
    if "<lambda>" in json.dumps(table) or "Vocabulary" in json.dumps(table):
        pytest.skip("it holds a function or a vocabulary, which no task file can")
    assert describe(build(info.slot, again)) == table


def test_a_method_without_a_case_is_named(request):
    from genwright.core import MethodInfo

    with pytest.raises(pytest.fail.Exception, match=r"the strategy new_one .* add a function"):
        case_for(MethodInfo("new_one", "strategy", "", int), request)
