"""Policy and value learn what they should, nothing else; values are read as they were trained."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
import torch

from genwright.core import (
    Budget,
    InvalidArgument,
    Ledger,
    Task,
    TrainingError,
    solve,
)
from genwright.generators.language.local import LocalLM
from genwright.generators.language.policy_value import PolicyValueLM
from genwright.learning.alphamath import PolicyValueLearner, search_and_learn, solutions
from genwright.learning.causal import body_and_head, load_for_training
from genwright.learning.policy_value import encode_solution, policy_value_loss
from genwright.nets.value_head import ValueHead
from genwright.search.alphamath import StepBeam, StepMCTS
from genwright.search.tree import Tree
from genwright.steering.grammar import Regex
from genwright.testing import Passes, Scripted

RIGHT = {"prompt": "1+1?", "steps": ["a\n", "=2\n"], "values": [0.5, 1.0], "right": True}
WRONG = {"prompt": "1+1?", "steps": ["b\n", "cc\n", "=3\n"], "values": [0.0, -0.5, -1.0]}


@pytest.fixture
def policy(tiny_llama):
    return LocalLM(
        model=str(tiny_llama), chat=False, dtype="float32", stop=("\n",), max_new_tokens=6
    )


@pytest.fixture
def parts(tiny_llama):
    model, tokenizer = load_for_training(str(tiny_llama), rank=0, alpha=1)
    body, output = body_and_head(model)
    head = ValueHead(32)
    torch.nn.init.normal_(head.map.weight, std=0.3)
    return model, tokenizer, body, output, head


def loss(parts, rows, weight):
    _, tokenizer, body, output, head = parts
    batch = [encode_solution(row, tokenizer, "{prompt}") for row in rows]
    return policy_value_loss(body, output, head, batch, 0, weight)


def test_the_loss_by_hand(parts):
    """One right and one wrong solution, one at a time and without padding."""
    _, tokenizer, body, output, head = parts
    entropy, errors = [], []
    with torch.no_grad():
        for row in (RIGHT, WRONG):
            question = tokenizer(row["prompt"])["input_ids"]
            ids = question + tokenizer("".join(row["steps"]))["input_ids"] + [0]
            hidden = body(input_ids=torch.tensor([ids])).last_hidden_state[0]
            odds = output(hidden).log_softmax(-1)
            if row is RIGHT:
                entropy += [-odds[i - 1, ids[i]] for i in range(len(question), len(ids))]
            at = len(question) - 1
            for step, value in zip(row["steps"], row["values"], strict=True):
                at += len(step)
                errors.append((torch.tanh(hidden[at] @ head.map.weight[0]) - value) ** 2)
        wanted = sum(entropy) / len(entropy) + 0.7 * sum(errors) / len(errors)
        assert float(loss(parts, [RIGHT, WRONG], 0.7)) == pytest.approx(float(wanted), abs=1e-5)


def test_wrong_solutions_teach_the_value_and_no_token(parts):
    model, _, _, _, head = parts
    loss(parts, [WRONG], 0.0).backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())
    assert not head.map.weight.grad.any()
    loss(parts, [WRONG], 1.0).backward()
    assert head.map.weight.grad.any()
    assert any(p.grad is not None and p.grad.any() for p in model.parameters())


def test_training_moves_values_and_tokens_and_values_are_read_as_trained(policy, tmp_path):
    """After a few steps on two solutions their values are near, through the engine's own cache."""
    learner = PolicyValueLearner(
        folder=str(tmp_path / "new"), steps=60, batch=2, learning_rate=1e-2, weight=1.0
    )
    before = policy.score("1+1?", ["a\n=2\n", "b\ncc\n=3\n"])
    trained = learner.fit(policy, [RIGHT, WRONG], seed=1)
    after = trained.policy.score("1+1?", ["a\n=2\n", "b\ncc\n=3\n"])
    assert after[0] > before[0] + 5
    assert after[1] < after[0]
    assert policy.score("1+1?", ["a\n=2\n"])[0] == pytest.approx(before[0], abs=1e-4)
    prompts = ["1+1?a\n", "1+1?a\n=2\n", "1+1?b\n", "1+1?b\ncc\n", "1+1?b\ncc\n=3\n"]
    (values,) = trained.prefix_values().sample(prompts, 1, seed=0).values
    assert values == pytest.approx([*RIGHT["values"], *WRONG["values"]], abs=0.25)


