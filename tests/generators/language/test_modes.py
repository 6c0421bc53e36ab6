"""The modes of `LocalLM`: batches, steering, memory and what they refuse."""

from dataclasses import replace

import numpy as np
import pytest

from genwright.core import ConstraintError, InvalidArgument, Ledger, Task, solve
from genwright.generators.language import loading
from genwright.generators.language.local import LocalLM
from genwright.generators.language.sampling import Sampling
from genwright.generators.language.tries import Tries, written
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.steering.compose import Intersection
from genwright.steering.grammar import Grammar, Regex
from genwright.steering.json_schema import JsonSchema
from genwright.steering.matching import ALL_BYTES
from genwright.steering.membership import accepts
from genwright.steering.python_machine import PythonMachine
from genwright.testing import Passes

WORDS = Regex(pattern="(red|tan|sky) (car|cup|cat)")
ABC = JsonSchema(
    schema='{"type": "object", "properties": {"k": {"enum": ["a", "bb"]}},'
    ' "additionalProperties": false}'
)

TASK = Task("say", Passes(lambda value: False))


@pytest.fixture
def lm(tiny_llama):
    loading.unload(str(tiny_llama))  # what other tests learnt
    return LocalLM(
        model=str(tiny_llama),
        chat=False,
        dtype="float32",
        max_new_tokens=24,
        temperature=1.0,
        mode="exact",
        constraints=(WORDS,),
    )


def test_exact_draws_do_not_depend_on_the_batch_they_are_made_in(lm, tiny_llama):
    together = lm.sample("say", 12, seed=1)
    loading.unload(str(tiny_llama))
    alone = [lm.sample("say", 1, seed=1, first=k)[0].value for k in reversed(range(12))]
    assert alone[::-1] == together.values
    assert all(info["complete"] for info in together.info)
    assert len(set(together.values)) > 3


def test_log_probabilities_are_those_of_scoring(lm):
    drawn = lm.sample("say", 4, seed=2)
    scores = lm.score("say", drawn.values)
    for draw, score in zip(drawn, scores, strict=True):
        assert draw.logprob - draw.info["end_logprob"] == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize("constraint", [ABC, Intersection(parts=(WORDS, Regex(pattern="[a-z ]+")))])
@pytest.mark.parametrize("mode", ["asap", "exact"])
def test_forced_tokens_and_several_constraints_are_followed(lm, constraint, mode):
    drawn = replace(lm, mode=mode, constraints=(constraint, Regex(pattern=".*"))).sample(
        "say", 6, seed=0
    )
    assert all(accepts(constraint, ALL_BYTES, value) for value in drawn.values)
    assert all(info["complete"] for info in drawn.info)


def test_a_ledger_carries_what_was_learnt_to_the_next_process(lm, tiny_llama, tmp_path):
    strategy = RepeatedSampling(n=20, batch=20, stop_on_pass=False)
    with Ledger(tmp_path / "l.db") as ledger:
        first = solve([TASK], lm, strategy, ledger=ledger, seed=3)
        loading.unload(str(tiny_llama))
        again = solve([TASK], lm, strategy, ledger=ledger, seed=3)
        loading.unload(str(tiny_llama))
        alone = solve([TASK], lm, strategy, seed=3)
    assert first.outcomes[0].samples.values == again.outcomes[0].samples.values
    assert first.cost.network_evaluations > 10
    assert again.cost.network_evaluations == 1  # the prompt's
    assert alone.cost.network_evaluations == first.cost.network_evaluations


def test_watched_draws_show_their_tokens_once_they_are_certain(lm):
    ticket = lm.submit("say", 1, seed=1, watch=True)
    events = list(ticket.events())
    text = "".join(event.text for event in events[:-1])
    index, draw = events[-1]
    assert (index, text) == (0, draw.value)
    assert [e.token for e in events[:-1] if e.token is not None] == draw.info["tokens"]


