"""Training an adapter and a selector beside a frozen model by the reward of whole texts.

Choose it with a few dozen prompts and a metric to raise; it makes a `SelectiveGenerator`.

Jo et al. 2022, "Selective Token Generation for Few-shot Natural Language Generation",
arXiv:2209.08206, Section 3.3: advantage actor-critic. An action is a pair of writer s_t and token
y_t, the reward R comes at the end and is not discounted,

    loss = mean over t of -(log p(s_t) + log p(y_t)) (R - V_t) + (V_t - R)^2,

where a token of the frozen model counts with log p(s_t) alone. The adapter may first be taught the
examples' texts (`teach`), as in the paper. With `selects=False` the adapter writes every token:
the paper's baselines, by reward or by teaching alone (`episodes=0`).

Ours: an end token counts by its probability over both writers, log of the sum, since a finished
draw does not say who ended it: the same expected
gradient with less noise. The selector starts at the probability `lean` of the adapter, and `hold`
(0 as in the paper) weighs its divergence from there, KL(s || lean): where neither writer earns
more, it stays with the one it leant to, and it settles on no side before it has learned. At lean
1/2 that is the usual bonus on entropy.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from genwright.core import InvalidArgument, child_seed, method, require
from genwright.generators.language.apart import apart
from genwright.generators.language.local import LocalLM
from genwright.learning.batches import Example, batch_at
from genwright.learning.descent import descend, rate_at
from genwright.learning.model_card import write_card
from genwright.steering.selective import SelectiveGenerator

if TYPE_CHECKING:
    from torch import Tensor

    from genwright.nets.adapters import Adapted
    from genwright.steering.selective_model import SelectiveModel

Reward = Callable[[str, Mapping[str, Any]], float]
"""(text, row of the data) -> number in [0, 1]."""
Watch = Callable[[str, int, float], None]
"""Called with (metric, step, value) as training goes."""


@dataclass(frozen=True)
class Episode:
    """One draw: what was read, what was written by whom, and what it was worth.

    Args:
        prompt: token ids, at least one.
        pairs: writer times V plus token, of every token but the end.
        ended: whether an end token was drawn.
        reward: in [0, 1].
    """

    prompt: Sequence[int]
    pairs: Sequence[int]
    ended: bool
    reward: float


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

    def __post_init__(self) -> None:
        if min(self.batch, self.hidden, self.layers) < 1 or min(self.episodes, self.teach) < 0:
            raise InvalidArgument(
                "SelectiveRL: batch, hidden and layers must be 1 or more, episodes and teach 0 or "
                "more."
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

        Args:
            generator: the frozen model; its template, length and stop texts hold for the draws.
            data: rows; each update draws for `batch` of them.
            seed: of the adapter's start, the order of rows and the draws.
            watch: told `loss` of every step and `reward` and `by_adapter` of every update.

        Raises:
            InvalidArgument: rows that cannot be trained on, or a reward outside [0, 1].
            TrainingError: a loss that is not finite.
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
        losses = apart(lambda stop: self._train(generator, data, seed, watch or _nobody, stop))
        write_card(Path(self.folder), self, generator, rows=len(data), seed=seed, losses=losses)
        return pair

    def _train(
        self,
        generator: LocalLM,
        data: Sequence[Mapping[str, Any]],
        seed: int,
        watch: Watch,
        stop: Event,
    ) -> list[float]:
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
        rows = [_row(generator, model, row) for row in data]
        losses: list[float] = []
        phases = (
            ("teach", self.teach, self.teach_rate),
            ("reward", -(-self.episodes // self.batch), self.learning_rate),
        )
        for phase, steps, peak in phases:
            optimizer = torch.optim.AdamW(weights, lr=peak, weight_decay=1e-5)
            for step in range(steps):
                batch = batch_at(step, rows, self.batch, child_seed(seed, phase))
                if phase == "teach":
                    loss = teaching_loss(model, batch)
                else:
                    own = child_seed(seed, "draws", step)
                    episodes = draw(model, generator, batch, self.batch, self.reward, own)
                    loss = selective_loss(model, episodes, lean=self.lean, hold=self.hold)
                    _tell(watch, step, episodes, model.size)
                rate = rate_at(step, peak=peak, warmup=min(8, steps), steps=steps)
                losses.append(descend(loss, weights, optimizer, step=step, rate=rate))
                watch("loss", len(losses) - 1, losses[-1])
                if stop.is_set():
                    return losses
        adapter.save(Path(self.folder))
        return losses


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


def selective_loss(
    model: "SelectiveModel", episodes: Sequence[Episode], *, lean: float = 0.5, hold: float = 0.0
) -> "Tensor":
    """Return the actor-critic loss of a batch of episodes, with its gradient in the adapter.

    Args:
        model: the pair.
        episodes: draws of it; one without a token counts for nothing.
        lean: the adapter's probability that the selector is held to.
        hold: weight of the selector's divergence from it, in nats a token.
    """
    import torch

    size = model.size
    ends = sorted(model.frozen.vocabulary.eos)
    texts = [([*e.prompt], [p % size for p in e.pairs] + ends[:1] * e.ended) for e in episodes]
    plain, adapted, found, at = _read(model, texts)
    terms: list[Tensor] = []
    for i, episode in enumerate(episodes):
        mine = at[:, 0] == i
        steps = int(mine.sum())
        if not steps:
            continue
        who, values = found.chosen[i, at[mine, 1]], found.values[i, at[mine, 1]]
        written = len(episode.pairs)
        pairs = torch.tensor(episode.pairs, dtype=torch.long, device=who.device)
        tokens = pairs % size
        by_adapter = pairs >= size
        said = adapted[mine][:written].gather(1, tokens[:, None])[:, 0]
        logp = torch.where(by_adapter, who[:written, 1] + said, who[:written, 0])
        if episode.ended:
            rows = torch.stack([plain[mine][-1, ends], adapted[mine][-1, ends]])
            last = (rows.logsumexp(1) + who[-1]).logsumexp(0)
            logp = torch.cat([logp, last[None]])
        advantage = episode.reward - values.detach()
        loss = (-logp * advantage + (values - episode.reward) ** 2).mean()
        if hold and model.adapter.selects:
            start = who.new_tensor([1 - lean, lean]).log()
            loss = loss + hold * (who.exp() * (who - start)).sum(1).mean()
        terms.append(loss)
    return torch.stack(terms).sum() / len(episodes)


def teaching_loss(model: "SelectiveModel", rows: Sequence[Example]) -> "Tensor":
    """Return the mean negative log-likelihood of a completion token under the adapter alone."""
    import torch

    _, adapted, _, _ = _read(model, [(row.prompt, row.completion) for row in rows])
    targets = torch.tensor([t for row in rows for t in row.completion], device=adapted.device)
    return -adapted.gather(1, targets[:, None]).mean()


def _read(
    model: "SelectiveModel", texts: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> "tuple[Tensor, Tensor, Adapted, Tensor]":
    """Read prompts and what was written after them.

    Returns:
        [N, V] log-probabilities of the frozen model and of the adapter before each written token,
        what the adapter makes of all states, and [N, 2]: the text and place of each of those.
    """
    import torch

    with torch.no_grad():
        states = model.frozen.read([[*prompt, *written] for prompt, written in texts])
        x_BTD = torch.nn.utils.rnn.pad_sequence(states, batch_first=True)
    found = model.adapter(x_BTD)
    at = torch.tensor(
        [
            (i, len(prompt) - 1 + k)
            for i, (prompt, written) in enumerate(texts)
            for k in range(len(written))
        ],
        dtype=torch.long,
        device=x_BTD.device,
    ).view(-1, 2)
    here = at[:, 0], at[:, 1]
    weight = model.frozen.weight
    with torch.no_grad():
        plain = model.frozen.logits(x_BTD[here]).log_softmax(1)
    moved = (x_BTD[here] + found.shift[here]).to(weight.dtype)
    return plain, torch.nn.functional.linear(moved, weight).float().log_softmax(1), found, at


def _row(generator: LocalLM, model: "SelectiveModel", row: Mapping[str, Any]) -> Row:
    own = model.frozen.vocabulary
    told = row.get("completion")
    written = own.encode(told) + sorted(own.eos)[:1] if isinstance(told, str) else []
    return Row(list(generator.encode(row["prompt"])), written, row)


def _tell(watch: Watch, step: int, episodes: Sequence[Episode], size: int) -> None:
    pairs = [pair for episode in episodes for pair in episode.pairs]
    watch("reward", step, sum(e.reward for e in episodes) / len(episodes))
    watch("by_adapter", step, sum(pair >= size for pair in pairs) / max(1, len(pairs)))


def _nobody(metric: str, step: int, value: float) -> None:
    """Nobody watches."""
