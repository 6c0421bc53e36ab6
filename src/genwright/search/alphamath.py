"""Tree search and beam search over the steps of a solution, guided by a value of what is so far.

`StepMCTS` grows a tree in which the check of final answers puts a value on every step: choose it to
make training data for a value model, or where a real checker is at hand. `StepBeam` keeps the
solutions that a trained value likes best: choose it to answer, at a fraction of the tree's cost.
`learning.alphamath` trains policy and value on the trees.

Chen et al. 2024, "AlphaMath Almost Zero: Process Supervision without Process", arXiv:2405.03553,
Sections 3.2 to 3.4. Selection takes the child with the largest Q + c_puct p sqrt(N_parent)/(1 + n)
that something can still be expanded below, where p is exp(mean log-probability of the step's
tokens). An expanded node's own value is backed up; children that end a solution are checked and
their reward backed up at once, +1 for right and -1 for wrong, garbled, too deep, or too many errors
of the tool.

Ours: many leaves at a time (virtual loss, evaluated in one batch of the generator); a solved part
of the tree is left at once, and the search ends when all of it is solved; undecided checks back up
nothing; rewards that know how often the verifier errs; equals are told apart by their order, not by
chance; without checks the tree is walked by Q as far as it goes to an answer, and where it leads to
none, the answer of largest Q is taken.
"""

from dataclasses import dataclass, field
from math import tanh
from typing import Any

from genwright.core import Budget, Generator, Outcome, Stop, Task, Verdict, method
from genwright.search.steps import FINAL, Growth, State, StepFormat, Tool, Value
from genwright.search.tally import at_least_one
from genwright.search.tree import PUCT, Tree
from genwright.verifiers.reliability import rates_of


@method(paper="arXiv:2405.03553")
@dataclass(frozen=True, kw_only=True)
class StepMCTS:
    """Search the tree of a solution's steps.

    The generator draws one step a draw: let it stop at the delimiter.

    Args:
        simulations: the most nodes to expand; the paper takes 40.
        children: steps drawn below a node.
        c_puct: weight of exploration; the paper takes 1.25 to 1.5.
        leaves: nodes expanded together. Draws of one call: leaves times children at most.
        check: whether the task's verifier rewards the answers met. Without, the value alone does:
            a final answer's own value is backed up.
        stop_on_pass: end with the expansion in which an answer passes.
        value: judges solutions so far; None asks the generator's `prefix_values()` where it has
            them (as `PolicyValueLM` does), else every value is 0.
        reliability: the verifier's rates of false accepts and of false rejects. The reward is then
            2 P(right) - 1, with even odds before the check. None trusts the verifier.
        delimiter: closes every step.
        final: regular expression found in a step that ends a solution.
        depth: the most steps.
        tool: answers steps that call it, such as `PythonTool()`.

    Raises:
        InvalidArgument: a number out of its range.
    """

    simulations: int = 40
    children: int = 5
    c_puct: float = 1.25
    leaves: int = 8
    check: bool = True
    stop_on_pass: bool = False
    value: Value | None = None
    reliability: tuple[float, float] | None = None
    delimiter: str = "\n"
    final: str = FINAL
    depth: int = 8
    tool: Tool | None = None

    def __post_init__(self) -> None:
        at_least_one(
            "StepMCTS",
            simulations=self.simulations,
            children=self.children,
            leaves=self.leaves,
        )
        PUCT(c=self.c_puct)
        self._form()
        rates_of("StepMCTS", self.reliability)

    def run(
        self, generator: Generator[Any], task: Task[Any], budget: Budget, seed: int
    ) -> Outcome[Any]:
        """Work on one task.

        `info["tree"]` is the tree (`Tree.load` reads it), `info["texts"]` the text of each node's
        step, `info["ends"]` why a node ends ("" where it does not), `info["passed"]` the verdict on
        it (None where there is none), `info["expanded"]` how many nodes were expanded.
        """
        growth = Growth(generator, task, budget, seed, self._form(), self.value)
        search = _Search(Tree(worst=-1.0), [State()])
        left, stop = self.simulations, Stop.COMPLETE
        while left:
            held = [search.tree.select(PUCT(c=self.c_puct)) for _ in range(min(left, self.leaves))]
            leaves = [leaf for leaf in held if leaf is not None]
            if not leaves:
                stop = Stop.DECIDED
                break
            grown = self._expand(growth, search, leaves)
            left -= grown
            if self.stop_on_pass and True in search.passed:
                stop = Stop.PASSED
                break
            if growth.cut or (left and growth.spent):
                stop = Stop.BUDGET
                break
        tree = search.tree
        return growth.outcome(
            self._choice(search),
            stop,
            tree=tree.saved(),
            texts=[""] + [self._step(search, node) for node in range(1, len(tree))],
            ends=[state.end for state in search.states],
            passed=search.passed,
            expanded=self.simulations - left,
        )

    def _form(self) -> StepFormat:
        return StepFormat(
            delimiter=self.delimiter, final=self.final, depth=self.depth, tool=self.tool
        )

    def _expand(self, growth: Growth, search: "_Search", leaves: list[int]) -> int:
        """Expand held leaves as far as the budget goes; return how many."""
        tree, states = search.tree, search.states
        grown = growth.grow([states[leaf] for leaf in leaves], self.children)
        paid = [(leaf, kids) for leaf, kids in zip(leaves, grown, strict=True) if kids]
        values = growth.values([states[leaf] for leaf, _ in paid])
        nodes = list[int]()
        for (leaf, kids), value in zip(paid, values, strict=True):
            nodes += tree.expand(leaf, [k.prior for k in kids], closed=[bool(k.end) for k in kids])
            tree.backup(leaf, value)
            states += kids
            search.passed += [None] * len(kids)
        for leaf in leaves[len(paid) :]:
            tree.release(leaf)
        answers = [node for node in nodes if states[node].end == "answer"]
        rewards = self._rewards(growth, search, answers)
        for node in nodes:
            reward = rewards.get(node) if node in rewards else -1.0
            if states[node].end and reward is not None:
                tree.backup(node, reward)
        return len(paid)

    def _rewards(
        self, growth: Growth, search: "_Search", answers: list[int]
    ) -> dict[int, float | None]:
        """Return what each answer's node is worth; None where nobody could tell."""
        states = [search.states[node] for node in answers]
        if not self.check:
            return dict(zip(answers, growth.values(states), strict=True))
        rewards: dict[int, float | None] = {}
        for node, verdict in zip(answers, growth.check(states) if states else [], strict=True):
            search.passed[node] = verdict.passed
            rewards[node] = self._reward(verdict) if verdict.decided else None
        return rewards

    def _reward(self, verdict: Verdict) -> float:
        rates = rates_of("StepMCTS", self.reliability)
        if rates is None:
            return 1.0 if verdict.passed else -1.0
        return tanh(rates.weight(verdict) / 2)  # 2 P - 1 for odds of exp(weight)

    def _choice(self, search: "_Search") -> State | None:
        """Return the answer to stand by, or None."""
        answers = [i for i, state in enumerate(search.states) if state.end == "answer"]
        if not self.check:
            return search.walk(answers)
        for wanted in (True, None):  # an undecided answer may be right
            kept = [i for i in answers if search.passed[i] is wanted]
            if kept:
                return search.states[max(kept, key=lambda i: (search.tree.mean(i), -i))]
        return None

    def _step(self, search: "_Search", node: int) -> str:
        parent = search.states[search.tree.parent[node]].text
        return search.states[node].text[len(parent) :]


