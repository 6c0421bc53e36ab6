"""Partial programs miss the right one no more often than promised, and keep more than greedy ones.

Task A: questions about two databases, answered by a model of three million weights trained from
nothing. Task B: return expressions of Python's standard library, completed by the embedded model.
"""

import ast
import sysconfig
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.assurance.nested_holes import GreedyHoles, Holes, NestedHoles, default_thresholds
from genwright.assurance.pac_code import PACSet, PartialProgram
from genwright.assurance.program_tree import Node, ProgramTree, scored_tokens
from genwright.claims.data import data_file
from genwright.core import Cost, Ledger, Task, child_seed, solve
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.core.statistics import k_max
from genwright.generators.language.local import LocalLM
from genwright.generators.language.untrained import untrained
from genwright.learning.supervised import Supervised
from genwright.search.single import Single
from genwright.synthesis.sql_templates import TemplateQuestions

DATABASES = ("sql/chinook.sqlite", "sql/northwind.sqlite")
EPSILON, DELTA, M, SPLITS = 0.2, 0.05, 3, 50
CALIBRATION, TEST = 200, 400
THRESHOLDS = default_thresholds(20)
MODULES = """
argparse ast base64 bisect calendar cmd collections colorsys configparser contextlib copy csv
datetime difflib dis email.message email.utils enum fileinput fnmatch fractions functools gettext
glob gzip heapq hmac html http.client http.cookies imaplib inspect ipaddress json linecache locale
logging mailbox mimetypes numbers operator optparse os pathlib pickle pickletools platform plistlib
posixpath pprint pydoc queue random re sched secrets selectors shelve shlex shutil smtplib socket
socketserver ssl statistics string subprocess sysconfig tarfile tempfile textwrap threading timeit
tokenize trace traceback types typing unittest.case unittest.mock urllib.parse urllib.request uuid
warnings wave weakref xml.dom.minidom xml.etree.ElementTree zipfile asyncio.base_events
"""


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Check the promise over random splits: on simulated programs, and on real draws."""
    simulated = [_simulated(seed, i) for i in range(CALIBRATION + TEST)]
    metrics = {f"simulated_{k}": v for k, v in _measured(simulated, seed).items()}
    bounds = ("simulated_within >= 0.9", "simulated_gain >= 0")
    if scale == "smoke":
        notes = ("simulated programs only; models and real programs run at full scale",)
        return ClaimResult(metrics=metrics, bounds=bounds, notes=notes)
    book, cost = ledger or Ledger(), Cost()
    for name, draw in (("sql", _sql), ("python", _python)):
        pairs, spent = draw(book, seed)
        cost += spent
        metrics |= {f"{name}_{k}": v for k, v in _measured(pairs, seed).items()}
        bounds += (f"{name}_within >= 0.9",)
    bounds += ("sql_kept >= 0.6", "sql_gain >= 0.05", "sql_top1_missed >= 0.2")
    notes = (
        f"{SPLITS} random splits into {CALIBRATION} calibration and {TEST} test programs, or what "
        f"is left; epsilon {EPSILON}, delta {DELTA}, at most {M} holes",
        "gain: share of nodes kept beyond greedy removal, calibrated for the same promise",
    )
    return ClaimResult(metrics=metrics, bounds=bounds, notes=notes, cost=cost)


Pair = tuple[ProgramTree, ProgramTree]
"""A prediction and the right program."""


def _measured(pairs: Sequence[Pair], seed: int) -> dict[str, float]:
    """Return what splits of the pairs show of the exact and of the greedy partial programs."""
    exact = _table(NestedHoles(m=M, thresholds=THRESHOLDS), pairs)
    greedy = _table(GreedyHoles(m=M, thresholds=THRESHOLDS), pairs)
    allowed = k_max(CALIBRATION, EPSILON, DELTA)
    rows = []
    for split in range(SPLITS):
        order = np.random.default_rng(child_seed(seed, "split", split)).permutation(len(pairs))
        rows.append([x for table in (exact, greedy) for x in _split(table, order, allowed)])
    missed, kept, _, greedily = np.mean(rows, axis=0)
    wrong = [not (len(tree) and _whole(tree).contains(right)) for tree, right in pairs]
    return {
        "within": float(np.mean([row[0] <= EPSILON for row in rows])),
        "missed": missed,
        "worst_missed": max(row[0] for row in rows),
        "kept": kept,
        "gain": kept - greedily,
        "top1_missed": float(np.mean(wrong)),
        "programs": len(pairs),
    }


def _table(holes: Holes, pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """Return [2, programs, thresholds]: whether each is missed, and the share kept."""
    missed, kept = [], []
    for tree, right in pairs:
        partial = [PartialProgram(tree, row) for row in holes.solve(tree)]
        missed.append([not p.contains(right) for p in partial])
        kept.append([p.share_kept for p in partial])
    return np.array([missed, kept], dtype=np.float64)


def _split(
    table: NDArray[np.float64], order: NDArray[np.int64], allowed: int
) -> tuple[float, float]:
    """Calibrate on the first programs of an order; return miss rate and share kept of the rest."""
    missed, kept = table
    counts = missed[order[:CALIBRATION]].sum(axis=0).astype(np.int64)
    level = PACSet(holes=NestedHoles(thresholds=THRESHOLDS)).calibrate_misses(counts, allowed).level
    rest = order[CALIBRATION : CALIBRATION + TEST]
    if level < 0:
        return 0.0, 0.0
    return float(missed[rest, level].mean()), float(kept[rest, level].mean())


def _whole(tree: ProgramTree) -> PartialProgram:
    return PartialProgram(tree, np.ones(len(tree), dtype=np.bool_))


def _simulated(seed: int, number: int) -> Pair:
    """Return a random tree of which each node is wrong by chance, and then mostly dearer."""
    rng = np.random.default_rng(child_seed(seed, "simulated", number))
    n = int(rng.integers(6, 16))
    parents = [-1, *(int(rng.integers(max(0, i - 6), i)) for i in range(1, n))]
    wrong = rng.random(n) < 0.04
    costs = np.where(wrong, rng.exponential(1.5, n), rng.exponential(0.08, n))
    told = (
        Node(f"{i}", p, 0, 0, float(c)) for i, (p, c) in enumerate(zip(parents, costs, strict=True))
    )
    right = (
        Node(f"{i}{'!' * int(w)}", p, 0, 0)
        for i, (p, w) in enumerate(zip(parents, wrong, strict=True))
    )
    return ProgramTree("", tuple(told), "python"), ProgramTree("", tuple(right), "python")


def _sql(book: Ledger, seed: int) -> tuple[list[Pair], Cost]:
    """Train a model on template questions, and let it answer held-out ones."""
    rows, asked = [], []
    for database in DATABASES:
        source = TemplateQuestions(database=str(data_file(database)), n=1200, seed=seed)
        rows += source.rows()
        held = TemplateQuestions(
            database=source.database, split="parameters", n=CALIBRATION + TEST, seed=seed
        )
        asked += held.rows()
    asked = sorted(asked, key=lambda row: child_seed(seed, row["question"]))[: CALIBRATION + TEST]
    data = [{"prompt": row["question"], "completion": row["sql"]} for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        model = _trained(Path(folder), data, seed)
        drawn, cost = _drawn(model, [row["question"] for row in asked], book, "sql", seed)
        words = model.vocabulary
        pairs = [
            (ProgramTree.from_sql(s.value, scored_tokens(s, words)), ProgramTree.from_sql(r["sql"]))
            for s, r in zip(drawn, asked, strict=True)
        ]
    return pairs, cost


def _trained(folder: Path, data: list[dict[str, Any]], seed: int) -> LocalLM:
    texts = [f"{row['prompt']}\n{row['completion']}" for row in data]
    start = untrained(
        folder / "untrained", texts, vocabulary=1024, width=192, layers=5, heads=4, seed=seed
    )
    model = LocalLM(model=str(start), chat=False, dtype="float32", max_new_tokens=96)
    learner = Supervised(
        folder=str(folder / "trained"),
        steps=STEPS,
        batch=24,
        learning_rate=2e-3,
        warmup=30,
        rank=0,
        max_tokens=128,
        save_every=STEPS,
    )
    return learner.fit(model, data, seed=seed)


STEPS = 450


def _drawn(
    model: LocalLM, prompts: Sequence[str], book: Ledger, name: str, seed: int
) -> tuple[list[Any], Cost]:
    """Draw the likeliest continuation of each prompt, with the log-probabilities of its tokens."""
    greedy = replace(model, temperature=0.0, logprobs=0)
    tasks = [Task(prompt, key=f"{name}-{i}") for i, prompt in enumerate(prompts)]
    found = solve(
        tasks, greedy, Single(), ledger=book, name=f"pac-code: {name}", seed=seed, workers=16
    )
    return [outcome.chosen for outcome in found.outcomes], found.cost


def _python(book: Ledger, seed: int) -> tuple[list[Pair], Cost]:
    """Let the embedded model complete the last line of functions of the standard library."""
    asked = sorted(_returns(), key=lambda pair: child_seed(seed, pair[0]))[: CALIBRATION + TEST]
    model = LocalLM(chat=False, max_new_tokens=32, stop=("\n",))
    drawn, cost = _drawn(model, [prompt for prompt, _ in asked], book, "python", seed)
    pairs: list[Pair] = []
    for sample, (_, right) in zip(drawn, asked, strict=True):
        said = [(b"return", 0.0), *scored_tokens(sample, model.vocabulary)]
        written = b"".join(token for token, _ in said).decode("utf-8", "replace")
        code = written.partition("\n")[0].partition("#")[0].rstrip()
        tree = ProgramTree.from_python(code, said)
        pairs.append((tree, ProgramTree.from_python(right)))
    return pairs, cost


def _returns(longest: int = 200) -> list[tuple[str, str]]:
    """Return (text up to the last `return`, the return statement) of short functions."""
    found: dict[str, str] = {}
    for name in MODULES.split():
        path = Path(sysconfig.get_path("stdlib"), *name.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        source = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.FunctionDef) or not isinstance(node.body[-1], ast.Return):
                continue
            last = node.body[-1]
            if last.value is None or last.lineno != last.end_lineno or len(node.body) < 2:
                continue
            text = textwrap.dedent("\n".join(source.splitlines()[node.lineno - 1 : last.lineno]))
            prompt = text[: text.rindex("return") + len("return")]
            if len(prompt) <= longest:
                found[prompt] = ast.unparse(last)
    return list(found.items())


CLAIM = Claim(
    slug="pac-code",
    reference="Khakhar et al. 2023, PAC Prediction Sets for Large Language Models of Code, "
    "arXiv:2302.08703",
    statement="With epsilon 0.2 and delta 0.05 partial programs miss the right one in at most 20% "
    "of test programs in at least 90% of 50 random splits, for SQL and for Python; on SQL they "
    "keep at least 60% of the nodes with at most 3 holes, 5 points more than greedy removal, where "
    "the likeliest program alone misses more than 20%.",
    run=run,
    needs={"full": DATABASES},
)
