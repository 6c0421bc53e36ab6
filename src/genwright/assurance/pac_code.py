"""A program with holes that holds the right one, with a guarantee.

Instead of one program, `Calibrated.predict` returns a partial program, which stands for every
program that fills its holes. With probability at least 1 - delta over the calibration examples, the
right program is among them with probability at least 1 - epsilon, whatever the model is like; a
poor model only leaves larger holes. Choose it where a wrong program costs more than an incomplete
one: what is written can be relied on, what is left open is asked for.

It holds for examples that are exchangeable with the calibration examples. Several questions about
one database are not: split by database.

Khakhar et al. 2023, "PAC Prediction Sets for Large Language Models of Code", arXiv:2302.08703,
Sections 3 to 5. Ours: holes are matched by their place in the tree; too few calibration examples
are an error that names how many are needed, where the paper returns one hole for everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from genwright.assurance.nested_holes import Holes, NestedHoles, holes_in
from genwright.assurance.program_tree import ProgramTree
from genwright.core.statistics import k_max

HOLE = "??"


@dataclass(frozen=True)
class PartialProgram:
    """A program with holes; `str` shows it.

    Args:
        tree: the program that was predicted.
        kept: bool[nodes]; what is not kept is a hole.
    """

    tree: ProgramTree
    kept: NDArray[np.bool_]

    @property
    def holes(self) -> int:
        """How many subtrees are left open; 1 where everything is."""
        return holes_in(self.tree, self.kept) if self.kept.any() else 1

    @property
    def share_kept(self) -> float:
        """The share of the nodes that are kept; 0 for a program that cannot be parsed."""
        return float(self.kept.mean()) if len(self.kept) else 0.0

    def contains(self, program: str | ProgramTree) -> bool:
        """Tell whether a program fills the holes: equal to this one outside them."""
        other = self.tree.like(program) if isinstance(program, str) else program
        if not self.kept.any():
            return True
        if not len(other):
            return False
        todo = [(0, 0)]
        while todo:
            mine, theirs = todo.pop()
            if not self.kept[mine]:
                continue
            ours, others = self.tree.children[mine], other.children[theirs]
            if self.tree.nodes[mine].label != other.nodes[theirs].label:
                return False
            todo += zip(ours, others, strict=True)  # equal labels: equally many children
        return True

    def __str__(self) -> str:
        """The source, with `??` for each hole that had any text."""
        if not self.kept.any():
            return HOLE
        source, at, shown = self.tree.source.encode("utf-8", "replace"), 0, b""
        cut = [
            (node.start, node.end)
            for v, node in enumerate(self.tree.nodes)
            if not self.kept[v] and node.parent >= 0 and self.kept[node.parent]
        ]
        for start, end in sorted(span for span in cut if span[0] < span[1]):
            shown += source[at:start] + HOLE.encode()
            at = end
        return (shown + source[at:]).decode("utf-8", "replace")


@dataclass(frozen=True, kw_only=True)
class PACSet:
    """Calibrates how much of a program to leave open.

    Args:
        epsilon: the share of programs that may be missed, in (0, 1).
        delta: the chance that calibration was misled, in (0, 1).
        holes: where to cut. Settle it (the number of holes, the thresholds) before looking at the
            calibration examples.
    """

    epsilon: float = 0.2
    delta: float = 0.05
    holes: Holes = field(default_factory=NestedHoles)

    def calibrate(self, pairs: Sequence[tuple[ProgramTree, str]]) -> "Calibrated":
        """Choose the loosest threshold that misses few enough right programs.

        Args:
            pairs: predictions with their costs, each with the right program; none of them used to
                train the generator.

        Raises:
            InvalidArgument: epsilon or delta out of range, or too few pairs to prove anything.
        """
        allowed = k_max(len(pairs), self.epsilon, self.delta)
        missed = sum(
            (misses(self.holes, tree, right) for tree, right in pairs),
            np.zeros(len(self.holes.thresholds), dtype=np.int64),
        )
        return self.calibrate_misses(missed, allowed)

    def calibrate_misses(self, missed: NDArray[np.int64], allowed: int) -> "Calibrated":
        """Choose by the misses that were counted at each threshold, at most `allowed` of them.

        Misses grow with the threshold, as what is kept does: the choice is valid for all of them at
        once.
        """
        level = int(np.searchsorted(missed, allowed, side="right")) - 1
        return Calibrated(self, level, int(missed[level]) if level >= 0 else 0, allowed)


@dataclass(frozen=True)
class Calibrated:
    """A calibrated prediction set.

    Args:
        settings: what was asked for.
        level: the number of the threshold that was chosen; -1 where even the strictest misses too
            often, and everything is left open.
        missed: calibration programs that were missed at that threshold.
        allowed: how many might have been.
    """

    settings: PACSet
    level: int
    missed: int
    allowed: int

    def predict(self, tree: ProgramTree) -> PartialProgram:
        """Return the partial program of a prediction; one that cannot be parsed is all hole."""
        if self.level < 0:
            return PartialProgram(tree, np.zeros(len(tree), dtype=np.bool_))
        return PartialProgram(tree, self.settings.holes.solve(tree)[self.level])


def misses(holes: Holes, tree: ProgramTree, right: str) -> NDArray[np.int64]:
    """Return int[thresholds]: 1 where the partial program does not hold the right one."""
    other = tree.like(right)
    rows = holes.solve(tree)
    return np.array([not PartialProgram(tree, row).contains(other) for row in rows], dtype=np.int64)