@dataclass(eq=False)
class _Search:
    """A tree and what its nodes stand for."""

    tree: Tree
    states: list[State]
    passed: list[bool | None] = field(default_factory=lambda: [None])

    def walk(self, answers: list[int]) -> State | None:
        """Go from the root to the child of largest Q (0 where it was never visited) to the end."""
        tree, node = self.tree, 0
        while tree.count[node]:
            node = max(tree.children(node), key=lambda i: (tree.mean(i), -i))
        if self.states[node].end != "answer":
            seen = [i for i in answers if tree.visits[i]]
            if not seen:
                return None
            node = max(seen, key=lambda i: (tree.mean(i), -i))
        return self.states[node]


@method(paper="arXiv:2405.03553")
@dataclass(frozen=True, kw_only=True)
class StepBeam:
    """Step-level beam search: keep the solutions so far that a value likes best.

    The first step draws b1 times b2 candidates, every later one b2 from each solution kept. Equal
    candidates count once; the b1 best by value are kept. A finished one leaves the beam and makes
    it narrower. The finished answer of largest value is the choice.

    Args:
        b1: solutions kept.
        b2: candidates a solution.
        value: judges solutions so far; None asks the generator's `prefix_values()` where it has
            them, else every value is 0 and the candidate drawn first is kept.
        delimiter: closes every step.
        final: regular expression found in a step that ends a solution.
        depth: the most steps.
        tool: answers steps that call it, such as `PythonTool()`.

    Raises:
        InvalidArgument: a number out of its range.
    """

    b1: int = 1
    b2: int = 5
    value: Value | None = None
    delimiter: str = "\n"
    final: str = FINAL
    depth: int = 8
    tool: Tool | None = None

    def __post_init__(self) -> None:
        at_least_one("StepBeam", b1=self.b1, b2=self.b2)
        self._form()

    def run(
        self, generator: Generator[Any], task: Task[Any], budget: Budget, seed: int
    ) -> Outcome[Any]:
        """Work on one task. `info["values"]` are those of the finished answers, best first."""
        growth = Growth(generator, task, budget, seed, self._form(), self.value)
        beams, finished, width, stop = (
            [State()],
            list[tuple[float, State]](),
            self.b1,
            Stop.COMPLETE,
        )
        n = self.b1 * self.b2
        while beams:
            grown = growth.grow(beams, n)
            n = self.b2
            candidates = list({s.text: s for kids in grown for s in kids}.values())
            values = growth.values(candidates)
            ranked = sorted(zip(values, candidates, strict=True), key=lambda pair: -pair[0])
            kept = ranked[:width]
            width -= sum(bool(state.end) for _, state in kept)
            finished += [pair for pair in kept if pair[1].end == "answer"]
            beams = [state for _, state in kept if not state.end]
            if growth.cut or (beams and growth.spent):
                stop = Stop.BUDGET
                break
        finished.sort(key=lambda pair: -pair[0])
        best = finished[0][1] if finished else None
        return growth.outcome(best, stop, values=[value for value, _ in finished])

    def _form(self) -> StepFormat:
        return StepFormat(
            delimiter=self.delimiter, final=self.final, depth=self.depth, tool=self.tool
        )
