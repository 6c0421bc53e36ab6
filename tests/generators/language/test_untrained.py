import pytest

from genwright.core import InvalidArgument

pytest.importorskip("torch")

from genwright.generators.language.local import LocalLM
from genwright.generators.language.untrained import untrained
from genwright.learning.supervised import Supervised


def files(folder):
    return {f.name: f.read_bytes() for f in folder.iterdir()}


def test_the_same_arguments_save_the_same_files(tmp_path):
    for name in "ab":
        untrained(tmp_path / name, ["one two 12", "one two"], vocabulary=264, width=16, layers=1)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_another_seed_saves_other_weights_only(tmp_path):
    for seed in (0, 1):
        untrained(tmp_path / str(seed), width=16, layers=1, seed=seed)
    first, second = files(tmp_path / "0"), files(tmp_path / "1")
    assert {name for name in first if first[name] != second[name]} == {"model.safetensors"}


def test_any_text_survives_and_digits_stand_alone(tmp_path):
    folder = untrained(tmp_path, ["the 123 the 123"] * 9, vocabulary=300, width=16, layers=1)
    vocabulary = LocalLM(model=str(folder), chat=False).vocabulary
    for text in ("the 123", "É 🙂\n\t", "", "12 eggs"):
        assert b"".join(vocabulary.tokens[i] for i in vocabulary.encode(text)) == text.encode()
    digits = [vocabulary.tokens[i] for i in vocabulary.encode("the 123")][-3:]
    assert digits == [b"1", b"2", b"3"]


@pytest.mark.parametrize(
    "wrong", [{"vocabulary": 256}, {"layers": 0}, {"width": 20, "heads": 8}, {"width": 0}]
)
def test_a_shape_that_cannot_be_is_refused(tmp_path, wrong):
    with pytest.raises(InvalidArgument, match=next(iter(wrong))):
        untrained(tmp_path / "m", **wrong)
    assert not (tmp_path / "m").exists()


def test_it_learns_a_rule_from_nothing(tmp_path):
    folder = untrained(tmp_path / "start", width=32, layers=2, heads=2, context=32)
    rows = [{"prompt": f"{a}{b}", "completion": f"{b}{a}"} for a in "01234567" for b in "01234567"]
    learner = Supervised(
        folder=str(tmp_path / "end"), rank=0, steps=150, batch=64, learning_rate=1e-2
    )
    start = LocalLM(model=str(folder), chat=False, temperature=0.0, max_new_tokens=4)
    end = learner.fit(start, rows, seed=0)
    right = [end.sample(r["prompt"], 1, seed=0).values[0] == r["completion"] for r in rows[::7]]
    assert sum(right) >= 9
