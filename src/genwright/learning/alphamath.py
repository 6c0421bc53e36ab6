"""Training a policy and its value together on search trees, in rounds.

Choose it after `StepMCTS` has searched many tasks whose answers can be checked: every step of the
trees then carries a value, the mean of what was backed up through it, and no step was labelled by
anybody. `search_and_learn` does rounds of search and training.

Chen et al. 2024, "AlphaMath Almost Zero", arXiv:2405.03553, Sections 3.3 and 4. The loss is

    cross-entropy of right solutions' tokens + weight * sum (tanh(w h) - Q)^2 / steps,

the second term at the last token of every step of right and wrong solutions alike; a few of each
for every question.
Ours: each round trains on from the weights of the round before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
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
from genwright.generators.language.local import LocalLM
from genwright.generators.language.policy_value import PolicyValueLM
from genwright.learning.batches import batch_at
from genwright.learning.causal import (
    body_and_head,
    load_for_training,
    save_trained,
    training_device,
)
from genwright.learning.descent import Watch
from genwright.learning.policy_value import encode_solution, policy_value_loss
from genwright.learning.tuning import Tuning, tune
from genwright.search.alphamath import StepMCTS
from genwright.search.tree import Tree


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
        save_every: steps between checkpoints; a killed training resumes from the last one.

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
    save_every: int = 50

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "max_tokens", "save_every"):
            if getattr(self, name) < 1:
                raise InvalidArgument(f"PolicyValueLearner: {name} must be 1 or more.")
        if not self.learning_rate > 0 or not self.weight >= 0 or self.rank < 0:
            raise InvalidArgument(
                "PolicyValueLearner: learning_rate must be above 0, weight and rank 0 or more."
            )

    def fit(
        self,
        generator: LocalLM | PolicyValueLM,
        data: Sequence[Mapping[str, Any]],
        *,
        seed: int,
        watch: Watch | None = None,
    ) -> PolicyValueLM:
        """Train from the generator's weights, its value head included where it has one.

        A training that was cut off goes on where it stopped.

        Raises:
            InvalidArgument: rows that cannot be trained on.
            TrainingError: a loss that is not finite; a checkpoint of another configuration.
            MissingExtra: torch or transformers is not installed.
        """
        require("torch", extra="lm", needed_by="learning.alphamath")
        policy = generator.policy if isinstance(generator, PolicyValueLM) else generator
        if policy.chat:
            raise InvalidArgument("PolicyValueLearner: needs a policy with chat=False.")

        def work(tuning: Tuning) -> None:
            self._train(policy, data, seed, tuning)

        tune(self, policy, work, data, seed=seed, watch=watch)
        return PolicyValueLM(policy=replace(policy, model=str(Path(self.folder))))

    def _train(
        self, policy: LocalLM, data: Sequence[Mapping[str, Any]], seed: int, tuning: Tuning
    ) -> None:
        """Run the steps that are left, and save the weights and the head."""
        import torch

        from genwright.nets.value_head import ValueHead

        torch.manual_seed(child_seed(seed, "adapter"))  # peft draws from the global generator
        model, tokenizer = load_for_training(policy.model, rank=self.rank, alpha=self.alpha)
        body, output = body_and_head(model)
        head = ValueHead.load(Path(policy.model)) or ValueHead(output.weight.shape[1])
        model.to(training_device()).train()
        head.to(training_device())
        rows = [encode_solution(row, tokenizer, policy.template) for row in data]
        kept = [row for row in rows if row.length <= self.max_tokens]
        if not kept:
            raise InvalidArgument(
                f"nothing to train on: {len(rows)} solutions, none of at most {self.max_tokens} "
                "tokens."
            )
        weights = [p for p in model.parameters() if p.requires_grad] + list(head.parameters())
        optimizer = torch.optim.AdamW(weights, lr=self.learning_rate, weight_decay=0.0)
        pad = tokenizer.eos_token_id

        def losses(step: int) -> dict[str, Any]:
            batch = batch_at(step, kept, self.batch, seed)
            return {"loss": policy_value_loss(body, output, head, batch, pad, self.weight)}

        if tuning.run(losses, weights, optimizer):
            save_trained(model, tokenizer, Path(self.folder))
            head.cpu().save(Path(self.folder))


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
