"""Several one-step students of one teacher, each with a part of the conditions.

Choose it where one small student cannot hold all conditions: capacity grows with the number of
students and the time of a draw does not, since only the owner of a condition runs.

Song et al. 2024, "Multi-student Diffusion Distillation for Better One-step Generators",
arXiv:2410.23274, Sections 4.1 (consecutive blocks of classes) and 4.3 (teacher score matching, for
students that are smaller than the teacher and cannot copy its weights). Each student has a fake of
its own. Regression on pairs, where `match` asks for it, is not restricted to the part, as the paper
found that restricting it hurts.
Ours: the train units of `match` are for all students together and split evenly.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from genwright.core import InvalidArgument, child_seed, method
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.meter import Meter, size_of
from genwright.generators.diffusion.routed import Routed
from genwright.generators.diffusion.stored import opened
from genwright.learning.course import trainable
from genwright.learning.denoising import DenoisingLearner
from genwright.learning.descent import Watch
from genwright.learning.distillation.matching import Match
from genwright.learning.distillation.parts import Stream
from genwright.learning.examples import Part


@method(paper="arXiv:2410.23274")
@dataclass(frozen=True, kw_only=True)
class MultiStudent:
    """Distil a conditional `DiffusionModel` into `k` one-step students behind one `Routed`.

    Args:
        match: how each student is distilled; its `units` are for all of them together.
        k: students; 1 is plain `Match`.
        by: how classes are split: "blocks", or a function from a class to the number of a student.
        matching: draws that each student first learns the teacher's scores on (teacher score
            matching), 0 for none; needs data, and is charged to the units.
        matching_rate: learning rate of that stage.
        folder: where the students go, one folder each; "" keeps them in memory. A killed training
            repeats no finished student.

    Raises:
        InvalidArgument: fewer than one student, or an unknown way to split.
    """

    match: Match = field(default_factory=Match)
    k: int = 4
    by: Any = "blocks"
    matching: int = 0
    matching_rate: float = 3e-3
    folder: str = ""

    def __post_init__(self) -> None:
        if self.k < 1 or self.matching < 0 or not self.matching_rate > 0:
            raise InvalidArgument(
                "MultiStudent: k must be 1 or more, matching 0 or more, matching_rate above 0."
            )
        if self.by != "blocks" and not callable(self.by):
            raise InvalidArgument(
                f"MultiStudent: by must be 'blocks' or a function, got {self.by!r}."
            )

    def fit(
        self,
        generator: DiffusionModel,
        data: Any = None,
        *,
        seed: int,
        watch: Watch | None = None,
        meter: Meter | None = None,
    ) -> Routed:
        """Return the students behind one generator.

        Args:
            generator: the teacher.
            data: for teacher score matching and for a discriminator; each student gets what
                belongs to its classes.
            seed: student j takes `child_seed(seed, j)`, but one alone the seed itself.
            watch: told the losses, students in turn.
            meter: counts train units of all students.

        Raises:
            InvalidArgument: a teacher without as many classes as students, no data to match on.
            TrainingError: as for `Match`.
        """
        teacher = opened(generator.denoiser)
        if teacher.classes < self.k:
            raise InvalidArgument(
                f"MultiStudent: {self.k} students need as many classes, got {teacher.classes}."
            )
        if self.matching and data is None:
            raise InvalidArgument("MultiStudent: teacher score matching needs data; give some.")
        if meter is None:
            own = self.match.student
            start = trainable(generator.denoiser if own is None else own)
            meter = Meter(teacher.net if isinstance(teacher, Denoiser) else start.net)
        parts = partition(range(teacher.classes), self.k, by=self.by)
        students = [
            self._student(j, part, generator, teacher, data, seed, watch, meter)
            for j, part in enumerate(parts)
        ]
        return Routed(generators=tuple(students), prompts=tuple(parts))

    def _student(
        self,
        j: int,
        part: tuple[int, ...],
        generator: DiffusionModel,
        teacher: Any,
        data: Any,
        seed: int,
        watch: Watch | None,
        meter: Meter,
    ) -> Any:
        own = seed if self.k == 1 else child_seed(seed, j)
        folder = f"{self.folder}/{j}" if self.folder else ""
        learner = replace(self.match, streams=(Stream(classes=part),), folder=folder)
        own_data, own_meter = None if data is None else Part(data, part), Meter(meter.parameters)
        if self.matching:
            begin = generator.denoiser if learner.student is None else learner.student
            matcher = DenoisingLearner(
                folder=f"{folder}/matched" if folder else "",
                steps=max(1, self.matching // learner.batch),
                batch=learner.batch,
                learning_rate=self.matching_rate,
                target=teacher,
            )
            student = replace(generator, denoiser=begin)
            found = matcher.fit(student, own_data, seed=own, watch=watch)
            learner = replace(learner, student=found.denoiser)
            # computed, not counted: a stage that an earlier process finished was paid for as well
            drawn, size = matcher.steps * matcher.batch, size_of(trainable(begin).net)
            own_model = isinstance(teacher, Denoiser)
            own_meter.add(drawn, False, True, size)
            own_meter.add(drawn, False, False, size_of(teacher.net) if own_model else None)
        if learner.units:
            learner = replace(learner, units=self.match.units / self.k)
        found = learner.fit(generator, own_data, seed=own, watch=watch, meter=own_meter)
        meter.units += own_meter.units
        meter.evaluations += own_meter.evaluations
        return found


def partition(
    conditions: Iterable[Any], k: int, *, by: str | Callable[[Any], Hashable] = "blocks"
) -> list[tuple[Any, ...]]:
    """Split conditions into k parts; the order in which they are given does not matter.

    Args:
        conditions: such as classes; sorted first.
        k: parts.
        by: "blocks" of consecutive ones, sizes as even as can be, or a function whose k values
            name the parts.

    Raises:
        InvalidArgument: fewer conditions than parts, a condition twice, or a function with another
            number of values.
    """
    known = sorted(conditions)
    if len(set(known)) < len(known):
        raise InvalidArgument("partition: a condition is given twice.")
    if not 1 <= k <= len(known):
        raise InvalidArgument(f"partition: k must be 1 to {len(known)}, got {k}.")
    if callable(by):
        parts: dict[Any, list[Any]] = {}
        for condition in known:
            parts.setdefault(by(condition), []).append(condition)
        if len(parts) != k:
            raise InvalidArgument(f"partition: the function makes {len(parts)} parts, not {k}.")
        return [tuple(parts[name]) for name in sorted(parts, key=str)]
    cuts = [len(known) * j // k for j in range(k + 1)]
    return [tuple(known[a:b]) for a, b in pairwise(cuts)]
