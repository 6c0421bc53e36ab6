"""Training a policy and its value together on search trees, in rounds.

Choose it after `StepMCTS` has searched many tasks whose answers can be checked: every step of the
trees then carries a value, the mean of what was backed up through it, and no step was labelled by
anybody. `search_and_learn` does rounds of search and training.

Chen et al. 2024, "AlphaMath Almost Zero", arXiv:2405.03553, Sections 3.3 and 4. The loss is

    cross-entropy of right solutions' tokens + weight * sum (tanh(w h) - Q)^2 / steps,

the second term at the last token of every step of right and wrong solutions alike; a few of each
for every question.
Ours: each round trains on from the weights of the round before; the weights after the last step are
kept, without checkpoints in between, since a round takes minutes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from genwright.core import (
    Budget,
    InvalidArgument,
    Ledger,
    Outcome,
    Task,
    TrainingError,
    child_seed,
    method,
    require,
    solve,
)
from genwright.generators.language.apart import apart
from genwright.generators.language.local import LocalLM
from genwright.generators.language.policy_value import PolicyValueLM
from genwright.learning.batches import Example, batch_at, collate
from genwright.learning.descent import descend, rate_at
from genwright.learning.supervised import body_and_head, load_for_training, save_trained
from genwright.search.alphamath import StepMCTS
from genwright.search.tree import Tree


@dataclass(frozen=True)
class Solution(Example):
    """One solution as token ids.

    Args:
        prompt: of the question.
        completion: of the steps; the end token closes a right solution.
        right: whether its tokens are learned.
        ends: index within the completion of the last token of each step.
        values: Q of each step.
    """

    right: bool = True
    ends: tuple[int, ...] = ()
    values: tuple[float, ...] = ()


@method(paper="arXiv:2405.03553")
@dataclass(frozen=True, kw_only=True)
class PolicyValueLearner:
    """Train on rows of `prompt`, `steps`, `values` and `right`, as `solutions` makes them.

    Args:
        folder: where the new model goes.
        steps: optimizer steps.
        batch: solutions a step.
        learning_rate: its peak, reached after `warmup` steps, then a cosine to a tenth of it.
        warmup: steps of linear rise.
        weight: of the value's loss; the paper's code takes 0.1.
        max_tokens: longer solutions are left out; the paper takes 1,024.
        rank: LoRA rank; 0 trains all weights.
        alpha: LoRA scale.

    Raises:
        InvalidArgument: a number out of its range.
    """

    folder: str
    steps: int = 200
    batch: int = 32
    learning_rate: float = 1e-3
    warmup: int = 8
    weight: float = 0.1
    max_tokens: int = 1024
    rank: int = 0
    alpha: int = 32

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "max_tokens"):
            if getattr(self, name) < 1:
                raise InvalidArgument(f"PolicyValueLearner: {name} must be 1 or more.")
        if not self.learning_rate > 0 or not self.weight >= 0 or self.rank < 0:
            raise InvalidArgument(
                "PolicyValueLearner: learning_rate must be above 0, weight and rank 0 or more."
            )

    def fit(
        self, generator: LocalLM | PolicyValueLM, data: Sequence[Mapping[str, Any]], *, seed: int
    ) -> PolicyValueLM:
        """Train from the generator's weights, its value head included where it has one.

        Raises:
            InvalidArgument: rows that cannot be trained on.
            TrainingError: a loss that is not finite.
            MissingExtra: torch or transformers is not installed.
        """
        require("torch", extra="lm", needed_by="learning.alphamath")
        policy = generator.policy if isinstance(generator, PolicyValueLM) else generator
        if policy.chat:
            raise InvalidArgument("PolicyValueLearner: needs a policy with chat=False.")
        apart(lambda stop: self._train(policy, data, seed, stop))
        return PolicyValueLM(policy=replace(policy, model=str(Path(self.folder))))

    def _train(
        self, policy: LocalLM, data: Sequence[Mapping[str, Any]], seed: int, stop: Event
    ) -> None:
        import torch

        from genwright.nets.value_head import ValueHead

        torch.manual_seed(child_seed(seed, "adapter"))  # peft draws from the global generator
        model, tokenizer = load_for_training(policy.model, rank=self.rank, alpha=self.alpha)
        body, output = body_and_head(model)
        head = ValueHead.load(Path(policy.model)) or ValueHead(output.weight.shape[1])
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model.to(device).train()
        head.to(device)
        rows = [encode_solution(row, tokenizer, policy.template) for row in data]
        kept = [row for row in rows if row.length <= self.max_tokens]
        if not kept:
            raise InvalidArgument(
                f"nothing to train on: {len(rows)} solutions, none of at most {self.max_tokens} "
                "tokens."
            )
        weights = [p for p in model.parameters() if p.requires_grad] + list(head.parameters())
        optimizer = torch.optim.AdamW(weights, lr=self.learning_rate, weight_decay=0.0)
        for step in range(self.steps):
            batch = batch_at(step, kept, self.batch, seed)
            loss = policy_value_loss(body, output, head, batch, tokenizer.eos_token_id, self.weight)
            rate = rate_at(step, peak=self.learning_rate, warmup=self.warmup, steps=self.steps)
            descend(loss, weights, optimizer, step=step, rate=rate)
            if stop.is_set():
                return
        save_trained(model, tokenizer, Path(self.folder))
        head.cpu().save(Path(self.folder))


def policy_value_loss(
    body: Any, output: Any, head: Any, batch: Sequence[Example], pad: int, weight: float
) -> Any:
    """Return cross-entropy of right solutions + weight * squared error of the steps' values.

    Args:
        body: makes hidden states.
        output: makes logits of them.
        head: makes values of them.
        batch: solutions; their order is that of the rows.
        pad: token id.
        weight: of the value's loss.
    """
    import torch
    import torch.nn.functional as F

    device = output.weight.device
    solutions = [row for row in batch if isinstance(row, Solution)]
    ids_BT, attend_BT, at, targets = (t.to(device) for t in collate(solutions, pad))
    hidden_BTD = body(input_ids=ids_BT, attention_mask=attend_BT).last_hidden_state
    right = torch.tensor([row.right for row in solutions], device=device)[at[:, 0]]
    loss = hidden_BTD.new_zeros(())
    if right.any():
        at, targets = at[right], targets[right]
        loss = F.cross_entropy(output(hidden_BTD[at[:, 0], at[:, 1]]).float(), targets)
    rows = [(i, len(s.prompt) + end) for i, s in enumerate(solutions) for end in s.ends]
    if rows:
        where = torch.tensor(rows, device=device)
        wanted = torch.tensor([q for s in solutions for q in s.values], device=device)
        values = head(hidden_BTD[where[:, 0], where[:, 1]])
        loss = loss + weight * F.mse_loss(values.float(), wanted)
    return loss


def encode_solution(row: Mapping[str, Any], tokenizer: Any, template: str) -> Solution:
    """Encode a row; the completion is one text, so that tokens are those of a drawn solution.

    Raises:
        InvalidArgument: a field is missing or of another length.
    """
    steps, values = row.get("steps"), row.get("values")
    if not isinstance(row.get("prompt"), str) or not steps or len(values or ()) != len(steps):
        raise InvalidArgument(
            "a solution needs the text 'prompt' and as many 'values' as 'steps', one at least, "
            f"got the fields {sorted(row)}."
        )
    prompt = tokenizer(template.replace("{prompt}", row["prompt"]), add_special_tokens=False)
    found = tokenizer("".join(steps), add_special_tokens=False, return_offsets_mapping=True)
    lasts, end = list[int](), 0
    for step in steps:
        end += len(step)
        lasts.append(max(i for i, (a, _) in enumerate(found["offset_mapping"]) if a < end))
    right = bool(row.get("right"))
    closing = [tokenizer.eos_token_id] if right else []
    return Solution(
        prompt["input_ids"],
        [*found["input_ids"], *closing],
        right,
        tuple(lasts),
        tuple(float(v) for v in values or ()),
    )


def solutions(
    task: Task[Any], outcome: Outcome[Any], *, right: int = 4, wrong: int = 4
) -> list[dict[str, Any]]:
    """Read training rows out of a tree that `StepMCTS` grew with checks.

    Args:
        task: that was searched.
        outcome: of the search.
        right: the most right solutions; those of highest Q over their steps come first.
        wrong: the most wrong ones, garbled and unfinished ends among them; of highest Q first, so
            that they went wrong late.

    Returns:
        rows with `prompt`, `steps`, `values` (Q of each step) and `right`.
    """
    info = outcome.info
    tree = Tree.load(info["tree"])
    rows: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for node, end in enumerate(info["ends"]):
        undecided = end == "answer" and info["passed"][node] is None
        if not end or undecided:
            continue
        path = list(tree.path(node))[-2::-1]
        row = {
            "prompt": task.prompt,
            "steps": [info["texts"][i] for i in path],
            "values": [tree.mean(i) for i in path],
            "right": bool(info["passed"][node]),
        }
        rows[row["right"]].append(row)
    for found in rows.values():
        found.sort(key=lambda row: -sum(row["values"]) / len(row["values"]))
    return rows[True][:right] + rows[False][:wrong]


def search_and_learn(
    generator: LocalLM | PolicyValueLM,
    tasks: Sequence[Task[Any]],
    search: StepMCTS,
    learner: Callable[[int], PolicyValueLearner],
    *,
    rounds: int = 3,
    budget: Budget = Budget(),
    ledger: Ledger | None = None,
    seed: int = 0,
) -> list[PolicyValueLM]:
    """Search every task and train on the trees, `rounds` times; return the model of each round.

    Args:
        generator: what the first round searches with.
        tasks: with verifiers that check final answers.
        search: grows the trees.
        learner: of each round, from 0: each writes to a folder of its own.
        rounds: the paper takes 3.
        budget: of each task in each round.
        ledger: where the draws go; the run of round r is called `alphamath: round r`.
        seed: of it all.

    Raises:
        TrainingError: no tree of a round holds a finished solution.
    """
    trained: list[PolicyValueLM] = []
    for number in range(rounds):
        name, own = f"alphamath: round {number}", child_seed(seed, number)
        found = solve(
            tasks, generator, search, budget=budget, ledger=ledger, name=name, seed=own, workers=4
        )
        pairs = zip(tasks, found.outcomes, strict=True)
        rows = [row for task, outcome in pairs for row in solutions(task, outcome)]
        if not rows:
            raise TrainingError(
                f"round {number}: none of {len(tasks)} trees holds a finished solution; search "
                "longer or deeper, or look whether `final` fits the steps."
            )
        generator = learner(number).fit(generator, rows, seed=own)
        trained.append(generator)
    return trained
