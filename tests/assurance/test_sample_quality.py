"""Real digits are the floor, damage and copies show, an unproved classifier measures nothing."""

import numpy as np
import pytest

from genwright.assurance.sample_quality import class_accuracy, floor, measure_images
from genwright.core import InvalidArgument
from genwright.learning.features import digit_classifier
from genwright.nets.feature_net import Features
from genwright.synthesis.images import digits_split

pytest.importorskip("sklearn")


def test_real_digits_are_the_floor_and_damage_shows():
    train, held_out = digits_split()
    features = digit_classifier()
    assert features.trusted
    best = floor(train, held_out, features)
    rng = np.random.default_rng(0)
    noisy = train.pixels + 0.5 * rng.standard_normal(train.pixels.shape)
    bad = measure_images(noisy, train, held_out, features, asked=train.labels)
    assert best.frechet < 20 < bad.frechet
    assert best.accuracy > 0.99 > bad.accuracy
    assert best.coverage > bad.coverage
    copies = measure_images(train.pixels, train, held_out, features)
    assert copies.authenticity == 0.0
    assert copies.accuracy is None
    assert 0.4 < best.authenticity < 0.7


def test_a_classifier_that_proved_nothing_leaves_measures_undecided():
    train, held_out = digits_split()
    doubtful = Features(digit_classifier().net, 0.9699, 450)
    found = measure_images(held_out.pixels, train, held_out, doubtful, asked=held_out.labels)
    assert set(found.as_dict()) == {"authenticity"}
    assert class_accuracy(doubtful, held_out.pixels, held_out.labels) is None


def test_bad_input_is_refused():
    with pytest.raises(InvalidArgument, match="one class a sample"):
        class_accuracy(digit_classifier(), np.zeros((2, 1, 8, 8)), [1])
    with pytest.raises(InvalidArgument, match="of shape"):
        digit_classifier()(np.zeros((2, 1, 4, 4)))
