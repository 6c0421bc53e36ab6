"""Sets of pictures are what they say: shapes, ranges, splits, factors, and one kind in a set."""

import numpy as np
import pytest

from genwright.core import InvalidArgument, MissingFile
from genwright.synthesis.images import DigitImages, Images, digits, digits_split, emoji
from genwright.synthesis.sprites import COLOURS, GROUNDS, PLACES, SHAPES, SIZES, sprites


def test_digits_are_those_of_the_brief():
    pytest.importorskip("sklearn")
    found = digits()
    assert found.pixels.shape == (1797, 1, 8, 8)
    assert found.sigma_data == pytest.approx(0.752, abs=5e-4)
    assert np.bincount(found.labels).min() == 174


def test_a_split_is_a_partition_and_depends_on_its_seed():
    pytest.importorskip("sklearn")
    train, held_out = digits_split()
    assert (len(train), len(held_out)) == (1347, 450)
    both = np.concatenate([train.pixels, held_out.pixels]).reshape(1797, -1)
    whole = digits().pixels.reshape(1797, -1)
    assert np.array_equal(both[np.lexsort(both.T)], whole[np.lexsort(whole.T)])
    assert not np.array_equal(digits().split(0.75, seed=1)[0].pixels, train.pixels)


def test_rows_hold_picture_label_and_name():
    pytest.importorskip("sklearn")
    train, held_out = digits_split()
    row = DigitImages(n=3).rows()[2]
    assert row["image"] == train.pixels[2].tolist()
    assert row["class"] == str(row["label"]) == str(train.labels[2])
    assert len(DigitImages(split="held-out").rows()) == len(held_out)


@pytest.mark.parametrize("style", list(GROUNDS))
def test_a_sprite_shows_its_factors(style):
    """The commonest colour is the ground; ink is centred on the place and has the colour."""
    found = sprites(200, seed=3, style=style)
    for i, picture in enumerate(found.pixels):
        assert picture[:, 0, 0] == pytest.approx(GROUNDS[style])
        ink = abs(picture - GROUNDS[style]).max(0)
        strongest = picture[:, ink > 0.9 * ink.max()].mean(1)
        colours = np.array(list(COLOURS.values()))
        assert abs(colours - strongest).sum(1).argmin() == found.factors["colour"][i]
        if SHAPES_BY_INDEX[found.labels[i]] != "triangle":  # whose middle is not its centre
            rows, columns = np.nonzero(ink > 0.02)
            middle = (rows.min() + rows.max() + 1) / 2, (columns.min() + columns.max() + 1) / 2
            place = np.array(PLACES[found.factors["place"][i]]) * 16
            assert middle == pytest.approx(place, abs=0.75)


SHAPES_BY_INDEX = list(SHAPES)


def test_factors_are_uniform_and_a_picture_depends_on_its_index_alone():
    """Each count is binomial; 7 standard deviations are left once in 10^11."""
    many, few = sprites(3000, seed=1), sprites(10, seed=1)
    assert np.array_equal(many.pixels[:10], few.pixels)
    for name, count in (("shape", 6), ("colour", 8), ("size", len(SIZES)), ("place", 9)):
        counts = np.bincount(many.factors[name], minlength=count)
        spread = np.sqrt(3000 / count * (1 - 1 / count))
        assert abs(counts - 3000 / count).max() < 7 * spread
    assert len(np.unique(many.pixels.reshape(3000, -1), axis=0)) > 1200  # 2,160 are possible


def test_both_styles_have_the_same_factors():
    filled, outlined = sprites(20, seed=5), sprites(20, seed=5, style="outlined")
    assert all(np.array_equal(filled.factors[f], outlined.factors[f]) for f in filled.factors)
    assert not np.array_equal(filled.pixels, outlined.pixels)


def test_emoji_are_read_where_they_are(shared_data, monkeypatch):
    folder = shared_data("images/noto_emoji32.npz").parents[1]
    monkeypatch.setenv("GENWRIGHT_DATA", str(folder))
    found = emoji()
    assert found.shape == (3, 32, 32)
    assert len(found.classes) == len(found)


def test_emoji_that_are_not_there_say_what_to_set(monkeypatch, tmp_path):
    monkeypatch.setenv("GENWRIGHT_DATA", str(tmp_path))
    with pytest.raises(MissingFile, match="GENWRIGHT_DATA"):
        emoji()


def test_bad_input_is_refused():
    four = np.zeros((4, 1, 4, 4), np.float32)
    with pytest.raises(InvalidArgument, match="as many labels"):
        Images(pixels=four, labels=np.zeros(3, np.int64), classes=("a",))
    with pytest.raises(InvalidArgument, match=r"must be in \[-1, 1\]"):
        Images(pixels=four + 2, labels=np.zeros(4, np.int64), classes=("a",))
    with pytest.raises(InvalidArgument, match=r"labels must be in 0\.\.0"):
        Images(pixels=four, labels=np.ones(4, np.int64), classes=("a",))
    with pytest.raises(InvalidArgument, match="got nan"):
        Images(pixels=four * np.nan, labels=np.zeros(4, np.int64), classes=("a",))
    with pytest.raises(InvalidArgument, match="the share"):
        Images(pixels=four, labels=np.zeros(4, np.int64), classes=("a",)).split(1.5, seed=0)
    with pytest.raises(InvalidArgument, match="style must be"):
        sprites(1, seed=0, style="round")
    with pytest.raises(InvalidArgument, match="12 or more"):
        sprites(1, seed=0, size=8)
    with pytest.raises(InvalidArgument, match="split must be"):
        DigitImages(split="test")
