"""What a tree search costs beside its model: its share of wall time, and prompt tokens shared.

    python benchmarks/tree.py --json

`StepMCTS` with 32 leaves in flight on the embedded model, through the runner and a ledger on disk.
`outside` is the wall time during which no draw was asked of the model and no check was in progress:
selection, expansion, backing up, bookkeeping, and what of the ledger's work does not overlap with
the model's. `tree_us` is the processor time of selection, expansion and backing up for each
expanded node. Prompt tokens are counted as the engine counts them, beside what the same draws read
where siblings share their prompt but prompts share nothing, and where nothing is shared.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genwright.core import Ledger, Sample, Samples, Task, Verdict, solve
from genwright.generators.language.local import LocalLM
from genwright.search.alphamath import StepMCTS
from genwright.search.tree import Tree

RESULTS = Path(__file__).parent / "results"
QUESTION = (
    "Question: A farmer has 12 rows of 8 apple trees. Each tree gives 35 apples. He sells two "
    "thirds of them at 15 cents each. How much does he earn?\nSolution, one step a line:\n"
)


class Busy:
    """Counts the wall time during which at least one call is in progress."""

    def __init__(self) -> None:
        self.seconds, self._now, self._since = 0.0, 0, 0.0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if not self._now:
                self._since = time.perf_counter()
            self._now += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1
            if not self._now:
                self.seconds += time.perf_counter() - self._since


@dataclass(frozen=True)
class Timed:
    """A generator and verifier whose calls count as busy."""

    model: Any
    busy: Busy = field(default_factory=Busy, repr=False, compare=False)

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[str]:
        """Draw, busy meanwhile."""
        with self.busy:
            return self.model.sample(prompt, n, seed=seed, first=first)

    def stream(
        self, prompt: Any, n: int, *, seed: int, first: int = 0
    ) -> Iterator[tuple[int, Sample[str]]]:
        """Draw, busy while a draw is waited for."""
        draws = self.model.stream(prompt, n, seed=seed, first=first)
        while True:
            with self.busy:
                found = next(draws, None)
            if found is None:
                return
            yield found

    def check(self, samples: Samples[str]) -> list[Verdict]:
        """Look for the right number, busy meanwhile."""
        with self.busy:
            return [Verdict.ok() if "840" in value else Verdict.fail() for value in samples.values]


def timed_tree() -> Callable[[], float]:
    """Have the tree count the processor time of its own methods; return the reader."""
    spent = [0.0]

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                spent[0] += time.thread_time() - began

        return call

    for name in ("select", "expand", "backup", "release"):
        setattr(Tree, name, wrap(getattr(Tree, name)))
    return lambda: spent[0]


def measure(model: Any, search: StepMCTS, length: Callable[[str], int]) -> dict[str, Any]:
    """Search once and return the numbers."""
    timed, tree_time = Timed(model), timed_tree()
    model.sample(QUESTION, 1, seed=0)  # loads the weights
    with tempfile.TemporaryDirectory() as folder:
        book = Ledger(Path(folder) / "ledger.sqlite")
        began = time.perf_counter()
        task = Task(QUESTION, timed, "tree")
        (outcome,) = solve([task], timed, search, ledger=book, seed=1).outcomes
        wall = time.perf_counter() - began
        book.close()
    tree = Tree.load(outcome.info["tree"])
    texts = outcome.info["texts"]
    prompts = [
        length(QUESTION + "".join(texts[i] for i in list(tree.path(node))[::-1]))
        for node in range(len(tree))
        if tree.start[node] >= 0
    ]
    cost = outcome.samples.cost
    return {
        "leaves": search.leaves,
        "simulations": outcome.info["expanded"],
        "nodes": len(tree),
        "draws": cost.draws,
        "new_tokens": cost.new_tokens,
        "wall_seconds": round(wall, 3),
        "outside_share": round(1 - timed.busy.seconds / wall, 4),
        "tree_us": round(1e6 * tree_time() / outcome.info["expanded"], 1),
        "prompt_tokens": cost.prompt_tokens,
        "prompt_tokens_siblings_only": sum(prompts),
        "prompt_tokens_unshared": search.children * sum(prompts),
    }


def main() -> None:
    """Print JSON, or save it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--simulations", type=int, default=96)
    parser.add_argument("--leaves", type=int, default=32)
    parser.add_argument("--children", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--json", action="store_true", help="print JSON instead of saving it")
    options = parser.parse_args()
    model = LocalLM(
        chat=False,
        stop=("\n",),
        max_new_tokens=options.tokens,
        threads=options.threads,
        batch=options.leaves * options.children,
    )
    search = StepMCTS(
        simulations=options.simulations,
        leaves=options.leaves,
        children=options.children,
        depth=12,
    )
    found = measure(model, search, lambda text: len(model.vocabulary.encode(text)))
    text = json.dumps(found, indent=2)
    if options.json:
        sys.stdout.write(text + "\n")
    else:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "tree.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
