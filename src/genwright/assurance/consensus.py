"""Check a draw by drawing it again: several workers rerun it, and a majority decides.

`Consensus` is a verifier for work that somebody else did: it knows the prompt, the seed and the
index that the draw was promised for, lets its own workers make that draw, and accepts what is
within a tolerance of at least `quorum` of theirs. Choose it where a model runs on machines that you
do not trust; where you trust them, checking the draw itself is cheaper and says more.

Kim et al. 2023, "Generative Artificial Intelligence Consensus in a Trustless Network",
arXiv:2307.01898: three verifiers, of whom two must agree, and the chance p^3 + 3 p^2 (1 - p) that
they do where each agrees with probability p. Ours: `fraud_bound`, and any number of workers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import bdtrc  # pyright: ignore

from genwright.assurance.fingerprints import Fingerprint, find_fingerprint
from genwright.core import Cost, Generator, InvalidArgument, Samples, Verdict, method


@method(paper="arXiv:2307.01898")
@dataclass(frozen=True, kw_only=True)
class Consensus:
    """Accept a draw that enough workers come to as well.

    Workers that share a machine, a library or a bug are wrong together: the chances that
    `vote_probability` gives are for workers that are not.

    Args:
        prompt: what the draw was promised for.
        seed: of the draw.
        workers: generators that make it again, each its own way.
        index: number of the draw under that seed.
        fingerprint: what is compared: a fingerprint, or the name of one (`tokens`, `edits`,
            `phash`, `dhash`).
        limit: the largest distance that counts as the same; see `Tolerance`.
        quorum: how many workers must agree.

    Raises:
        InvalidArgument: no workers, or a quorum that they cannot reach.
    """

    prompt: Any
    seed: int
    workers: Sequence[Generator[Any]]
    index: int = 0
    fingerprint: str | Fingerprint = "tokens"
    limit: float = 0.0
    quorum: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "workers", tuple(self.workers))  # task files bring lists
        if not 1 <= self.quorum <= len(self.workers):
            raise InvalidArgument(
                f"Consensus: quorum must be in 1..{len(self.workers)} (the workers), got "
                f"{self.quorum}."
            )

    def check(self, samples: Samples[Any]) -> list[Verdict]:
        """Return one verdict a draw; the reruns are made once, and the first verdict pays them.

        A verdict's score is the share of workers that agree; its evidence holds every distance.
        """
        if not len(samples):
            return []
        again = [
            worker.sample(self.prompt, 1, seed=self.seed, first=self.index)
            for worker in self.workers
        ]
        fingerprint = find_fingerprint(self.fingerprint)
        known = [fingerprint.of(drawn.values[0]) for drawn in again]
        spent = sum((drawn.cost for drawn in again), Cost())
        verdicts: list[Verdict] = []
        for position, value in enumerate(samples.values):
            mine = fingerprint.of(value)
            distances = [fingerprint.distance(mine, theirs) for theirs in known]
            votes = sum(distance <= self.limit for distance in distances)
            verdicts.append(
                Verdict(
                    passed=votes >= self.quorum,
                    score=votes / len(distances),
                    evidence={"distances": distances, "votes": votes, "limit": self.limit},
                    cost=Cost(verifier_calls=1) + (Cost() if position else spent),
                )
            )
        return verdicts


def vote_probability(p: float, n: int = 3, quorum: int = 2) -> float:
    """Return the chance that at least `quorum` of n independent workers agree.

    For n = 3 and quorum 2 it is p^3 + 3 p^2 (1 - p).

    Args:
        p: chance that one agrees.
        n: workers.
        quorum: how many must agree, 1 to n.

    Raises:
        InvalidArgument: values out of range.
    """
    if not (0 <= p <= 1 and 1 <= quorum <= n):
        raise InvalidArgument(
            f"vote_probability: p must be in [0, 1] and quorum in 1..{n}, got {p} and {quorum}."
        )
    return 1.0 if p == 1 else float(bdtrc(quorum - 1, n, p))


def fraud_bound(p_check: float, n: int, stake: float) -> float:
    """Return the largest gain from one faked draw at which faking n of them does not pay.

    A worker that fakes n draws stays unseen with probability q = (1 - p_check)^n and then gains n
    times the amount; otherwise it loses its stake and gains nothing. Faking pays nothing on average
    up to a gain of stake (1 - q) / (n q). Infinite where it is always seen.

    Args:
        p_check: chance that a faked draw is checked and rejected, in [0, 1].
        n: faked draws, 1 or more.
        stake: what is lost when one of them is seen, 0 or more.

    Raises:
        InvalidArgument: values out of range.
    """
    if not (0 <= p_check <= 1 and n >= 1 and stake >= 0):
        raise InvalidArgument(
            "fraud_bound: needs p_check in [0, 1], n of 1 or more and a stake of 0 or more, got "
            f"{p_check}, {n}, {stake}."
        )
    unseen = (1 - p_check) ** n
    return float("inf") if unseen == 0 else stake * (1 - unseen) / (n * unseen)
