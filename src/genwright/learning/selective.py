"""Training an adapter and a selector beside a frozen model by the reward of whole texts.

Choose it with a few dozen prompts and a metric to raise; it makes a `SelectiveGenerator`.

Jo et al. 2022, "Selective Token Generation for Few-shot Natural Language Generation",
arXiv:2209.08206, Section 3.3: advantage actor-critic. An action is a pair of writer s_t and token
y_t, the reward R comes at the end and is not discounted,

    loss = mean over t of -(log p(s_t) + log p(y_t)) (R - V_t) + (V_t - R)^2,

where a token of the frozen model counts with log p(s_t) alone. The adapter may first be taught the
examples' texts (`teach`), as in the paper. With `selects=False` the adapter writes every token:
the paper's baselines, by reward or by teaching alone (`episodes=0`).

Ours: the critic starts at the mean reward of the first draws; one that starts at 0 lets every first
draw look good, and whichever writer and token was likelier settles before it has learned better.
An end token counts by its probability over both writers, log of the sum, since a finished
draw does not say who ended it: the same expected gradient with less noise. The selector starts at
the probability `lean` of the adapter, and `hold` (0 as in the paper) weighs its divergence from
there, KL(s || lean): where neither writer earns more, it stays with the one it leant to, and it
settles on no side before it has learned. At lean 1/2 that is the usual bonus on entropy.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genwright.core import InvalidArgument, child_seed, method, require
from genwright.generators.language.local import LocalLM
from genwright.learning.batches import Example, batch_at
from genwright.learning.descent import Watch, rate_at
from genwright.learning.selective_losses import Episode, selective_loss, teaching_loss
from genwright.learning.tuning import Tuning, tune
from genwright.steering.selective import SelectiveGenerator

if TYPE_CHECKING:
    from genwright.steering.selective_model import SelectiveModel

Reward = Callable[[str, Mapping[str, Any]], float]
"""(text, row of the data) -> number in [0, 1]."""


@method(paper="arXiv:2209.08206")
@dataclass(frozen=True, kw_only=True)
class SelectiveRL:
    """Train on rows of `prompt`, and of `completion` where it teaches; returns the pair.

    Args:
        folder: where the adapter goes.
        reward: of a draw, given the row whose prompt it continues.
        episodes: draws in all; 0 only teaches.
        batch: draws an update; the paper's is 16.
        learning_rate: of the updates by reward; the paper's is 1e-5 for many more of them.
        teach: steps of teaching before, on `batch` completions each.
        teach_rate: learning rate of the teaching.
        hidden: of the adapter's LSTM; the paper's is 512.
        layers: of the adapter's LSTM; the paper's is 2.
        selects: whether there is a selector.
        lean: the adapter's probability that the selector starts with, in (0, 1).
        hold: weight of the selector's divergence from it, in nats a token.
        save_every: steps between checkpoints; a killed training resumes from the last one.

    Raises:
        InvalidArgument: a number out of its range, or nothing to do.
    """

    folder: str
    reward: Reward
    episodes: int = 1500
    batch: int = 16
    learning_rate: float = 1e-3
    teach: int = 0
    teach_rate: float = 1e-3
    hidden: int = 512
    layers: int = 2
    selects: bool = True
    lean: float = 0.5
    hold: float = 0.0
    save_every: int = 25

    def __post_init__(self) -> None:
        least = min(self.batch, self.hidden, self.layers, self.save_every)
        if least < 1 or min(self.episodes, self.teach) < 0:
            raise InvalidArgument(
                "SelectiveRL: batch, hidden, layers and save_every must be 1 or more, episodes and "
                "teach 0 or more."
            )
        if not self.episodes and not self.teach:
            raise InvalidArgument("SelectiveRL: episodes or teach must be above 0.")
        if not (self.learning_rate > 0 and self.teach_rate > 0 and self.hold >= 0):
            raise InvalidArgument(
                "SelectiveRL: learning_rate and teach_rate must be above 0, hold 0 or more."
            )
        if not 0 < self.lean < 1:
            raise InvalidArgument(f"SelectiveRL: lean must be in (0, 1), got {self.lean}.")

    def fit(
        self,
        generator: LocalLM,
        data: Sequence[Mapping[str, Any]],
        *,
        seed: int,
        watch: Watch | None = None,
    ) -> SelectiveGenerator:
        """Train an adapter beside `generator`, whose weights stay as they are.

        A training that was cut off goes on where it stopped; one that this folder has finished is
        not repeated, where settings, rows, seed and the reward's name are the same.

        Args:
            generator: the frozen model; its template, length and stop texts hold for the draws.
            data: rows; each update draws for `batch` of them.
            seed: of the adapter's start, the order of rows and the draws.
            watch: told `loss` of every step and `reward` and `by_adapter` of every update.

        Raises:
            InvalidArgument: rows that cannot be trained on, or a reward outside [0, 1].
            TrainingError: a loss that is not finite; a checkpoint of another configuration.
            MissingExtra: torch or transformers is not installed.
        """
        require("torch", extra="lm", needed_by="learning.selective")
        pair = SelectiveGenerator(base=generator, adapter=self.folder)
        for i, row in enumerate(data):
            if not isinstance(row.get("prompt"), str | list) or (
                self.teach and not isinstance(row.get("completion"), str)
            ):
                raise InvalidArgument(
                    f"row {i}: needs a 'prompt'{' and a completion' if self.teach else ''}, got "
                    f"the fields {sorted(row)}."
                )
        if not data:
            raise InvalidArgument("SelectiveRL: needs a row to train on, got none.")

        def work(tuning: Tuning) -> None:
            self._train(generator, data, seed, tuning)

        tune(self, generator, work, data, seed=seed, watch=watch)
        return pair

    def _train(
        self, generator: LocalLM, data: Sequence[Mapping[str, Any]], seed: int, tuning: Tuning
    ) -> None:
        """Run the steps that are left, first of teaching and then by reward; save the adapter."""
        import torch

        from genwright.nets.adapters import RecurrentAdapter
        from genwright.steering.selective_model import Frozen, SelectiveModel

        frozen = Frozen(generator)
        with torch.random.fork_rng():
            torch.manual_seed(child_seed(seed, "adapter"))
            adapter = RecurrentAdapter(
                frozen.width,
                hidden=self.hidden,
                layers=self.layers,
                selects=self.selects,
                lean=self.lean,
            )
        model = SelectiveModel(frozen, adapter)
        weights = list(adapter.parameters())
        optimizer = torch.optim.AdamW(weights, weight_decay=1e-5)
        rows = [_row(generator, model, row) for row in data]
        updates = -(-self.episodes // self.batch)

        def phase(i: int) -> tuple[str, int, int, float]:
            """Return the phase of step i, its place there, and the phase's steps and peak rate."""
            if i < self.teach:
                return "teach", i, self.teach, self.teach_rate
            return "reward", i - self.teach, updates, self.learning_rate

        def losses(i: int) -> dict[str, Any]:
            name, step, _, _ = phase(i)
            batch = batch_at(step, rows, self.batch, child_seed(seed, name))
            if name == "teach":
                return {"loss": teaching_loss(model, batch)}
            own = child_seed(seed, "draws", step)
            episodes = draw(model, generator, batch, self.batch, self.reward, own)
            if step == 0:
                optimizer.state.clear()  # the two losses have gradients of their own sizes
                mean = sum(e.reward for e in episodes) / len(episodes)
                torch.nn.init.constant_(adapter.critic.bias, mean)
            loss = selective_loss(model, episodes, lean=self.lean, hold=self.hold)
            return {"loss": loss} | _told(episodes, model.size)

        def rate(i: int) -> float:
            _, step, steps, peak = phase(i)
            return rate_at(step, peak=peak, warmup=min(8, steps), steps=steps)

        if tuning.run(losses, weights, optimizer, steps=self.teach + updates, rate=rate):
            adapter.save(Path(self.folder))


