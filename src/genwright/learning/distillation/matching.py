"""Distillation into one step by matching the laws of noised draws: one trainer, several rules.

Choose it to make a `OneStep` of a `DiffusionModel`. Three networks: the teacher, frozen; the fake,
a denoiser of the student's own draws; the student, x_0 = G(sigma_init n). Each step trains the fake
on fresh draws and then moves the student by a rule that compares what fake and teacher say.

    reverse_kl                  DMD, DMD2, multi-student distillation
    f_divergence                f-distill; needs a discriminator, hence data
    sid                         SiD, score forgetting distillation (with `forgetting.forget`)
    score_implicit              SIM

Yin et al. 2024, DMD2, arXiv:2405.14867; the rules' papers are named in `rules.py`. Defaults that
the papers share: no first moment in Adam, levels of the student uniform on the Karras curve, those
of the fake log-normal.
Ours: a constant learning rate after a short rise; the gradient's length is clipped in all of them;
streams share their noise.
"""

from dataclasses import dataclass, replace
from typing import Any

from genwright.core import InvalidArgument, method
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.meter import Meter
from genwright.generators.diffusion.noise import Levels
from genwright.generators.diffusion.one_step import OneStep
from genwright.generators.diffusion.stored import opened
from genwright.learning.course import (
    expect_gaussian,
    expect_settings,
    finished,
    identity_of,
    kept,
    trainable,
    weights_of,
)
from genwright.learning.descent import Watch
from genwright.learning.distillation.alternation import Alternation, Networks
from genwright.learning.distillation.pairs import ode_pairs
from genwright.learning.distillation.parts import GanHead, Regression, Stream
from genwright.learning.distillation.rules import rule_of
from genwright.learning.examples import source_of
from genwright.learning.training import train


@method(paper="arXiv:2405.14867")
@dataclass(frozen=True, kw_only=True)
class Match:
    """Distil a `DiffusionModel` into a `OneStep`.

    Args:
        rule: the student's loss, or the name of one of `rules.RULES`; None leaves `pairs` alone.
        student: a denoiser or its folder to start the student from; None takes the teacher's,
            which an exact teacher does not have.
        fake: a denoiser or its folder to start the fake from; None takes the teacher's, or the
            student's where the teacher is exact.
        streams: parts of the conditions with weights of their own; () is one of all classes.
        sigma_init: level of noise at which the student reads its noise.
        fake_per_step: steps of the fake for one of the student; DMD2 takes 5, SiD 1.
        student_sigmas: law of the levels at which laws are compared; None is
            `KarrasUniform(0, 0.8)`.
        fake_sigmas: law of the levels at which the fake is trained; None is
            `LogNormal(-1.2, 1.2)`.
        head: a discriminator, or None; with one, `fit` needs data.
        pairs: regression on the teacher's own sampler, or None.
        steps: of the student, at most.
        units: train units after which training ends (`Meter`); 0 is no limit.
        batch: draws a step and stream.
        learning_rate: of student, fake and head.
        fake_rate: of fake and head, where it differs.
        betas: of Adam.
        clip: longest gradient.
        ema: how much of its running average the student keeps each step; the average is returned.
        folder: where the new denoiser and its checkpoint go; "" keeps it in memory.
        save_every: steps between checkpoints; a killed training goes on from the last one.

    Raises:
        InvalidArgument: a number out of its range, or a rule that lacks what it needs.
    """

    rule: Any = "reverse_kl"
    student: Any = None
    fake: Any = None
    streams: tuple[Stream, ...] = ()
    sigma_init: float = 2.5
    fake_per_step: int = 5
    student_sigmas: Levels | None = None
    fake_sigmas: Levels | None = None
    head: GanHead | None = None
    pairs: Regression | None = None
    steps: int = 1000
    units: float = 0.0
    batch: int = 256
    learning_rate: float = 1e-4
    fake_rate: float | None = None
    betas: tuple[float, float] = (0.0, 0.999)
    clip: float = 10.0
    ema: float = 0.99
    folder: str = ""
    save_every: int = 200

    def __post_init__(self) -> None:
        expect_settings(self)
        if self.fake_per_step < 1 or not self.units >= 0:
            raise InvalidArgument("Match: fake_per_step must be 1 or more, units 0 or more.")
        if not min(self.sigma_init, self.fake_rate or 1.0, self.clip) > 0:
            raise InvalidArgument("Match: sigma_init, fake_rate and clip must be above 0.")
        rule = None if self.rule is None else rule_of(self.rule)
        if rule is None and self.pairs is None:
            raise InvalidArgument("Match: without a rule it needs pairs to learn from.")
        if rule is not None and rule.needs_head and self.head is None:
            raise InvalidArgument(
                f"Match: {type(rule).__name__} reads a density ratio from a discriminator; add "
                "head=GanHead()."
            )

    def fit(
        self,
        generator: DiffusionModel,
        data: Any = None,
        *,
        seed: int,
        watch: Watch | None = None,
        meter: Meter | None = None,
    ) -> OneStep:
        """Return the one-step student; a training that was cut off goes on.

        Args:
            generator: the teacher, with its guidance; it stays as it is. Its noise is Gaussian.
            data: what a head tells the student's draws from (`learning.examples`); read only with
                a head.
            seed: of everything.
            watch: told the losses of every step.
            meter: counts train units; one whose unit is the teacher's forward pass, or the
                student's where the teacher is exact, is made where none is given.

        Raises:
            InvalidArgument: an exact teacher without a student, another noise, or data that does
                not fit.
            TrainingError: a loss that is not finite; a checkpoint of another configuration.
        """
        expect_gaussian(self, generator)
        teacher = opened(generator.denoiser)
        if self.student is None and not isinstance(teacher, Denoiser):
            raise InvalidArgument(
                f"Match: a {type(teacher).__name__} has no weights to start from; give student=."
            )
        start = trainable(generator.denoiser if self.student is None else self.student)
        fake = start if self.fake is None else trainable(self.fake)
        if self.fake is None and isinstance(teacher, Denoiser):
            fake = teacher
        source = source_of(data, start.shape, start.classes) if self.head else None
        told = [*(weights_of(d) for d in (teacher, start, fake)), seed]
        told += [source.identity] if source else []
        guidance = generator.guidance if start.classes else 1.0
        told += [guidance] if guidance != 1 else []
        identity = identity_of(self, *told, without=("student", "fake"))
        if finished(self.folder, identity):
            return OneStep(denoiser=self.folder, sigma_init=self.sigma_init)
        if meter is None:
            meter = Meter(teacher.net if isinstance(teacher, Denoiser) else start.net)
        pairs = None
        if self.pairs is not None:
            pairs = ode_pairs(generator, self.pairs.n, seed=seed, meter=meter)
        networks = Networks(teacher, start, fake, guidance)
        work = Alternation(self, networks, source, pairs, seed, meter)
        with work.counted():
            train(
                work.step,
                work.parts,
                steps=self.steps,
                identity=identity,
                folder=self.folder,
                save_every=self.save_every,
                watch=watch,
                enough=lambda: 0 < self.units <= meter.units,
            )
        found = replace(start, net=work.average.eval())
        return OneStep(denoiser=kept(found, self.folder, identity), sigma_init=self.sigma_init)
