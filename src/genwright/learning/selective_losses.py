"""The two losses of `SelectiveRL`: of whole texts by their reward, and of texts to be imitated.

Jo et al. 2022, arXiv:2209.08206, Section 3.3; what is ours is told in `selective.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genwright.learning.batches import Example

if TYPE_CHECKING:
    from torch import Tensor

    from genwright.nets.adapters import Adapted
    from genwright.steering.selective_model import SelectiveModel


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
