"""The classifier that measures pictures: it learns, it is kept, and it says how good it is."""

import numpy as np
import pytest

from genwright.core import InvalidArgument, MissingFile
from genwright.learning.features import DigitFeatures, digit_classifier, train_features
from genwright.nets.feature_net import FeatureNet, load_features, save_features
from genwright.synthesis.images import digits_split

pytest.importorskip("sklearn")


def test_it_reaches_97_percent_on_held_out_digits():
    _, held_out = digits_split()
    found = digit_classifier()
    right = found.probabilities(held_out.pixels).argmax(1) == held_out.labels
    assert found.accuracy == right.mean() >= 0.97
    assert found.trusted


def test_the_same_seed_trains_the_same_network():
    train, held_out = digits_split()
    one, two, other = (train_features(train, held_out, seed=s, steps=3) for s in (0, 0, 1))
    x = held_out.pixels[:4]
    assert np.array_equal(one(x), two(x))
    assert not np.array_equal(one(x), other(x))


def test_too_little_training_is_not_trusted():
    train, held_out = digits_split()
    assert not train_features(train, held_out, seed=0, steps=2).trusted


def test_what_is_saved_is_what_is_loaded(tmp_path):
    found = digit_classifier()
    save_features(found, tmp_path / "net.safetensors")
    again = load_features(tmp_path / "net.safetensors")
    x = digits_split()[1].pixels[:7]
    assert np.array_equal(again(x), found(x))
    assert (again.accuracy, again.held_out) == (found.accuracy, 450)


def test_the_loader_trains_once(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "net.safetensors"
    monkeypatch.setattr("genwright.learning.features.train_features", lambda *_, **__: found)
    found = digit_classifier()
    loader = DigitFeatures(path=str(path))
    assert loader() == path
    written = path.stat().st_mtime_ns
    assert loader().stat().st_mtime_ns == written
    assert [p.name for p in path.parent.iterdir()] == ["net.safetensors"]


def test_bad_input_is_refused(tmp_path):
    train, _ = digits_split()
    with pytest.raises(InvalidArgument, match="pictures on both sides"):
        train_features(train, train[:0], seed=0)
    with pytest.raises(InvalidArgument, match="multiple of 4"):
        FeatureNet(1, 6, 2)
    with pytest.raises(MissingFile, match="train one first"):
        load_features(tmp_path / "none")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(InvalidArgument, match="no safetensors"):
        load_features(tmp_path / "text")
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(2)}, tmp_path / "other")
    with pytest.raises(InvalidArgument, match="no FeatureNet"):
        load_features(tmp_path / "other")
