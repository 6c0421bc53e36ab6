"""Distances keep the axioms, and a hash does not see what it should not."""

import io
from itertools import pairwise

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from genwright.assurance.fingerprints import (
    EmbeddingFingerprint,
    PerceptualHash,
    TokenFingerprint,
    first_difference,
)
from genwright.core import InvalidArgument

WORDS = st.text("abc", max_size=6)


def images(n, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 8, 8), dtype=np.uint8)
    return [np.kron(image, np.ones((4, 4), dtype=np.uint8)) for image in coarse]


def edits(a, b):
    """Levenshtein's distance by its definition."""
    if not a or not b:
        return len(a) + len(b)
    return min(edits(a[1:], b) + 1, edits(a, b[1:]) + 1, edits(a[1:], b[1:]) + (a[0] != b[0]))


@pytest.mark.parametrize("fingerprint", [TokenFingerprint(), TokenFingerprint(edits=True)])
@given(WORDS, WORDS, WORDS)
@settings(max_examples=60)
def test_token_distances_are_distances(fingerprint, a, b, c):
    a, b, c = (fingerprint.of(word) for word in (a, b, c))
    assert (fingerprint.distance(a, b) == 0) == (a == b)
    assert fingerprint.distance(a, b) == fingerprint.distance(b, a)
    sides = fingerprint.distance(a, b) + fingerprint.distance(b, c)
    assert fingerprint.distance(a, c) <= sides


@given(st.text("ab", max_size=5), st.text("ab", max_size=5))
@settings(max_examples=60)
def test_edits_are_counted_as_by_definition(a, b):
    fingerprint = TokenFingerprint(edits=True)
    assert fingerprint.distance(tuple(a), tuple(b)) == edits(a, b)


@pytest.mark.parametrize("kind", ["phash", "dhash"])
def test_hamming_distances_are_distances(kind):
    fingerprint = PerceptualHash(kind=kind)
    hashes = [fingerprint.of(image) for image in images(12)]
    for a in hashes:
        assert fingerprint.distance(a, a) == 0
        for b in hashes:
            assert fingerprint.distance(a, b) == fingerprint.distance(b, a)
            assert fingerprint.distance(a, b) == sum(x != y for x, y in zip(a, b, strict=True))
            for c in hashes:
                sides = fingerprint.distance(a, b) + fingerprint.distance(b, c)
                assert fingerprint.distance(a, c) <= sides


@pytest.mark.parametrize(("kind", "size"), [("phash", 8), ("dhash", 8), ("phash", 16)])
def test_distances_equal_those_of_the_library(kind, size):
    fingerprint = PerceptualHash(kind=kind, size=size)
    a, b = images(2)
    theirs = [getattr(imagehash, kind)(Image.fromarray(i), hash_size=size) for i in (a, b)]
    assert fingerprint.of(a).shape == (size * size,)
    assert fingerprint.distance(fingerprint.of(a), fingerprint.of(b)) == theirs[0] - theirs[1]


@pytest.mark.parametrize("kind", ["phash", "dhash"])
def test_lossless_encoding_changes_no_bit(kind):
    fingerprint = PerceptualHash(kind=kind)
    colour = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for image in (images(1)[0], colour):
        held = io.BytesIO()
        Image.fromarray(image).save(held, format="PNG")
        again = Image.open(io.BytesIO(held.getvalue()))
        assert fingerprint.distance(fingerprint.of(image), fingerprint.of(again)) == 0


def test_digits_of_one_class_differ_more_than_noise_does(shared_data):
    with np.load(shared_data("images/mnist_test.npz")) as data:
        ones = data["images"][data["labels"] == 3][:40]
    rng = np.random.default_rng(0)
    fingerprint = PerceptualHash()
    noise, class_ = [], []
    for image, other in pairwise(ones):
        noisy = np.clip(image + rng.normal(0, 1, image.shape), 0, 255).round().astype(np.uint8)
        own = fingerprint.of(image)
        noise.append(fingerprint.distance(own, fingerprint.of(noisy)))
        class_.append(fingerprint.distance(own, fingerprint.of(other)))
    assert max(noise) < min(class_)


def test_embeddings_compare_directions():
    fingerprint = EmbeddingFingerprint(embed=lambda value: value)
    a, b, c = (fingerprint.of(v) for v in ([2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]))
    assert [fingerprint.distance(a, x) for x in (a, b, c)] == pytest.approx([0, 1, 2])
    with pytest.raises(InvalidArgument, match=r"not 0, got length 0.0"):
        fingerprint.of([0.0, 0.0])


def test_the_first_difference_is_found():
    assert first_difference("abc", "abd") == 2
    assert first_difference("abc", "abc") is None
    assert first_difference("ab", "abc") == 2
    assert first_difference("", "") is None


@pytest.mark.parametrize(
    ("image", "said"),
    [(np.zeros((8, 8)), r"got float64 \[8, 8\]"), (np.zeros((8, 8, 4), np.uint8), r"\[8, 8, 4\]")],
)
def test_what_is_no_image_is_refused(image, said):
    with pytest.raises(InvalidArgument, match=said):
        PerceptualHash().of(image)


def test_settings_out_of_range_are_refused():
    with pytest.raises(InvalidArgument, match="size must be 2 or more, got 1"):
        PerceptualHash(size=1)
    with pytest.raises(InvalidArgument, match="kind must be phash or dhash, got ahash"):
        PerceptualHash(kind="ahash")
