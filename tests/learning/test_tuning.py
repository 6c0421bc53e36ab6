"""Every trainer of a language model resumes to the same files, and repeats no training."""

from pathlib import Path
from threading import Event

import pytest

pytest.importorskip("peft")
import torch

from genwright.core import InvalidArgument
from genwright.generators.language.local import LocalLM
from genwright.learning.alphamath import PolicyValueLearner
from genwright.learning.class_conditional import ClassConditional
from genwright.learning.fit_kv_predictor import FitKVPredictor
from genwright.learning.selective import SelectiveRL
from genwright.learning.supervised import Supervised
from genwright.learning.tuning import Tuning, identity_of

TEXTS = [{"text": f"{c} says {c}{c}{c}", "code": "new" if c < "e" else "old"} for c in "abcdefgh"]
PAIRS = [{"prompt": f"say {c}", "completion": c * 3} for c in "abcdefgh"]
SOLVED = [
    {"prompt": f"say {c}", "steps": [c, c], "values": [0.5, 1.0], "right": c < "e"}
    for c in "abcdefgh"
]


def length(text, row):
    return min(len(text), 10) / 10


TRAINERS = {
    "supervised": (Supervised, {"steps": 5, "rank": 2}, PAIRS),
    "class conditional": (
        ClassConditional,
        {"steps": 5, "rank": 2, "codes": ("new", "old")},
        TEXTS,
    ),
    "policy and value": (PolicyValueLearner, {"steps": 5, "rank": 0}, SOLVED),
    "KV predictor": (FitKVPredictor, {"steps": 5, "layers": (0,), "length": 8, "ridge": 32}, TEXTS),
    "selective": (
        SelectiveRL,
        {"teach": 3, "episodes": 4, "hidden": 4, "layers": 1, "reward": length},
        PAIRS,
    ),
}


@pytest.fixture(params=TRAINERS, ids=lambda name: name.replace(" ", "-"))
def trainer(request):
    """Return (folder -> learner, rows)."""
    kind, settings, rows = TRAINERS[request.param]
    return (lambda folder: kind(folder=str(folder), batch=2, save_every=2, **settings)), rows


@pytest.fixture
def base(tiny):
    return LocalLM(model=str(tiny), dtype="float32", temperature=1.0, max_new_tokens=4, chat=False)


class Killed(Exception):
    """Stands for a kill in the middle of a training."""


def files(folder):
    """What a training leaves, but for the card, which names the folder."""
    found = (path for path in Path(folder).rglob("*") if path.is_file() and path.suffix != ".md")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_a_training_that_was_cut_off_ends_at_the_same_files(trainer, base, tmp_path):
    made, rows = trainer

    def kill(metric, step, value):
        if step == 4:
            raise Killed

    with pytest.raises(Killed):
        made(tmp_path / "cut").fit(base, rows, seed=1, watch=kill)
    assert (tmp_path / "cut" / "checkpoint").is_dir()
    seen = []
    made(tmp_path / "cut").fit(base, rows, seed=1, watch=lambda *told: seen.append(told[:2]))
    assert {step for name, step in seen if name == "loss"} == {4}
    made(tmp_path / "whole").fit(base, rows, seed=1)
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_a_finished_training_is_not_repeated(trainer, base, tmp_path):
    made, rows = trainer
    told = []
    first = made(tmp_path / "out").fit(base, rows, seed=1)
    before = files(tmp_path / "out")
    assert made(tmp_path / "out").fit(base, rows, seed=1, watch=lambda *t: told.append(t)) == first
    assert not told
    made(tmp_path / "out").fit(base, rows, seed=2, watch=lambda *t: told.append(t))
    assert told
    assert files(tmp_path / "out") != before


def test_an_interrupt_ends_a_training_between_two_steps(tmp_path):
    stop = Event()

    def run(watch, stop):
        weight = torch.zeros(1, requires_grad=True)
        learner = Supervised(folder=str(tmp_path), steps=9, save_every=2)
        tuning, optimizer = Tuning(learner, "name", watch, stop), torch.optim.SGD([weight], lr=1.0)
        begun = tuning.begun
        whole = tuning.run(lambda i: {"loss": (weight - 1).square().sum()}, [weight], optimizer)
        return begun, whole, len(tuning.losses)

    def interrupt(metric, step, value):
        if step == 2:
            stop.set()

    assert run(interrupt, stop) == (False, False, 3)
    assert run(None, Event()) == (True, True, 9)


def test_what_names_a_training(base, tmp_path):
    def name(rows=PAIRS, seed=1, generator=base, **settings):
        return identity_of(Supervised(folder=str(tmp_path), **settings), generator, rows, seed)

    assert name() == name() == name(save_every=7)
    others = [name(rows=PAIRS[1:]), name(seed=2), name(steps=7), name(tokens=("a",))]
    assert len({name(), *others}) == 5


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(ClassConditional, {"codes": ("a", "b")}), (PolicyValueLearner, {}), (FitKVPredictor, {})],
)
def test_checkpoints_come_after_some_step(kind, settings):
    with pytest.raises(InvalidArgument, match="save_every"):
        kind(folder="x", save_every=0, **settings)
