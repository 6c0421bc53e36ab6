"""Workers vote as enumeration says, honest draws pass, and cheaper or other ones are seen."""

from itertools import product

import numpy as np
import pytest

from genwright.assurance.consensus import Consensus, fraud_bound, vote_probability
from genwright.assurance.fingerprints import PerceptualHash
from genwright.core import Cost, InvalidArgument, Ledger, Samples, Task, child_seed, solve
from genwright.search.single import Single
from genwright.testing import Uniform

SETTINGS = {"prompt": "p", "seed": 3, "workers": (Uniform("abcdefgh"),) * 3}


@pytest.mark.parametrize(("n", "quorum"), [(3, 2), (1, 1), (5, 3), (4, 4)])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.7, 1.0])
def test_the_vote_is_what_enumeration_gives(p, n, quorum):
    votes = [v for v in product([0, 1], repeat=n) if sum(v) >= quorum]
    expected = sum(p ** sum(v) * (1 - p) ** (n - sum(v)) for v in votes)
    assert vote_probability(p, n, quorum) == pytest.approx(expected, abs=1e-12)


def test_three_workers_follow_the_published_formula():
    p = np.linspace(0, 1, 11)
    found = [vote_probability(value) for value in p]
    assert found == pytest.approx(p**3 + 3 * p**2 * (1 - p))


def test_workers_that_err_together_are_worth_less_than_the_formula_says():
    """Shared faults: a fifth of the inputs fools each worker with chance 0.5, the rest none.

    The formula takes p = 0.9 for each and promises 0.972; the vote reaches 0.2 * 0.5 + 0.8 = 0.9.
    100,000 votes, standard error 0.001: other seeds leave the band with chance < 1e-6.
    """
    rng = np.random.default_rng(0)
    chance = np.where(rng.random(100_000) < 0.2, 0.5, 1.0)
    votes = (rng.random((3, 100_000)) < chance).sum(axis=0) >= 2
    assert vote_probability(0.9) == pytest.approx(0.972)
    assert votes.mean() == pytest.approx(0.9, abs=0.006)


def test_the_promised_draw_passes_and_another_does_not():
    verifier = Consensus(**SETTINGS, index=5)
    honest = Uniform("abcdefgh").sample("p", 1, seed=3, first=5).values[0]
    others = [value for value in "abcdefgh" if value != honest]
    verdicts = verifier.check(Samples([honest, *others]))
    assert [v.passed for v in verdicts] == [True] + [False] * 7
    assert verdicts[0].evidence == {"distances": [0.0] * 3, "votes": 3, "limit": 0.0}
    assert verdicts[0].cost == Cost(draws=3, new_tokens=3, verifier_calls=1)
    assert verdicts[1].cost == Cost(verifier_calls=1)
    assert verifier.check(Samples()) == []


def test_a_quorum_outvotes_a_worker_that_errs():
    class Wrong:
        def sample(self, prompt, n, *, seed, first=0):
            return Samples(["?"] * n)

    honest = Uniform("abc").sample("p", 1, seed=3).values[0]
    for wrong, passes in ((0, True), (1, True), (2, False)):
        workers = (Wrong(),) * wrong + (Uniform("abc"),) * (3 - wrong)
        (verdict,) = Consensus(prompt="p", seed=3, workers=workers).check(Samples([honest]))
        assert verdict.passed is passes
        assert verdict.score == pytest.approx((3 - wrong) / 3)


class Blobs:
    """Images from smooth noise: each step of refinement adds detail, as a sampler's steps do."""

    def __init__(self, steps, noise):
        self.steps, self.noise = steps, noise

    def sample(self, prompt, n, *, seed, first=0):
        images = []
        for k in range(first, first + n):
            rng = np.random.default_rng(child_seed(seed, k))
            image = np.zeros((32, 32))
            for step in range(self.steps):
                cells = 2 ** (step + 1)
                detail = rng.normal(size=(cells, cells)) / 1.4**step
                image += np.kron(detail, np.ones((32 // cells, 32 // cells)))
            machine = np.random.default_rng([self.noise, k])  # what differs between machines
            image = 127 + 40 * image + machine.normal(0, 0.5, image.shape)
            images.append(np.clip(np.round(image), 0, 255).astype(np.uint8))
        return Samples(images)


def test_a_cheaper_run_is_seen_and_an_honest_one_accepted():
    """Half the steps, the same seed: the hardest forgery. The rates are printed with the test."""
    accepted = {"honest": 0, "half the steps": 0, "another seed": 0}
    for index in range(60):
        verifier = Consensus(
            prompt="",
            seed=7,
            index=index,
            workers=tuple(Blobs(4, noise) for noise in (1, 2, 3)),
            fingerprint=PerceptualHash(size=8),
            limit=4,
        )
        claims = {
            "honest": Blobs(4, 9).sample("", 1, seed=7, first=index),
            "half the steps": Blobs(2, 9).sample("", 1, seed=7, first=index),
            "another seed": Blobs(4, 9).sample("", 1, seed=8, first=index),
        }
        for name, claim in claims.items():
            accepted[name] += verifier.check(claim)[0].passed is True
    print(accepted)
    assert accepted["honest"] == 60
    assert accepted["half the steps"] == 0
    assert accepted["another seed"] == 0


def test_claims_and_verdicts_are_in_the_ledger():
    book = Ledger()
    worker = Uniform("abcdefgh")
    promised = child_seed(child_seed(0, "job"), 0)
    task = Task("p", Consensus(prompt="p", seed=promised, workers=(worker,) * 3), "job")
    solve([task], worker, Single(), ledger=book, run_id="r", seed=0)
    (judged,) = book.run("r").verdicts()
    assert judged.verdict.evidence["limit"] == 0.0
    assert len(judged.verdict.evidence["distances"]) == 3


@pytest.mark.parametrize(("p", "n", "stake", "gain"), [(0.5, 1, 10.0, 10.0), (0.5, 2, 12.0, 18.0)])
def test_faking_pays_nothing_at_the_bound(p, n, stake, gain):
    assert fraud_bound(p, n, stake) == pytest.approx(gain)
    unseen = (1 - p) ** n
    assert n * gain * unseen - stake * (1 - unseen) == pytest.approx(0)


def test_a_fake_that_is_always_seen_never_pays_and_one_never_checked_does():
    assert fraud_bound(1.0, 1, 5.0) == np.inf
    assert fraud_bound(0.0, 3, 5.0) == 0.0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Consensus(prompt="p", seed=0, workers=()), r"quorum must be in 1..0 \(the work"),
        (lambda: Consensus(**SETTINGS, quorum=4), r"quorum must be in 1..3 \(the workers\), got 4"),
        (
            lambda: Consensus(**SETTINGS, fingerprint="phase").check(Samples(["a"])),
            "got 'phase'. Did you mean 'phash'",
        ),
        (lambda: vote_probability(1.1), r"p must be in \[0, 1\]"),
        (lambda: vote_probability(0.5, 3, 0), "quorum in 1..3, got 0.5 and 0"),
        (lambda: fraud_bound(0.5, 0, 1.0), "n of 1 or more"),
    ],
)
def test_values_out_of_range_are_refused(make, said):
    with pytest.raises(InvalidArgument, match=said):
        make()
