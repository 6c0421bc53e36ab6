"""One training of `Match`: the fake follows the student's draws, the student follows its rule.

Yin et al. 2024, "Improved Distribution Matching Distillation" (DMD2), arXiv:2405.14867, Section 4
(several steps of the fake for one of the student; the discriminator beside the fake's loss).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from genwright.core import child_seed
from genwright.generators.diffusion.denoiser import Denoiser, Guided
from genwright.generators.diffusion.drawing import device
from genwright.generators.diffusion.meter import Meter, size_of
from genwright.generators.diffusion.noise import Batch, Gaussian, KarrasUniform, Levels, LogNormal
from genwright.learning.denoising import denoising_loss
from genwright.learning.descent import descend
from genwright.learning.distillation.pairs import Pairs
from genwright.learning.distillation.parts import Stream
from genwright.learning.distillation.rules import Matched, rule_of
from genwright.learning.examples import Source
from genwright.learning.training import expect_finite, follow

if TYPE_CHECKING:
    from genwright.learning.distillation.matching import Match

WARMUP = 10
"""Steps of linear rise of the learning rate."""


class Networks(NamedTuple):
    """What a training begins with; all of it stays as it is.

    Args:
        teacher: a denoiser, exact or with weights.
        student: where the student starts.
        fake: where the fake starts.
        guidance: weight of classifier-free guidance of the teacher; 1 is none.
    """

    teacher: Any
    student: Denoiser
    fake: Denoiser
    guidance: float = 1.0


class Alternation:
    """The networks of one training, and its step.

    Args:
        match: the settings.
        begin: the networks.
        source: what a head tells the student's draws from, or None.
        pairs: for regression, or None.
        seed: of everything.
        meter: counts train units.

    Attributes:
        average: of the student's weights.
    """

    def __init__(
        self,
        match: "Match",
        begin: Networks,
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
        self.student, self.fake = self._copied(begin.student, True), self._copied(begin.fake, True)
        self.average = self._copied(begin.student, False).net
        self.frozen: list[nn.Module] = []
        self.teacher: Any = meter.counted(begin.teacher)
        if isinstance(begin.teacher, Denoiser):
            self.teacher = self._copied(begin.teacher, False)
            self.frozen = [self.teacher.net]
        if begin.guidance != 1:
            self.teacher = Guided(self.teacher, begin.guidance)
        self.head: nn.Module | None = None
        if match.head is not None:
            with torch.random.fork_rng(devices=()):
                torch.manual_seed(child_seed(seed, "head"))
                self.head = match.head.made_for(begin.fake).to(self.device)
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
