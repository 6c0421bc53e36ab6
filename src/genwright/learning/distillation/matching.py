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

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from genwright.core import InvalidArgument, child_seed, method
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.diffusion_model import DiffusionModel
from genwright.generators.diffusion.drawing import device
from genwright.generators.diffusion.meter import Meter, size_of
from genwright.generators.diffusion.noise import Batch, Gaussian, KarrasUniform, Levels, LogNormal
from genwright.generators.diffusion.one_step import OneStep
from genwright.generators.diffusion.stored import opened
from genwright.learning.course import (
    expect_settings,
    finished,
    identity_of,
    kept,
    trainable,
    weights_of,
)
from genwright.learning.denoising import denoising_loss
from genwright.learning.descent import descend
from genwright.learning.distillation.pairs import Pairs, ode_pairs
from genwright.learning.distillation.parts import GanHead, Regression, Stream
from genwright.learning.distillation.rules import Matched, rule_of
from genwright.learning.examples import Source, source_of
from genwright.learning.training import Watch, expect_finite, follow, train

WARMUP = 10
"""Steps of linear rise of the learning rate."""


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
            generator: the teacher; it stays as it is.
            data: what a head tells the student's draws from (`learning.examples`); read only with
                a head.
            seed: of everything.
            watch: told the losses of every step.
            meter: counts train units; one whose unit is the teacher's forward pass, or the
                student's where the teacher is exact, is made where none is given.

        Raises:
            InvalidArgument: an exact teacher without a student, or data that does not fit.
            TrainingError: a loss that is not finite; a checkpoint of another configuration.
        """
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
        identity = identity_of(self, *told, without=("student", "fake"))
        if finished(self.folder, identity):
            return OneStep(denoiser=self.folder, sigma_init=self.sigma_init)
        if meter is None:
            meter = Meter(teacher.net if isinstance(teacher, Denoiser) else start.net)
        pairs = None
        if self.pairs is not None:
            pairs = ode_pairs(generator, self.pairs.n, seed=seed, meter=meter)
        work = _Training(self, teacher, start, fake, source, pairs, seed, meter)
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


class _Training:
    """The networks of one training, and its step."""

    def __init__(
        self,
        match: Match,
        teacher: Any,
        start: Denoiser,
        fake: Denoiser,
        source: Source | None,
        pairs: Pairs | None,
        seed: int,
        meter: Meter,
    ) -> None:
        self.match, self.source, self.pairs = match, source, pairs
        self.seed, self.meter = seed, meter
        self.device = device()
        self.rule = None if match.rule is None else rule_of(match.rule)
        self.streams = [s for s in match.streams or (Stream(),) if s.weight or s.fake_weight]
        self.sizes = [max(1, int(match.batch * s.share)) for s in self.streams]
        self.student, self.fake = self._copied(start, True), self._copied(fake, True)
        self.average = self._copied(start, False).net
        self.frozen: list[nn.Module] = []
        self.teacher = meter.counted(teacher)
        if isinstance(teacher, Denoiser):
            self.teacher = self._copied(teacher, False)
            self.frozen = [self.teacher.net]
        self.head: nn.Module | None = None
        if match.head is not None:
            with torch.random.fork_rng(devices=()):
                torch.manual_seed(child_seed(seed, "head"))
                self.head = match.head.made_for(fake).to(self.device)
        told = list(self.head.parameters()) if self.head is not None else []
        self.fake_weights = [*self.fake.net.parameters(), *told]
        self.optimizers = [
            torch.optim.AdamW(w, betas=match.betas, weight_decay=0.0, fused=True)
            for w in (list(self.student.net.parameters()), self.fake_weights)
        ]

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        found: dict[str, Any] = {
            "student": self.student.net,
            "average": self.average,
            "fake": self.fake.net,
            "student's optimizer": self.optimizers[0],
            "fake's optimizer": self.optimizers[1],
            "meter": self.meter,
        }
        return found if self.head is None else found | {"head": self.head}

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count every forward pass."""
        with self.meter.watching(self.student.net, self.fake.net, *self.frozen):
            yield

    def step(self, i: int) -> dict[str, float]:
        """Train the fake, then the student; return their losses."""
        told: dict[str, float] = {}
        if self.rule is not None:
            for j in range(self.match.fake_per_step):
                told["fake loss"] = self._fake_step(i, j)
        told["student loss"] = self._student_step(i)
        return told

    def _fake_step(self, i: int, j: int) -> float:
        """Move the fake towards the denoiser of the student's draws, and the head along with it."""
        z, cond, _, rng = self._drawn("fake", i, j)
        with torch.no_grad():
            x_0 = self.student(z, self.match.sigma_init, cond)
        x, sigma = self._noised(x_0, self.match.fake_sigmas or LogNormal(), rng)
        losses = denoising_loss(self.fake, x_0, x, sigma, cond)
        expect_finite(losses, sigma, "fake's loss")
        loss = self._over_streams(losses, [s.fake_weight for s in self.streams])
        if self.match.head is not None and self.source is not None:
            real, kinds = self.source.batch(self.match.batch, rng)
            real, law = real.to(x), self.match.fake_sigmas or LogNormal()
            levels = law.sample(len(real), rng).to(x)
            seen = real + Gaussian().sample(real.shape, levels, rng)
            kinds = None if kinds is None else kinds.to(self.device)
            judged = softplus(self._logits(x, sigma, cond)).mean()
            judged = judged + softplus(-self._logits(seen, levels, kinds)).mean()
            loss = loss + self.match.head.weight_head * judged
        return self._descend(loss, self.fake_weights, 1, i)

    def _student_step(self, i: int) -> float:
        """Move the student by the rule, the head and the pairs; fake and head stay."""
        match = self.match
        self.fake.net.requires_grad_(False)
        z, cond, other, rng = self._drawn("student", i, 0)
        loss = z.new_zeros(())
        if self.rule is not None:
            x_0 = self.student(z, match.sigma_init, cond)
            levels = match.student_sigmas or KarrasUniform()
            x, sigma = self._noised(x_0, levels, rng)
            logits = None if self.head is None else self._logits(x, sigma, cond)
            with torch.set_grad_enabled(self.rule.through_x):
                real, fake = self.teacher(x, sigma, other), self.fake(x, sigma, cond)
            losses = self.rule(Matched(x_0, x, sigma, real, fake, logits))
            if match.head is not None and logits is not None:
                size = x_0[0].numel()  # the published weight stands beside a mean over numbers
                losses = losses + match.head.weight_student * size * softplus(-logits)
            expect_finite(losses, sigma, "student's loss")
            loss = self._over_streams(losses, [s.weight for s in self.streams])
        if match.pairs is not None and self.pairs is not None:
            noise, ends, kinds = self.pairs.batch(match.batch, rng)
            kinds = None if kinds is None else kinds.to(self.device)
            at = match.sigma_init * noise.to(self.device)
            error = self.student(at, match.sigma_init, kinds) - ends.to(self.device)
            losses = error.flatten(1).square().sum(1)
            expect_finite(losses, at.new_full((len(at),), match.sigma_init), "regression's loss")
            loss = loss + match.pairs.weight * losses.mean()
        value = self._descend(loss, list(self.student.net.parameters()), 0, i)
        self.fake.net.requires_grad_(True)
        follow(self.average, self.student.net, i, match.ema)
        return value

    def _drawn(self, what: str, i: int, j: int) -> tuple[Tensor, Any, Any, Batch]:
        """Return the student's noise, its conditions, the teacher's, and a stream for more.

        Streams share noise and, where they have the same classes, conditions: what they differ in
        is then all that makes their losses differ.
        """
        rng = Batch(self.seed, what, i, j)
        weight = next(self.student.net.parameters())
        n = Gaussian().sample((self.match.batch, *self.student.shape), weight.new_ones(()), rng)
        z = self.match.sigma_init * self._for_each(n)
        conds = [
            s.draw(size, self.student.classes, Batch(self.seed, what, i, j, "classes"))
            for s, size in zip(self.streams, self.sizes, strict=True)
        ]
        if not self.student.classes:
            return z, None, None, rng
        own, other = (torch.cat(column).to(self.device) for column in zip(*conds, strict=True))
        return z, own, other, rng

    def _noised(self, x_0: Tensor, levels: Levels, rng: Batch) -> tuple[Tensor, Tensor]:
        """Return x = x_0 + sigma n and sigma [B]; streams share both."""
        n = self.match.batch
        sigma = levels.sample(n, rng).to(x_0)
        noise = Gaussian().sample((n, *x_0.shape[1:]), sigma, rng)
        return x_0 + self._for_each(noise), self._for_each(sigma)

    def _for_each(self, rows: Tensor) -> Tensor:
        """Return the rows of a batch once for each stream, as many as it takes."""
        if self.sizes == [len(rows)]:
            return rows
        return torch.cat([rows[:size] for size in self.sizes])

    def _logits(self, x: Tensor, sigma: Tensor, cond: Tensor | None) -> Tensor:
        """Return the head's logits [B]; the pass through the fake's trunk counts as a whole one."""
        if self.match.head is None or self.head is None:
            raise AssertionError("logits without a head")
        trained = next(self.fake.net.parameters()).requires_grad
        self.meter.add(len(x), x.requires_grad, trained, size_of(self.fake.net))
        return self.head(self.match.head.features(self.fake, x, sigma, cond))[:, 0]

    def _over_streams(self, losses: Tensor, weights: list[float]) -> Tensor:
        """Return the sum over streams of weight times mean loss."""
        means = torch.stack([part.mean() for part in losses.split(self.sizes)])
        return (means * means.new_tensor(weights)).sum()

    def _descend(self, loss: Tensor, weights: list[Any], which: int, i: int) -> float:
        rate = self.match.learning_rate if which == 0 else self.match.fake_rate
        rate = (rate or self.match.learning_rate) * min(1.0, (i + 1) / WARMUP)
        return descend(
            loss, weights, self.optimizers[which], step=i, rate=rate, clip=self.match.clip
        )

    def _copied(self, denoiser: Denoiser, trained: bool) -> Denoiser:
        net = deepcopy(denoiser.net).to(self.device).requires_grad_(trained)
        return replace(denoiser, net=net.train(trained))
