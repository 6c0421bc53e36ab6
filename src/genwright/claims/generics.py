"""Generics about common nouns: the prompts, the formula, and what WordNet says of the draws."""

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from genwright.core import Generator, Ledger, Samples, Task, Verdict, child_seed, solve
from genwright.generators.language.local import LocalLM
from genwright.learning.fit_critic import CriticReport, fit_critic
from genwright.learning.self_imitation import SelfImitation
from genwright.learning.supervised import Supervised
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.steering.grammar import Regex
from genwright.steering.logic import CNF
from genwright.steering.neurologic import NeurologicBeam
from genwright.verifiers.critic import Critic
from genwright.verifiers.wordnet import Relation, WordnetGeneric, wordnet

BEGINNINGS: Mapping[Relation, str] = {
    "kind": "A rose is a kind of flower.\nA hammer is a kind of tool.\n{a} {noun} is a kind of",
    "part": "A rose has petals.\nA hammer has a handle.\n{a} {noun} has",
}
SHOWN = {"rose", "hammer"}
EMPTY = """thing something someone anything object item kind type sort form way part lot number one
that which who what this these those it its they their not no never been only same very more"""
PHRASE = Regex(pattern=" [a-z][a-z -]{1,40}[.]")
BEAM, DRAWS, LABELLED, TOKENS = 8, 3, 5, 8
PRECISION = 0.75
"""Wanted of the critic: it does not reach 0.9 on prompts that it was not trained on."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is run.

    Args:
        critic: nouns whose draws train the critic.
        imitated: nouns whose draws are imitated.
        measured: further nouns, of which nothing is trained on.
        steps: of training.
    """

    critic: int
    imitated: int
    measured: int
    steps: int


@dataclass(frozen=True)
class Decoded:
    """A generator that makes another for every prompt, and keeps its first `most` draws."""

    decode: Callable[[str], Generator[str]]
    most: int
    kept: dict[str, Samples[str]] = field(default_factory=dict[str, Samples[str]])

    def sample(self, prompt: str, n: int, *, seed: int, first: int = 0) -> Samples[str]:
        """Return what the prompt's own generator draws."""
        if prompt not in self.kept:
            self.kept[prompt] = self.decode(prompt).sample(prompt, self.most, seed=seed)
        return self.kept[prompt][first : first + n]


def rows(nouns: Sequence[str]) -> list[Row]:
    """Return both beginnings for every noun."""
    return [
        {
            "noun": noun,
            "relation": relation,
            "prompt": beginning.format(a="An" if noun[0] in "aeiou" else "A", noun=noun),
        }
        for noun in nouns
        for relation, beginning in BEGINNINGS.items()
    ]


def common_nouns(n: int) -> list[str]:
    """Return the n commonest nouns for things: no persons, no names, with parts in WordNet."""
    known = wordnet()
    thing, person = known.synsets("physical entity")[0], known.synsets("person")[0]
    found: list[str] = []
    for noun in sorted(known.counts, key=lambda lemma: (-known.counts[lemma], lemma)):
        first = known.synsets(noun)[:1]
        if not first or not re.fullmatch("[a-z]{3,}", noun) or noun in SHOWN or noun[-1] == "s":
            continue
        above = known.all_above(first)
        named = first[0] in known.instances
        if thing in above and person not in {*first, *above} and not named and known.has(first):
            found.append(noun)
    return found[:n]


def formula(prompt: str) -> CNF:
    """Return what a draw must not say: the noun itself, and words that say nothing."""
    noun = prompt.rpartition("\n")[2].split()[1]
    return CNF(clauses=[(f"!{word}",) for word in (noun, f"{noun}s", *EMPTY.split())])


