"""A language model that is asked takes thousands of times the energy of a trained classifier.

Both mark the same held-out messages as spam or not, in one call each, and are measured in the same
way. Where no energy counter can be read the ratio of energies is a ratio of processor times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genwright.claims.data import data_file
from genwright.core import Cost, Ledger, child_seed, require
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.core.task_file import read_jsonl
from genwright.generators.language.local import LocalLM
from genwright.serving.power import Measured, measure_call
from genwright.serving.projection import GROWS, SHRINKS, Scenario, project, read_scenario
from genwright.serving.quantities import Given, Quantity

SMS = "text/sms_spam.jsonl.gz"
SHOTS = 6
HELD_OUT = 500
TUNING = 40
LABELS = ("ham", "spam")
Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Told:
    """What one classifier said of every message, and what that took."""

    right: float
    taken: Measured[list[str]]
    joules_each: float


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Mark 500 messages, of them 20 or all by prompting; project the language model's year."""
    rows = sorted(read_jsonl(data_file(SMS)), key=lambda row: child_seed(seed, row["text"]))
    test, train = rows[:HELD_OUT], rows[HELD_OUT:]
    small, single = classical(test, train)
    large = prompted(test[: 20 if scale == "smoke" else None], train)
    metrics = {
        "messages": len(large.taken.value),
        "accuracy_classifier": small.right,
        "accuracy_language_model": large.right,
        "accuracy_always_ham": sum(row["label"] == "ham" for row in test) / len(test),
        "joules_classifier": small.joules_each,
        "joules_language_model": large.joules_each,
        "ratio": large.joules_each / small.joules_each,
        "ratio_one_by_one": large.joules_each / single.joules_each,
    }
    scenario = read_scenario("high")
    metrics |= projected(scenario, large, seed)
    bounds = ("ratio >= 1000", "projection_error <= 0.000000001")
    notes = (
        f"joules are {large.taken.by}: {large.taken.joules.source}",
        "ratio: all messages at once; ratio_one_by_one: the classifier is given single messages",
        "the two are not equally accurate: read the ratio beside both accuracies",
        "the projection's formula and factors are genwright's, not the paper's: "
        + ", ".join(f"{k} {g.value:g} a year" for k, g in scenario.factors.items()),
    )
    cost = small.taken.cost + large.taken.cost + Cost(draws=len(large.taken.value))
    return ClaimResult(metrics=metrics, bounds=bounds, notes=notes, cost=cost)


def classical(test: Rows, train: Rows) -> tuple[Told, Told]:
    """TF-IDF and logistic regression, given all messages at once and one by one.

    Predicting all at once is repeated until it can be timed.
    """
    text = require("sklearn.feature_extraction.text", extra="images", needed_by="this claim")
    linear = require("sklearn.linear_model", extra="images", needed_by="this claim")
    pipeline = require("sklearn.pipeline", extra="images", needed_by="this claim")
    model = pipeline.make_pipeline(
        text.TfidfVectorizer(), linear.LogisticRegression(C=10, class_weight="balanced")
    )
    model.fit([row["text"] for row in train], [row["label"] for row in train])
    messages = [row["text"] for row in test]
    model.predict(messages)
    rounds = 20

    def together() -> list[str]:
        for _ in range(rounds - 1):
            model.predict(messages)
        return [str(label) for label in model.predict(messages)]

    def apart() -> list[str]:
        return [str(model.predict([message])[0]) for message in messages]

    return _told(measure_call(together), test, rounds), _told(measure_call(apart), test, 1)


def prompted(test: Rows, train: Rows) -> Told:
    """The embedded model, shown a few messages with their labels, scores both labels.

    How much likelier "spam" must be than "ham" is set on training messages, as the classifier's
    weights are: a small model leans to one label whatever the message (Zhao et al. 2021,
    arXiv:2102.09690). Neither setting it nor training the classifier is counted.
    """
    by_label = {label: [r for r in train if r["label"] == label] for label in LABELS}
    pairs = zip(*(by_label[label] for label in LABELS), strict=False)
    shown = [row for pair in pairs for row in pair][:SHOTS]
    examples = "".join(f"Message: {_line(r)}\nLabel: {r['label']}\n\n" for r in shown)
    lm = LocalLM(chat=False, template=examples + "Message: {prompt}\nLabel:")

    def lean(row: dict[str, Any]) -> float:
        ham, spam = lm.score(_line(row), [f" {label}" for label in LABELS])
        return spam - ham

    tuning = [row for label in LABELS for row in by_label[label][SHOTS : SHOTS + TUNING]]
    leans = [lean(row) for row in tuning]
    spams = [row["label"] == "spam" for row in tuning]

    def hits(cut: float) -> int:
        return sum((x >= cut) == spam for x, spam in zip(leans, spams, strict=True))

    cut = max(leans, key=hits)

    def mark() -> list[str]:
        return [LABELS[lean(row) >= cut] for row in test]

    return _told(measure_call(mark), test, 1)


def projected(scenario: Scenario, large: Told, seed: int) -> dict[str, float]:
    """Project a million messages a year, and compare the factor with its closed form."""
    joules = large.taken.joules
    share = 1e6 / len(large.taken.value) / 3.6e6
    low, high = joules.bounds
    now = Given(value=joules.value * share, low=low * share, high=high * share, source="measured")
    kwh = Quantity.input("now", now, "kWh")
    last = project(kwh, scenario)[scenario.last]
    closed = 1.0
    for name, given in scenario.factors.items():
        sign = (name in GROWS) - (name in SHRINKS)
        closed *= given.value ** (sign * (scenario.last - scenario.first))
    spread = last.interval95(seed)
    return {
        "kwh_a_year": kwh.value,
        "projected_factor": last.value / kwh.value,
        "projection_error": abs(last.value / kwh.value / closed - 1),
        "kwh_2030": last.value,
        "kwh_2030_low": spread[0],
        "kwh_2030_high": spread[1],
    }


def _told(taken: Measured[list[str]], test: Rows, rounds: int) -> Told:
    right = sum(a == row["label"] for a, row in zip(taken.value, test, strict=True)) / len(test)
    return Told(right, taken, taken.joules.value / rounds / len(test))


def _line(row: dict[str, Any]) -> str:
    return " ".join(row["text"].split())


CLAIM = Claim(
    slug="footprint",
    reference="Desroches et al. 2025, Exploring the sustainable scaling of AI dilemma: A "
    "projective study of corporations' AI environmental impacts, arXiv:2501.14334",
    statement="Marking a text message as spam takes the embedded language model, asked, at least "
    "1,000 times the energy of TF-IDF with logistic regression, and the projection equals its "
    "closed form.",
    run=run,
    needs={scale: (SMS,) for scale in ("smoke", "full")},
)