@dataclass(frozen=True)
class Row(Example):
    """A row of the data as token ids; the completion is empty where there is none."""

    row: Mapping[str, Any] = field(default_factory=dict[str, Any])


def draw(
    model: "SelectiveModel",
    generator: LocalLM,
    rows: Sequence[Example],
    n: int,
    reward: Reward,
    seed: int,
) -> list[Episode]:
    """Draw n episodes for rows in turn, at temperature 1, through an engine of their own.

    Raises:
        InvalidArgument: a reward outside [0, 1].
    """
    from genwright.generators.language.engine import Engine
    from genwright.generators.language.request import Request
    from genwright.generators.language.sampling import Sampling

    engine = Engine(model, batch=generator.batch, threads=generator.threads)
    settings = Sampling(max_new_tokens=generator.max_new_tokens, stop=generator.stop)
    try:
        taken = [rows[i % len(rows)] for i in range(n)]
        tickets = [
            engine.submit(Request(prompt=row.prompt, seed=child_seed(seed, i), sampling=settings))
            for i, row in enumerate(taken)
        ]
        found: list[Episode] = []
        for row, ticket in zip(taken, tickets, strict=True):
            ((_, one),) = list(ticket)
            worth = float(reward(one.value, row.row if isinstance(row, Row) else {}))
            if not 0 <= worth <= 1:
                raise InvalidArgument(f"SelectiveRL: a reward must be in [0, 1], got {worth}.")
            ended = "end_logprob" in one.info
            found.append(Episode(row.prompt, one.info["tokens"], ended, worth))
        return found
    finally:
        engine.close()


def _row(generator: LocalLM, model: "SelectiveModel", row: Mapping[str, Any]) -> Row:
    own = model.frozen.vocabulary
    told = row.get("completion")
    written = own.encode(told) + sorted(own.eos)[:1] if isinstance(told, str) else []
    return Row(list(generator.encode(row["prompt"])), written, row)


def _told(episodes: Sequence[Episode], size: int) -> dict[str, float]:
    pairs = [pair for episode in episodes for pair in episode.pairs]
    return {
        "reward": sum(e.reward for e in episodes) / len(episodes),
        "by_adapter": sum(pair >= size for pair in pairs) / max(1, len(pairs)),
    }