def measure(sizes: Sizes, seed: int, ledger: Ledger) -> tuple[dict[str, float], list[str]]:
    """Return the precision at every stage, and notes."""
    nouns = common_nouns(sizes.critic + sizes.imitated + sizes.measured)
    every = (len(nouns) - 1) // sizes.critic + 1  # of all degrees of commonness
    others = nouns[::every][: sizes.critic]
    subjects = [noun for noun in nouns if noun not in set(others)]
    imitated, measured = subjects[: sizes.imitated], subjects[sizes.imitated :]
    model = LocalLM(chat=False, top_p=0.9, temperature=1.0, max_new_tokens=TOKENS, stop=(".", "\n"))

    def beam(prompt: str) -> NeurologicBeam:
        return NeurologicBeam(
            model=LocalLM(chat=False, constraints=(PHRASE,)),
            cnf=formula(prompt),
            beam=BEAM,
            ends=".",
            max_tokens=TOKENS,
        )

    logic = Decoded(beam, BEAM)
    metrics: dict[str, float] = {}

    def stage(name: str, generator: Generator[str], about: Sequence[str], n: int) -> list[Row]:
        made = drawn(generator, rows(about), n, child_seed(seed, name), ledger)
        metrics[f"{name}_precision"] = precision(made)
        metrics[f"{name}_distinct"] = 1000 * len(statements(made)) / max(1, len(made))
        return made

    stage("sampled", model, subjects, DRAWS)
    metrics["sampled_held_out_precision"] = 0.0  # in its place in the order of the table
    stage("logic", logic, subjects, DRAWS)
    found = drawn(logic, rows(subjects), BEAM, child_seed(seed, "critic"), ledger)
    with tempfile.TemporaryDirectory() as folder:
        labelled = drawn(logic, rows(others), LABELLED, child_seed(seed, "label"), ledger)
        file = f"{folder}/critic.npz"
        report = fit_critic(
            file, _about(labelled), seed=child_seed(seed, "fit"), precision=PRECISION
        )
        accepted = [row for row in found if _accepts(file, row)]
        metrics["critic_precision"] = precision(accepted)
        metrics["critic_kept"] = len(accepted) / len(found)
        metrics["critic_distinct"] = 1000 * len(statements(accepted)) / max(1, len(accepted))
        start = drawn(model, rows(measured), DRAWS, child_seed(seed, "measured"), ledger)
        metrics["sampled_held_out_precision"] = precision(start)
        arms = {"imitation": lambda row: Critic(file=file, prompt=_short(row["prompt"]))}
        for name, critic in {**arms, "control": None}.items():
            learner = SelfImitation(
                learner=Supervised(
                    folder=f"{folder}/{name}", steps=sizes.steps, batch=4, template="{prompt}"
                ),
                critic=critic,
                decode=lambda _, row: logic,
                rounds=1,
                draws=BEAM,
            )
            tuned = learner.fit(model, rows(imitated), seed=child_seed(seed, "imitate"))
            stage(name, replace(tuned, template=model.template), measured, DRAWS)
    return metrics, _notes(sizes, report)


def drawn(
    generator: Generator[str], about: Sequence[Row], n: int, seed: int, ledger: Ledger
) -> list[Row]:
    """Return n draws for every row, each with what WordNet says of it."""
    tasks = [
        Task(row["prompt"], WordnetGeneric(noun=row["noun"], relation=row["relation"]), str(i))
        for i, row in enumerate(about)
    ]
    strategy = RepeatedSampling(n=n, stop_on_pass=False)
    outcomes = solve(tasks, generator, strategy, seed=seed, ledger=ledger, workers=16).outcomes
    made: list[Row] = []
    for row, task, outcome in zip(about, tasks, outcomes, strict=True):
        verdicts: list[Verdict] = task.verifier.check(outcome.samples) if task.verifier else []
        made += [
            {**row, "text": text, "true": v.passed is True, "said": v.evidence["said"]}
            for text, v in zip(outcome.samples.values, verdicts, strict=True)
        ]
    return made


def precision(made: Sequence[Row]) -> float:
    """Return the share of draws that WordNet says are true; 0 of no draws."""
    return sum(row["true"] for row in made) / max(1, len(made))


def statements(made: Sequence[Row]) -> set[tuple[str, str, str]]:
    """Return the different statements."""
    return {(row["noun"], row["relation"], row["said"] or row["text"].strip()) for row in made}


def _about(made: Sequence[Row]) -> list[Row]:
    return [
        {"prompt": _short(row["prompt"]), "completion": row["text"], "passed": row["true"]}
        for row in made
    ]


def _short(prompt: str) -> str:
    """Return a prompt without its examples, which say nothing of the noun."""
    return prompt.rpartition("\n")[2]


def _accepts(file: str, row: Row) -> bool:
    critic = Critic(file=file, prompt=_short(row["prompt"]))
    return critic.check(Samples([row["text"]]))[0].passed is True


def _notes(sizes: Sizes, report: CriticReport) -> list[str]:
    wanted = "reached" if report.reached else "not reached: the best threshold was taken"
    return [
        f"generics of {sizes.imitated + sizes.measured} nouns; imitation trains on draws for "
        f"{sizes.imitated} of them and is measured on the other {sizes.measured}",
        f"critic: {report.rows} draws for {sizes.critic} other nouns, {report.base:.0%} of them "
        f"true; precision on held-out nouns {report.precision:.2f} at recall {report.recall:.2f} "
        f"({PRECISION} was wanted: {wanted})",
        "what WordNet does not say counts as false: precisions are lower bounds",
    ]
