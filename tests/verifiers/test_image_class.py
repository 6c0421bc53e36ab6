"""The class of a picture decides; a classifier that proved nothing decides nothing."""

import numpy as np
import pytest

from genwright.core import InvalidArgument, MissingFile, Samples
from genwright.learning.features import digit_classifier
from genwright.nets.feature_net import Features, save_features
from genwright.synthesis.images import digits_split
from genwright.verifiers.image_class import ImageClass

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "digits.safetensors"
    save_features(digit_classifier(), path)
    return str(path)


def test_held_out_digits_pass_as_themselves_and_fail_as_others(classifier):
    _, held_out = digits_split()
    threes = held_out[held_out.labels == 3]
    verdicts = ImageClass(features=classifier, label=3).check(Samples(threes.pixels))
    others = ImageClass(features=classifier, label="8").check(Samples(threes.pixels))
    assert sum(v.passed for v in verdicts) >= 0.9 * len(threes)
    assert sum(v.passed for v in others) <= 0.1 * len(threes)
    for own, other in zip(verdicts, others, strict=True):
        assert not (own.passed and other.passed)
        assert own.score + other.score <= 1 + 1e-9


def test_confidence_makes_it_stricter(classifier):
    _, held_out = digits_split()
    samples = Samples(held_out.pixels)
    scores = [v.score for v in ImageClass(features=classifier, label=5).check(samples)]
    strict = ImageClass(features=classifier, label=5, confidence=0.99).check(samples)
    assert [v.passed for v in strict] == [s >= 0.99 for s in scores]


def test_a_doubtful_classifier_is_undecided(tmp_path):
    save_features(Features(digit_classifier().net, 0.96, 450), tmp_path / "net")
    (verdict,) = ImageClass(features=str(tmp_path / "net"), label=3).check(
        Samples(digits_split()[1].pixels[:1])
    )
    assert not verdict.decided
    assert "96.0% of 450" in verdict.evidence["reason"]


@pytest.mark.parametrize(
    "draw", ["text", np.zeros((8, 8)), np.full((1, 8, 8), np.nan)], ids=["text", "shape", "nan"]
)
def test_what_is_no_picture_fails(classifier, draw):
    (verdict,) = ImageClass(features=classifier, label=3).check(Samples([draw]))
    assert verdict.passed is False
    assert "not a picture" in verdict.evidence["reason"]


def test_bad_input_is_refused(classifier, tmp_path):
    with pytest.raises(InvalidArgument, match="label must be"):
        ImageClass(features=classifier, label="three")
    with pytest.raises(InvalidArgument, match="confidence must be"):
        ImageClass(features=classifier, label=3, confidence=2)
    with pytest.raises(InvalidArgument, match=r"0\.\.9, got 10"):
        ImageClass(features=classifier, label=10).check(Samples([]))
    with pytest.raises(MissingFile, match="no file"):
        ImageClass(features=str(tmp_path / "none"), label=1).check(Samples([]))