@pytest.fixture
def valued(policy, tmp_path):
    learner = PolicyValueLearner(folder=str(tmp_path / "valued"), steps=5, batch=2, weight=1.0)
    return learner.fit(policy, [RIGHT, WRONG], seed=1)


def test_prefixes_share_what_they_read(valued, tiny_llama):
    """A value costs the tokens that no earlier prompt has, and is what one pass alone gives."""
    reader = valued.prefix_values()
    first = reader.sample(["1+1?a\n"], 1, seed=0)
    more = reader.sample(["1+1?a\n", "1+1?a\nbb\n", "1+1?c\n"], 1, seed=0)
    assert first.cost.prompt_tokens == 6
    assert more.cost.prompt_tokens == 3 + 2  # "bb\n" after the first, "c\n" after "1+1?"
    assert more.values[0][0] == first.values[0][0]
    model, tokenizer = load_for_training(valued.policy.model, rank=0, alpha=1)
    head = ValueHead.load(Path(valued.policy.model))
    for text, value in zip(["1+1?a\n", "1+1?a\nbb\n", "1+1?c\n"], more.values[0], strict=True):
        with torch.no_grad():
            body, _ = body_and_head(model)
            hidden = body(input_ids=torch.tensor([tokenizer(text)["input_ids"]]))
            wanted = head(hidden.last_hidden_state[0, -1])
        assert value == pytest.approx(float(wanted), abs=1e-4)


def test_what_was_read_long_ago_is_let_go(valued):
    from genwright.generators.language.policy_value import PrefixValues

    reader = PrefixValues(policy=valued.policy, kept=2)
    texts = [f"{i}\n" for i in range(5)]
    (together,) = reader.sample(texts, 1, seed=0).values
    (again,) = reader.sample(texts[:1], 1, seed=0).values
    assert again == pytest.approx(together[:1], abs=1e-6)


def test_values_are_recorded_and_read_back(valued, tmp_path):
    """A beam that is cut down and resumed reads no list of values a second time."""
    book, task = Ledger(tmp_path / "l.sqlite"), Task("1+1?", Passes(lambda v: True), "t")
    strategy, valued = StepBeam(b1=2, b2=3, final="=", depth=3), _stepping(valued)
    whole = solve([task], valued, strategy, ledger=book, run_id="r").outcomes[0]
    (lists,) = book.read("SELECT count(*) AS n FROM draws WHERE kind = 'json'")
    assert lists["n"] >= 2
    cut = Ledger(tmp_path / "cut.sqlite")
    with pytest.raises(KeyError):
        solve([task], valued, strategy, ledger=cut, run_id="r", on_event=_Cut(2))
    read = cut.read("SELECT count(*) AS n FROM draws WHERE kind = 'json'")[0]["n"]
    events = _Cut(10**9)
    again = solve([task], valued, strategy, ledger=cut, run_id="r", on_event=events).outcomes[0]
    assert again.samples == whole.samples
    assert events.replayed_values == read >= 1


def _stepping(model):
    """Have an untrained model write steps of four letters, or answers."""
    regex = Regex(pattern="[a-c]{4}|=[0-9]")
    if isinstance(model, PolicyValueLM):
        return replace(model, policy=_stepping(model.policy))
    return replace(model, constraints=(regex,), stop=())


class _Cut:
    """Raises at the given list of values; counts those that were read back."""

    def __init__(self, at):
        self.left, self.replayed_values = at, 0

    def __call__(self, event):
        if event.kind == "draw" and isinstance(event.what.value, list):
            self.left -= 1
            self.replayed_values += event.replayed
            if not self.left:
                raise KeyError("cut")


