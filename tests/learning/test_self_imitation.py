"""A model imitates the draws that pass, and only those."""

import pytest

from genwright.core import InvalidArgument, Samples, TrainingError, Verdict
from genwright.generators.language.local import LocalLM
from genwright.learning.self_imitation import SelfImitation
from genwright.learning.supervised import Supervised
from genwright.steering.grammar import Regex
from genwright.steering.logic import CNF
from genwright.steering.neurologic import NeurologicBeam
from genwright.verifiers.predicate import Predicate

WITH_B = Predicate(function=lambda text: "b" in text)
ROWS = [{"prompt": p} for p in ("x", "y")]


@pytest.fixture
def letters(tiny_llama):
    lm = LocalLM(model=str(tiny_llama), chat=False, dtype="float32", max_new_tokens=4)
    return lm.steered(Regex(pattern="[ab]{3}"))


def learner(folder, **others):
    supervised = Supervised(
        folder=str(folder), steps=40, batch=4, rank=0, learning_rate=0.01, template="{prompt}"
    )
    return SelfImitation(learner=supervised, **({"draws": 8, "rounds": 1} | others))


def share(lm, letter):
    drawn = [text for p in "xy" for text in lm.sample(p, 45, seed=9).values]
    return sum(text.count(letter) for text in drawn) / sum(map(len, drawn))


def test_only_distinct_draws_that_pass_are_imitated(letters, tmp_path):
    imitation = learner(tmp_path, critic=WITH_B)
    made = imitation.imitated(letters, ROWS, seed=0)
    texts = {p: [r["completion"] for r in made if r["prompt"] == p] for p in ("x", "y")}
    assert all(texts.values())
    for found in texts.values():
        assert len(set(found)) == len(found)
        assert all("b" in text for text in found)
    everything = learner(tmp_path, critic=None).imitated(letters, ROWS, seed=0)
    assert [row for row in everything if "b" in row["completion"]] == made
    assert len(everything) > len(made)


@pytest.mark.slow
def test_the_model_comes_to_do_what_passes_and_more_so_than_the_control(letters, tmp_path):
    """Of 270 letters: a share of one half has a standard error of 0.03."""
    only_b = Predicate(function=lambda text: text == "bbb")
    seen = []
    tuned = learner(tmp_path / "a", critic=only_b, rounds=2, draws=24).fit(
        letters, ROWS, seed=1, watch=lambda *told: seen.append(told)
    )
    control = learner(tmp_path / "b", critic=None, rounds=2, draws=24).fit(letters, ROWS, seed=1)
    assert share(tuned, "b") > max(share(letters, "b"), share(control, "b")) + 0.2
    accepted = [value for name, _, value in seen if name == "accepted"]
    assert len(accepted) == 2
    assert tuned.constraints == letters.constraints


def test_what_is_drawn_from_and_what_judges_may_depend_on_the_row(letters, tmp_path):
    rows = [{"prompt": "x", "word": "aba"}, {"prompt": "y", "word": "bab"}]

    def decode(model, row):
        cnf = CNF(clauses=[[row["word"]]], whole=False)
        return NeurologicBeam(model=model, cnf=cnf, beam=4, prune=0, beta=5, max_tokens=4)

    def critic(row):
        return Predicate(function=lambda text: text == row["word"])

    made = learner(tmp_path, critic=critic, decode=decode, draws=2).imitated(letters, rows, seed=0)
    assert [(r["prompt"], r["completion"]) for r in made] == [("x", "aba"), ("y", "bab")]


def test_an_undecided_draw_is_not_imitated(letters, tmp_path):
    class Unsure:
        def check(self, samples: Samples[str]) -> list[Verdict]:
            return [Verdict.undecided() for _ in samples.values]

    with pytest.raises(TrainingError, match="round 1 of 1: none of the 16 draws was accepted"):
        learner(tmp_path, critic=Unsure()).fit(letters, ROWS, seed=0)


def test_no_rounds_are_refused(tmp_path):
    with pytest.raises(InvalidArgument, match="rounds must be 1 or more"):
        learner(tmp_path, rounds=0)
