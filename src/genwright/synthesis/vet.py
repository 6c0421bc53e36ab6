"""Vetting a template: does its question mean what its answer computes?

That an answer runs proves little: a template that says one number and computes with another runs
without error and is wrong every time. `vet` renders a template many times and looks at seven things
that a careful reader would look at; it can be run on every bank in a test.

1. It renders, and within its constraints.
2. The question shows a word of every parameter, and two values of a parameter share no word.
3. Every literal of the answer is a parameter or a usual constant, and so is every number that a
   wording writes out.
4. Metamorphic: changing one parameter alone changes the question and the answer.
5. The cues of the bank hold (`Cue`: a question says "average" exactly when the query averages).
6. The gate passes the answer in most renders (it runs, and its result says something).
7. Changing one parameter changes the result now and then; one that never does is not used.

Zhang et al. 2024, arXiv:2411.18104, Section 2 vets by 50 runs without an exception (part of 6).
Ours: everything else.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from genwright.core import InvalidArgument, child_seed
from genwright.synthesis.templates import (
    FIELD,
    Cue,
    SynthItem,
    Template,
    Value,
    compose,
    draw_parameters,
)

USUAL = frozenset({"0", "1", "100.0"})
"""Literals an answer may hold although no question says them: zero, LIMIT 1, percentages."""

YEAR = "2013"
LITERAL = re.compile(r"'([^']*)'|(?<![\w.])(\d+(?:\.\d+)?)(?![\w.])")
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")


@dataclass(frozen=True, kw_only=True)
class VetReport:
    """What was found wrong with a template.

    Args:
        template: its name.
        trials: how many items were rendered.
        faults: sentences; none where the template is sound.
        dropped: how many renders the gate dropped, by reason.
    """

    template: str
    trials: int
    faults: tuple[str, ...]
    dropped: Mapping[str, int]

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.faults


def vet(
    template: Template,
    *,
    trials: int = 50,
    gate: Callable[[str], str | None] | None = None,
    result: Callable[[str], object] | None = None,
    cues: tuple[Cue, ...] = (),
    constants: frozenset[str] = frozenset({YEAR}),
    usable: float = 0.8,
    seed: int = 0,
) -> VetReport:
    """Render a template many times and report what is wrong with it.

    Args:
        template: what to vet; its held-out wordings are vetted too.
        trials: how many items; the paper's 50.
        gate: tells why an answer is no good, or None where it is (`gates.fault` of a database).
        result: computes an answer; without it, whether parameters matter is not looked at.
        cues: of its bank.
        constants: numbers that wordings may write out.
        usable: the least share of renders that must pass the gate.
        seed: of the renders.
    """
    faults: dict[str, None] = {}
    dropped: Counter[str] = Counter()
    moved = set[str]()
    for fault in (*_shared_words(template), *_hidden_constants(template, constants)):
        faults[fault] = None
    for trial in range(trials):
        own = child_seed(seed, template.name, trial)
        try:
            values = draw_parameters(template, own)
        except InvalidArgument as error:
            faults[str(error)] = None
            break
        item = compose(template, values, own, held_out_wording=_held_out(template, trial))
        for fault in _item_faults(template, item, values, cues):
            faults[fault] = None
        if gate is not None and (reason := gate(item.answer)) is not None:
            dropped[reason] += 1
        for name, twin in _twins(template, values, own, trial):
            if twin.question == item.question or twin.answer == item.answer:
                faults[f"changing {{{name}}} alone does not change question and answer"] = None
            if result is not None and name not in moved:
                moved |= {name} if result(twin.answer) != result(item.answer) else set()
    if sum(dropped.values()) > (1 - usable) * trials:
        faults[f"only {trials - sum(dropped.values())} of {trials} answers are of use"] = None
    if result is not None:
        for name in sorted(template.parameters.keys() - moved):
            faults[f"{{{name}}} never changes the result"] = None
    return VetReport(
        template=template.name, trials=trials, faults=tuple(faults), dropped=dict(dropped)
    )


def _held_out(template: Template, trial: int) -> bool:
    return bool(template.frames.held_out) and trial % 2 == 1


def _shared_words(template: Template) -> list[str]:
    """Find words that stand for two values of one parameter."""
    faults = list[str]()
    for name, values in template.parameters.items():
        words = Counter(word.lower() for value in values for word in set(value.words))
        faults += [
            f"{word!r} stands for two values of {{{name}}}" for word in words if words[word] > 1
        ]
    return faults


def _hidden_constants(template: Template, constants: frozenset[str]) -> list[str]:
    """Find literals in the answer that no wording says, and numbers in wordings it does not use."""
    bare = FIELD.sub("x", template.answer)
    literals = {text or number for text, number in LITERAL.findall(bare)} - {"x"}
    faults = [f"the answer holds {v!r}, which no question says" for v in sorted(literals - USUAL)]
    texts = [*template.frames.all(), *(p for w in template.phrases.values() for p in w.all())]
    for text in texts:
        numbers = set(NUMBER.findall(FIELD.sub("x", text))) - literals - constants - {"0"}
        faults += [f"{text!r} says {n}, which the answer does not use" for n in sorted(numbers)]
    return faults


def _item_faults(
    template: Template, item: SynthItem, values: Mapping[str, Value], cues: tuple[Cue, ...]
) -> list[str]:
    """Look at one item: parameters that are not shown, cues that do not hold."""
    text = item.question.lower()
    faults = [
        f"a question does not show {{{name}}}: {item.question!r}"
        for name, value in values.items()
        if not any(re.search(rf"(?<!\w){re.escape(w.lower())}(?!\w)", text) for w in value.words)
    ]
    broken = [cue for cue in cues if not cue.holds(item)]
    faults += [
        f"{cue.question!r} should go with {cue.answer!r}: frame {item.phrasing}" for cue in broken
    ]
    return faults


def _twins(
    template: Template, values: Mapping[str, Value], seed: int, trial: int
) -> Iterator[tuple[str, SynthItem]]:
    """Yield (parameter, the same item with another value of that parameter alone)."""
    for name, domain in template.parameters.items():
        others = [value for value in domain if value != values[name]]
        if others:
            other = others[child_seed(seed, "other", name) % len(others)]
            changed = {**values, name: other}
            held_out = _held_out(template, trial)
            yield name, compose(template, changed, seed, held_out_wording=held_out)
