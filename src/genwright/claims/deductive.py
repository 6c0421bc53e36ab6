"""Steps are better judged by the premises they cite than by all that was said before them."""

from typing import Any

from genwright.claims.data import data_file
from genwright.core import Cost, Ledger, Samples, Task, child_seed, solve
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.core.statistics import mcnemar
from genwright.core.task_file import read_jsonl
from genwright.generators.language.local import LocalLM
from genwright.generators.language.recorded import RecordedGenerator
from genwright.search.deductive import UnanimityPlurality
from genwright.search.majority_vote import MajorityVote
from genwright.verifiers.deduction import Deduction, Premises, StepVerifier, SymbolicStepVerifier
from genwright.verifiers.natural_program import ChainAnswer
from genwright.verifiers.predicate import Predicate
from genwright.verifiers.prompted_steps import PromptedStepVerifier

CHAINS = "reasoning/natural_program_annotated.jsonl.gz"
DATES = "reasoning/date_understanding_samples.jsonl.gz"
OTHERS = ("addsub", "aqua_rat", "date")
JUDGED_BY_MODEL = 8
"""Chains of each label that the embedded model judges: enough to see chance, no more."""

Rows = list[dict[str, Any]]


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Compare both contexts with the annotators; at full scale on every part, and with a model."""
    rows = list(read_jsonl(data_file(CHAINS)))
    parts = {name: [r for r in rows if r["set"] == name] for name in ("gsm8k", *OTHERS)}
    metrics, left_out = _compared("gsm8k", parts["gsm8k"])
    checks = SymbolicStepVerifier(checks=("calculation",))
    metrics["gsm8k_calculation_alone"] = _balanced(_judged(parts["gsm8k"], checks, "cited"))
    bounds = ("gsm8k_cited >= 0.7", "gsm8k_difference >= 0.1")
    notes = ["the symbolic rules were written with the GSM8K chains in view, not the others"]
    cost = Cost()
    if scale == "full":
        for name in OTHERS:
            found, more = _compared(name, parts[name])
            metrics |= found
            left_out += more
            bounds += (f"{name}_difference >= 0",)
        told, cost = _by_model(parts["gsm8k"], seed)
        metrics |= told
        book = ledger or Ledger()
        voted, spent = _votes(book, seed)
        metrics |= voted
        cost += spent
        notes.append("the embedded model as judge, and votes on dates: reported, not required")
    notes.append(f"{left_out} chains could not be read, or had no step, and are left out")
    return ClaimResult(metrics=metrics, bounds=bounds, notes=tuple(notes), cost=cost)


def _compared(name: str, rows: Rows) -> tuple[dict[str, float], int]:
    """Return the balanced accuracies with cited and with all premises, and what was left out."""
    cited, everything = (
        _judged(rows, SymbolicStepVerifier(), premises) for premises in ("cited", "all")
    )
    one, other = _balanced(cited), _balanced(everything)
    right = [[said == flag for said, flag in judged] for judged in (cited, everything)]
    metrics = {f"{name}_cited": one, f"{name}_all": other, f"{name}_difference": one - other}
    metrics[f"{name}_valid_kept"] = _rate(cited, True)
    metrics[f"{name}_p_value"] = mcnemar(right[0], right[1]).p_value
    return metrics, len(rows) - len(cited)


def _judged(rows: Rows, steps: StepVerifier, premises: Premises) -> list[tuple[bool, bool]]:
    """Return what was said of each chain that could be judged, and what the annotator says."""
    verdicts = Deduction(steps=steps, premises=premises).check(Samples([r["chain"] for r in rows]))
    pairs = zip(verdicts, rows, strict=True)
    return [(v.passed, bool(row["flag"])) for v, row in pairs if v.passed is not None]


def _rate(judged: list[tuple[bool, bool]], label: bool) -> float:
    said = [verdict == label for verdict, flag in judged if flag == label]
    return sum(said) / len(said) if said else 0.0


def _balanced(judged: list[tuple[bool, bool]]) -> float:
    return (_rate(judged, True) + _rate(judged, False)) / 2


def _by_model(rows: Rows, seed: int) -> tuple[dict[str, float], Cost]:
    """Let the embedded model judge some chains of both labels, one greedy reply a step."""
    model = LocalLM(temperature=0.0, max_new_tokens=48)
    steps = PromptedStepVerifier(generator=model, k=1, seed=seed)
    ordered = sorted(rows, key=lambda r: child_seed(seed, r["question"]))
    labelled = ([r for r in ordered if r["flag"] == flag] for flag in (0, 1))
    some = [r for same in labelled for r in same[:JUDGED_BY_MODEL]]
    verdicts = Deduction(steps=steps).check(Samples([r["chain"] for r in some]))
    pairs = zip(verdicts, some, strict=True)
    judged = [(v.passed, bool(r["flag"])) for v, r in pairs if v.passed is not None]
    metrics = {"model_balanced": _balanced(judged), "model_decided": len(judged) / len(some)}
    return metrics, sum((v.cost for v in verdicts), Cost())


def _votes(book: Ledger, seed: int) -> tuple[dict[str, float], Cost]:
    """Vote on ChatGPT's ten recorded chains for each question on dates, checked and unchecked."""
    rows = list(read_jsonl(data_file(DATES)))
    generator = RecordedGenerator(
        rows=rows, prompt_field="question", values_field="samples", value_field="text"
    )
    tasks = [
        Task(
            row["question"],
            Predicate(function=lambda chain, gold=row["answer"]: ChainAnswer()(chain) == gold),
            f"date-{i}",
        )
        for i, row in enumerate(rows)
    ]
    metrics, cost = {}, Cost()
    strategies = {
        "votes_all": MajorityVote(key=ChainAnswer(), k=10),
        "votes_valid": UnanimityPlurality(k=10),
    }
    for name, strategy in strategies.items():
        found = solve(tasks, generator, strategy, ledger=book, name=f"deductive: {name}", seed=seed)
        metrics[name] = sum(o.passed is True for o in found.outcomes) / len(tasks)
        cost += found.cost
    return metrics, cost


CLAIM = Claim(
    slug="deductive",
    reference="Ling et al. 2023, Deductive Verification of Chain-of-Thought Reasoning, "
    "arXiv:2306.03872",
    statement="A verifier that sees only the premises a step cites reaches a balanced accuracy of "
    "at least 0.70 on annotated GSM8K chains, at least 0.10 above the same verifier with all "
    "earlier statements, and is not worse on AddSub, AQuA and dates.",
    run=run,
    needs={"smoke": (CHAINS,), "full": (CHAINS, DATES)},
)
