"""Templates: one answer skeleton, several wordings of its question, typed parameters.

Use templates when the answers can be computed: a short bank gives any number of questions whose
answers are known to be right, and every item says which template, which wording and which structure
it came from, so that a held-out set can be kept apart and proved to be apart.

A parameter draws a `Value`, which is written one way in the answer (`'UA'`) and one or more ways in
the question (`United`). A wording is a frame (`How many flights did {airline} operate {in_month}?`)
whose fields are parameters or phrases; a phrase (`in {month}`, `during {month}`) is shared by many
templates, so that what is learned of it in one serves in all.

Zhang et al. 2024, "Training and Evaluating Language Models with Template-based Data Generation"
(TemplateGSM), arXiv:2411.18104, Section 2: meta-templates that draw parameters and emit problem and
checked solution. Ours: templates are data and not programs, wordings are composed of shared
phrases, and some frames and phrases are held out.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from genwright.core import InvalidArgument, Verdict, child_seed, uniform

FIELD = re.compile(r"\{(\w+)\}")
ORDERINGS = {"<": lt, "<=": le, ">": gt, ">=": ge, "=": eq, "!=": ne}
TRIES = 500


@dataclass(frozen=True)
class Value:
    """One value of a parameter: how an answer writes it, and the ways a question may say it."""

    answer: str
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Wordings:
    """Ways to say one thing, some of them kept for held-out questions alone."""

    train: tuple[str, ...]
    held_out: tuple[str, ...] = ()

    def all(self) -> tuple[str, ...]:
        """Every way, the held-out ones last."""
        return self.train + self.held_out


@dataclass(frozen=True, kw_only=True)
class Template:
    """One answer skeleton and the wordings of its question.

    Args:
        name: names it within its bank.
        structure: the shape of the answer; templates of one shape share it.
        answer: the skeleton, with `{parameter}` fields.
        frames: wordings of the question, whose `{fields}` are parameters or phrases.
        parameters: the values of each parameter. Those that share a list never draw the same value.
        phrases: the ways to word each phrase, whose `{fields}` are parameters.
        constraints: such as `"low < high"`, between the answers' numbers.
        allowed: parameters -> the combinations of their answers that may be drawn together.
        held_out: whether the whole template is kept for held-out questions.

    Raises:
        InvalidArgument: a field that is no parameter or phrase, or a parameter of the answer that
            some wording does not say.
    """

    name: str
    structure: str
    answer: str
    frames: Wordings
    parameters: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    phrases: Mapping[str, Wordings] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    allowed: Mapping[tuple[str, ...], frozenset[tuple[str, ...]]] = field(default_factory=dict)
    held_out: bool = False

    def __post_init__(self) -> None:
        wanted = set(FIELD.findall(self.answer))
        if unknown := wanted - self.parameters.keys():
            raise InvalidArgument(f"Template {self.name}: no parameter {sorted(unknown)}.")
        for frame in self.frames.all():
            said = set[str]()
            for name in FIELD.findall(frame):
                if name in self.phrases:
                    sets = [set(FIELD.findall(p)) for p in self.phrases[name].all()]
                    said |= set[str].intersection(*sets)
                elif name in self.parameters:
                    said.add(name)
                else:
                    raise InvalidArgument(f"Template {self.name}: {{{name}}} in {frame!r} is new.")
            if said != wanted:
                odd = sorted(said ^ wanted)
                raise InvalidArgument(f"Template {self.name}: {frame!r} and answer differ: {odd}.")

    def combinations(self) -> int:
        """The number of ways to choose the parameters, constraints aside."""
        product = 1
        for values in self.parameters.values():
            product *= len(values)
        return product


@dataclass(frozen=True, kw_only=True)
class SynthItem:
    """One synthesized question with its answer, and where both came from.

    Args:
        question: as a user would ask.
        answer: what is right: a query, a number.
        template: name of its template.
        phrasing: names the wording: the frame and the phrases chosen.
        structure: the shape of the answer.
        parameters: what each parameter's value is in the answer.
        held_out_wording: whether the frame or one of its phrases is kept from training.
        checks: what gates said of it.
    """

    question: str
    answer: str
    template: str
    phrasing: str
    structure: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    held_out_wording: bool = False
    checks: tuple[Verdict, ...] = ()

    def row(self) -> dict[str, Any]:
        """The item as a row of a table, without its checks."""
        names = ("question", "answer", "template", "phrasing", "structure")
        return {n: getattr(self, n) for n in names} | {"parameters": dict(self.parameters)}


@dataclass(frozen=True, kw_only=True)
class Cue:
    """A question says something exactly when its answer does something.

    Args:
        question: regular expression, looked for in the question in lower case (`"average|mean"`).
        answer: regular expression, looked for in the answer (`AVG`, then an opening bracket).
    """

    question: str
    answer: str

    def holds(self, item: "SynthItem") -> bool:
        """Whether both are there, or neither."""
        said = re.search(self.question, item.question.lower())
        return bool(said) == bool(re.search(self.answer, item.answer))


@dataclass(frozen=True)
class TemplateBank:
    """Templates by name, and the cues that each of their questions must respect.

    Raises:
        InvalidArgument: two templates of one name.
    """

    templates: tuple[Template, ...]
    cues: tuple[Cue, ...] = ()

    def __post_init__(self) -> None:
        names = [t.name for t in self.templates]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise InvalidArgument(f"TemplateBank: more than one template called {twice}.")

    def __len__(self) -> int:
        return len(self.templates)

    def __iter__(self) -> Iterator[Template]:
        return iter(self.templates)

    def __getitem__(self, name: str) -> Template:
        return next(t for t in self.templates if t.name == name)

    def only(self, *, held_out: bool) -> "TemplateBank":
        """The templates that are, or are not, held out as a whole."""
        return TemplateBank(tuple(t for t in self.templates if t.held_out == held_out), self.cues)


def render(template: Template, seed: int, *, held_out_wording: bool = False) -> SynthItem:
    """Draw one item; the same seed gives the same item.

    Args:
        template: what to render.
        seed: all choices come from it.
        held_out_wording: take a held-out frame (and any phrases) instead of trained ones.

    Raises:
        InvalidArgument: 200 draws of parameters broke a constraint, or no such wording exists.
    """
    values = draw_parameters(template, seed)
    return compose(template, values, seed, held_out_wording=held_out_wording)


def compose(
    template: Template, values: Mapping[str, Value], seed: int, *, held_out_wording: bool = False
) -> SynthItem:
    """Word one item whose parameters are given; the seed chooses frame, phrases and words."""
    frames = template.frames.held_out if held_out_wording else template.frames.train
    if not frames:
        raise InvalidArgument(f"Template {template.name}: it has no held-out wording.")
    offset = len(template.frames.train) if held_out_wording else 0
    index, frame = _pick(frames, seed, "frame")
    names = [f"{offset + index}"]
    fields: dict[str, str] = {}
    for name in FIELD.findall(frame):
        if name in template.phrases:
            ways = template.phrases[name]
            which, text = _pick(ways.all() if held_out_wording else ways.train, seed, name)
            names.append(f"{name}.{which}")
            fields[name] = text
    words = {n: _pick(v.words, seed, "words", n)[1] for n, v in values.items()}
    question = _capital(_fill(_fill(frame, fields), words))
    answers = {n: v.answer for n, v in values.items()}
    return SynthItem(
        question=question,
        answer=_fill(template.answer, answers),
        template=template.name,
        phrasing=f"{template.name}/{'/'.join(names)}",
        structure=template.structure,
        parameters=answers,
        held_out_wording=held_out_wording,
    )


def draw_parameters(template: Template, seed: int) -> dict[str, Value]:
    """Draw one value for each parameter, distinct where they share a list, within constraints."""
    for attempt in range(TRIES):
        values = {
            name: _pick(domain, seed, "parameter", name, attempt)[1]
            for name, domain in template.parameters.items()
        }
        if _fits(template, values):
            return values
    raise InvalidArgument(
        f"Template {template.name}: {TRIES} draws of its parameters broke its constraints"
        f" {list(template.constraints)} or are not allowed together; widen the lists."
    )


def _fits(template: Template, values: Mapping[str, Value]) -> bool:
    """Whether values obey the constraints; parameters that share a list must differ."""
    drawn = [(id(template.parameters[name]), value.answer) for name, value in values.items()]
    return (
        len(set(drawn)) == len(drawn)
        and all(_holds(constraint, values) for constraint in template.constraints)
        and all(
            tuple(values[name].answer for name in names) in rows
            for names, rows in template.allowed.items()
        )
    )


def _holds(constraint: str, values: Mapping[str, Value]) -> bool:
    left, sign, right = constraint.split()
    return ORDERINGS[sign](float(values[left].answer), float(values[right].answer))


def _pick(choices: Iterable[Any], seed: int, *names: int | str) -> tuple[int, Any]:
    """Choose one of several, evenly; what it is called decides, not the order of asking."""
    ways = tuple(choices)
    index = int(uniform(child_seed(seed, "pick"), *names) * len(ways))
    return index, ways[index]


def _fill(text: str, fields: Mapping[str, str]) -> str:
    """Replace `{name}` fields that are given, and leave the others."""
    return FIELD.sub(lambda m: fields.get(m[1], m[0]), text)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
