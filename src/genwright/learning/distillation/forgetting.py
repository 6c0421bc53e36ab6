"""Forgetting classes while distilling: the student is taught to take them for safe ones.

Choose it to make a fast generator that has lost some classes, without any data: in every step the
fake's score of a forgotten class is matched to the teacher's score of another.

Chen et al. 2024, "Score Forgetting Distillation", arXiv:2409.11219, Algorithm 1; weight 0.01 is
that of the published CIFAR-10 configuration, for 50,000 steps. The method is
`Match(rule=Sid(), fake_per_step=1, streams=forget(...))`.
Ours: the fake is trained under EDM's weights of levels, not on epsilon with equal ones; the
gradient's length is clipped, not its numbers; the forgotten classes, whose loss has little weight,
take a quarter of a batch beside the others' whole one.
"""

from collections.abc import Iterable

from genwright.core import InvalidArgument
from genwright.learning.distillation.parts import Stream


def forget(
    classes: Iterable[int],
    *,
    of: int,
    override: int | None = None,
    weight: float = 0.01,
    fake_weight: float = 0.01,
    share: float = 0.25,
) -> tuple[Stream, ...]:
    """Return the streams of a student that forgets classes.

    Args:
        classes: to be forgotten.
        of: how many classes there are.
        override: the class that the teacher is asked for instead; None is a random remaining one.
        weight: of the forgotten classes in the student's loss.
        fake_weight: of the forgotten classes in the fake's loss.
        share: of a batch that the forgotten classes take.

    Raises:
        InvalidArgument: no class or all of them, one that does not exist, or an override that is
            itself forgotten.
    """
    gone = tuple(sorted(set(classes)))
    kept = tuple(c for c in range(of) if c not in gone)
    if not gone or not kept:
        raise InvalidArgument(f"forget: give some of the {of} classes, not {len(gone)} of them.")
    for name in (*gone, *(() if override is None else (override,))):
        if not 0 <= name < of:
            raise InvalidArgument(f"forget: there is no class {name}; classes are 0 to {of - 1}.")
    if override in gone:
        raise InvalidArgument(f"forget: the override {override} is forgotten itself.")
    other = kept if override is None else (override,)
    return (
        Stream(classes=kept),
        Stream(classes=gone, teacher=other, weight=weight, fake_weight=fake_weight, share=share),
    )