@pytest.mark.parametrize(
    ("settings", "culprit"),
    [
        ({"temperature": 0.0}, "temperature above 0"),
        ({"top_p": 0.9}, "top_p must be 1.0, got 0.9"),
        ({"top_k": 5}, "top_k must be 0, got 5"),
        ({"min_p": 0.1}, "min_p must be 0.0"),
        ({"stop": ("x",)}, "stop must be"),
        ({"logprobs": 3}, "logprobs must be None or 0"),
        ({"mode": "survey"}, "one of mask, asap, exact"),
        ({"mode": "exakt"}, "one of mask, asap, exact"),
    ],
)
def test_what_leaves_no_distribution_to_condition_is_refused_at_once(settings, culprit):
    with pytest.raises(InvalidArgument, match=culprit):
        LocalLM(**{"mode": "exact", **settings})


def test_shapers_are_refused(lm):
    class Shaper:
        def start(self, vocabulary, prompt): ...

    with pytest.raises(InvalidArgument, match="shapers change its odds"):
        lm.steered(Shaper()).sample("say", 1, seed=0)


def test_without_a_constraint_the_modes_are_one(lm):
    free = replace(lm, constraints=(), max_new_tokens=6)
    assert free.sample("say", 3, seed=1) == replace(free, mode="mask").sample("say", 3, seed=1)


def test_only_what_is_plain_data_has_a_name():
    machine = PythonMachine(begin=0, step=lambda s, b: s, done=lambda s: True)
    assert written(machine) is None
    assert written(Intersection(parts=(WORDS, machine))) is None
    assert written(WORDS) == written(Regex(pattern=WORDS.pattern))
    assert written(WORDS) != written(Grammar(text="start: /" + WORDS.pattern + "/"))
    assert written(Intersection(parts=(WORDS, ABC))) != written(Intersection(parts=(ABC, WORDS)))
    assert written(np.zeros(2)) is None
    assert written({"a": [1, None]}) == written({"a": (1, None)})


@pytest.mark.parametrize("mode", ["mask", "asap", "exact"])
@pytest.mark.parametrize(
    ("constraints", "culprit"),
    [
        ((Regex(pattern="ab{3}"), Grammar(text='start: "abc"')), "Regex and Grammar: .*contradict"),
        ((Regex(pattern="a{30}"),), "Regex: the shortest draw .* 30 tokens, but max_new_tokens is"),
        ((Grammar(text="start: X\nX: /a/ & /b/"),), "Grammar: no string at all"),
        ((Grammar(text='start: start "b"'),), "Grammar: no string at all"),
        ((Grammar(text="start: word"),), 'unknown name: "word"'),
    ],
)
def test_what_no_draw_can_satisfy_is_named_before_the_network_is_asked(
    lm, monkeypatch, mode, constraints, culprit
):
    def step(chunks):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(lm.token_model, "step", step)
    with pytest.raises(ConstraintError, match=culprit):
        replace(lm, mode=mode, constraints=constraints).sample("say", 1, seed=0)


def test_what_a_trie_says_something_of_is_in_its_name():
    compiled = (WORDS.compile(ALL_BYTES),)
    told = {
        "constraints": (WORDS,),
        "compiled": compiled,
        "sampling": Sampling(temperature=1.0, max_new_tokens=9, mode="exact"),
        "memory": None,
    }
    changes = [
        {},
        {"prompt": [2]},
        {"constraints": (ABC,), "compiled": (ABC.compile(ALL_BYTES),)},
        {"sampling": Sampling(temperature=0.9, max_new_tokens=9, mode="exact")},
        {"sampling": Sampling(temperature=1.0, max_new_tokens=8, mode="exact")},
    ]
    tries = Tries(["model", 1.0])
    found = [tries.find(**{"prompt": [1], **told, **change}) for change in changes]
    other = Tries(["model", 2.0]).find(prompt=[1], **told)
    assert len({entry.name for entry in (*found, other)}) == len(changes) + 1
    assert len({id(entry.trie) for entry in found}) == len(changes)
    assert tries.find(prompt=[1], **told) is found[0]