def test_siblings_share_the_prefill_and_children_their_parents(policy):
    """Prompt tokens by count, a token a byte: a prompt is read once for all its draws, and a child
    reads no more than the step that its parent lacks (and what the last token of a prompt costs).
    """
    strategy = StepMCTS(simulations=12, children=3, leaves=4, check=False, final="=", depth=4)
    prompt = "what is the sum of one and one?"
    outcome = strategy.run(_stepping(policy), Task(prompt), Budget(), 5)
    texts, tree = outcome.info["texts"], Tree.load(outcome.info["tree"])
    expanded = [i for i in range(len(tree)) if tree.count[i]]
    steps = [len(texts[i].encode()) for i in expanded]
    apart = sum(len(prompt) + sum(len(texts[j].encode()) for j in tree.path(i)) for i in expanded)
    read = outcome.samples.cost.prompt_tokens
    assert read <= len(prompt) + sum(steps)
    assert read < 0.5 * apart  # what it costs where prompts share nothing, siblings still do


def tree_of(script, passes):
    strategy = StepMCTS(simulations=6, children=2, leaves=1, final="=")
    task = Task("q", Passes(passes), "q")
    return task, solve([task], Scripted(script), strategy).outcomes[0]


def test_rows_of_a_tree_by_hand():
    """a leads to a right and a wrong answer, b is garbled: Q(a) = (0 + 1 - 1) / 3."""
    task, outcome = tree_of(
        {"q": ["a", ""], "qa\n": ["=2", "=3"]}, lambda value: value.endswith("=2")
    )
    rows = solutions(task, outcome)
    assert json.loads(json.dumps(rows)) == [
        {"prompt": "q", "steps": ["a\n", "=2\n"], "values": [0.0, 1.0], "right": True},
        {"prompt": "q", "steps": ["a\n", "=3\n"], "values": [0.0, -1.0], "right": False},
        {"prompt": "q", "steps": ["\n"], "values": [-1.0], "right": False},
    ]
    assert solutions(task, outcome, right=0, wrong=1) == rows[1:2]


def test_rounds_search_and_train(policy, tmp_path):
    def learner(number):
        return PolicyValueLearner(folder=str(tmp_path / str(number)), steps=2, batch=2)

    tasks = [Task(f"{i}?", Passes(lambda v: v.startswith("a")), str(i)) for i in range(2)]
    search = StepMCTS(simulations=2, children=3, leaves=2, final="=", depth=2)
    book = Ledger()
    models = search_and_learn(policy, tasks, search, learner, rounds=2, ledger=book, seed=3)
    assert [type(model) for model in models] == [PolicyValueLM, PolicyValueLM]
    assert [run.name for run in book.runs()] == ["alphamath: round 0", "alphamath: round 1"]
    with pytest.raises(TrainingError, match="no"):
        search_and_learn(
            Scripted(["x"] * 9), tasks[:1], StepMCTS(simulations=1, children=1), learner, rounds=1
        )


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"batch": 0}, {"learning_rate": 0.0}, {"weight": -1.0}, {"rank": -1}]
)
def test_settings_out_of_range_are_refused(wrong, tmp_path):
    with pytest.raises(InvalidArgument, match="PolicyValueLearner"):
        PolicyValueLearner(folder=str(tmp_path), **wrong)


@pytest.mark.parametrize(
    "row", [{}, RIGHT | {"values": [1.0]}, RIGHT | {"steps": [], "values": []}]
)
def test_rows_that_cannot_be_trained_on_are_refused(row, policy, tmp_path):
    with pytest.raises(InvalidArgument, match="as many 'values' as 'steps'"):
        PolicyValueLearner(folder=str(tmp_path)).fit(policy, [row], seed=0)


def test_solutions_that_are_all_too_long_are_refused(policy, tmp_path):
    with pytest.raises(InvalidArgument, match="at most 3 tokens"):
        PolicyValueLearner(folder=str(tmp_path), max_tokens=3).fit(policy, [RIGHT], seed=0)


def test_a_policy_without_a_value_head_is_told_what_to_do(policy):
    with pytest.raises(InvalidArgument, match="PolicyValueLearner"):
        PolicyValueLM(policy=policy).prefix_values().sample(["a"], 1, seed=0)
    with pytest.raises(InvalidArgument, match="kept"):
        PolicyValueLM(policy=policy, kept=0)
    assert PolicyValueLM(policy=policy).sample("a", 2, seed=1) == policy.sample("a", 2, seed=1)
