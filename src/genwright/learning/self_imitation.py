"""Train a model on its own draws that a critic accepted, round after round.

Choose it where a model is right now and then and a critic can tell when: it then becomes right
more often when it is drawn from plainly, without steering and without the critic. Show the control
beside it: the same learner on draws that nobody filtered (`critic=None`) learns their length and
style too.

Bhagavatula et al. 2022, "I2D2: Inductive Knowledge Distillation with NeuroLogic and
Self-Imitation", arXiv:2212.09246, Section 2.3: draws under constraints (`NeurologicBeam`) are
filtered, the model is tuned on what is left, and the tuned model makes the next round's draws; the
paper makes two rounds. Ours: LoRA through `Supervised`, trained on from the current weights.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from genwright.core import Generator, InvalidArgument, TrainingError, Verifier, child_seed, method
from genwright.generators.language.local import LocalLM
from genwright.learning.descent import Watch
from genwright.learning.supervised import Supervised

Row = Mapping[str, Any]

WORKERS = 16
"""Prompts that are drawn for together, so that their draws share the steps of the network."""


@method(paper="arXiv:2212.09246")
@dataclass(frozen=True, kw_only=True)
class SelfImitation:
    """Draw, filter, train; again.

    Args:
        learner: trains one round; the rounds' models go into folders below its own.
        critic: what a draw must pass: a verifier, or a function from a row to one. None keeps every
            draw, which is the control.
        decode: makes, for the current model and a row, what is drawn from, such as a
            `NeurologicBeam`; None draws from the model itself.
        rounds: how often. The paper's is 2.
        draws: for each prompt and round.
        ending: set after each completion that is trained on, such as a line break that ends draws.

    Raises:
        InvalidArgument: `rounds` or `draws` below 1.
    """

    learner: Supervised
    critic: Verifier[str] | Callable[[Row], Verifier[str]] | None = None
    decode: Callable[[LocalLM, Row], Generator[str]] | None = None
    rounds: int = 2
    draws: int = 10
    ending: str = ""

    def __post_init__(self) -> None:
        for name in ("rounds", "draws"):
            if getattr(self, name) < 1:
                raise InvalidArgument(
                    f"SelfImitation: {name} must be 1 or more, got {getattr(self, name)}."
                )

    def fit(
        self,
        generator: LocalLM,
        data: Sequence[Row],
        *,
        seed: int,
        watch: Watch | None = None,
    ) -> LocalLM:
        """Return the model of the last round.

        Args:
            generator: the model to begin with.
            data: rows with a `prompt`, and whatever critic and decode look at.
            seed: of draws and training.
            watch: called with ("accepted", round, share of draws) and the learner's own metrics.

        Raises:
            TrainingError: a round without a single accepted draw.
        """
        model = generator
        for number in range(self.rounds):
            rows = self.imitated(model, data, seed=child_seed(seed, "draw", number))
            if watch is not None:
                watch("accepted", number, len(rows) / max(1, self.draws * len(data)))
            if not rows:
                raise TrainingError(
                    f"SelfImitation: round {number + 1} of {self.rounds}: none of the "
                    f"{self.draws * len(data)} draws was accepted; draw more, or lower the "
                    "critic's threshold."
                )
            learner = replace(self.learner, folder=f"{self.learner.folder}/round-{number + 1}")
            trained = learner.fit(model, rows, seed=child_seed(seed, "train", number), watch=watch)
            model = replace(trained, chat=generator.chat, template=generator.template)
        return model

    def imitated(self, model: LocalLM, data: Sequence[Row], *, seed: int) -> list[dict[str, Any]]:
        """Return the rows of one round: the distinct draws that were accepted, with their prompts.

        Args:
            model: the current one.
            data: rows with a `prompt`.
            seed: of the draws.
        """
        with ThreadPoolExecutor(WORKERS) as pool:
            found = pool.map(lambda row: self._accepted(model, row, seed), data)
            return [one for rows in found for one in rows]

    def _accepted(self, model: LocalLM, row: Row, seed: int) -> list[dict[str, Any]]:
        source = model if self.decode is None else self.decode(model, row)
        prompt = row["prompt"]
        drawn = source.sample(prompt, self.draws, seed=child_seed(seed, str(prompt)))
        kept = [True] * len(drawn)
        if self.critic is not None:
            critic = self.critic if isinstance(self.critic, Verifier) else self.critic(row)
            kept = [verdict.passed is True for verdict in critic.check(drawn)]
        texts = dict.fromkeys(v for v, keep in zip(drawn.values, kept, strict=True) if keep)
        return [
            {"prompt": prompt, "completion": text + self.ending} for text in texts if text.strip()
        ]
