"""Steps are judged by what they cite; a chain is valid if all its steps are."""

from dataclasses import replace
from itertools import product

import pytest

from genwright.core import Cost, InvalidArgument, Samples
from genwright.core.task_file import read_jsonl
from genwright.testing import Scripted
from genwright.verifiers.deduction import Deduction, Step, SymbolicStepVerifier, judge_chain
from genwright.verifiers.natural_program import NaturalProgram
from genwright.verifiers.prompted_steps import PromptedStepVerifier, read_reply

PREMISES = ("Ann has 3 pens.", "A pen costs $1,250.50 less 20%.", "1/4 of them are red.")
CHAIN = "#1. Ann has 3 pens.\n#2. Bob has 4 pens.\n#3. ({}) Step 1: Together: 3 + 4 = {} pens"


def judged(text, premises=PREMISES, **settings):
    return SymbolicStepVerifier(**settings).check(Samples([Step(premises, text)]))[0].passed


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("She has 3 pens.", True),
        ("She has three pens.", True),
        ("She has 5 pens.", False),
        ("Price: $1250.50", True),
        ("Discount: 20%, so 0.20 of it, and 80% or 0.8 remain", True),
        ("80 of 100 remain", True),
        ("A share of 0.25", True),
        ("A share of 25%", True),
        ("A share of 0.3", False),
        ("Sum: 3 + 3 = 6\nTwice that: 6 * 2 = 12\nSo 12.", True),
        ("Sum: 3 + 3 = 7", False),
        ("Sum: 3 + 5 = 8", False),  # right, but where does 5 come from?
        ("60 minutes an hour, 100 percent, 7 days", True),
        ("By #9 and step 8, the answer is B) 77.", True),
        ("Today is 05/01/2021.", True),
        ("No number at all", True),
    ],
)
def test_numbers_need_a_source_and_equations_hold(text, passes):
    assert judged(text) is passes


def test_each_check_can_be_made_alone():
    assert judged("3 + 5 = 8", checks=("calculation",)) is True
    assert judged("3 + 3 = 7", checks=("grounding",)) is True
    assert judged("3 + 3 = 7", checks=("calculation",)) is False
    with pytest.raises(InvalidArgument, match="checks"):
        SymbolicStepVerifier(checks=())
    with pytest.raises(InvalidArgument, match="checks"):
        SymbolicStepVerifier(checks=("spelling",))


@pytest.mark.parametrize(
    ("chain", "premises", "passed", "score"),
    [
        (CHAIN.format("by #1 #2", 7), "cited", True, 1.0),
        (CHAIN.format("by #1 #2", 8), "cited", False, 0.0),
        (CHAIN.format("by #1", 7), "cited", False, 0.0),
        (CHAIN.format("by #1", 7), "all", True, 1.0),
        (CHAIN.format("by #1 #2", 7) + "\n#4. (by #3) 7 + 2 = 10", "cited", False, 0.5),
        ("#1. Ann has 3 pens.", "cited", None, None),
        ("no chain", "cited", None, None),
        (CHAIN.format("by #9", 7), "cited", None, None),
        (7, "cited", None, None),
    ],
)
def test_a_chain_is_valid_if_every_step_is(chain, premises, passed, score):
    (verdict,) = Deduction(premises=premises).check(Samples([chain]))
    assert (verdict.passed, verdict.score) == (passed, score)


def test_dropping_a_premise_that_is_not_cited_changes_no_verdict(shared_data):
    rows = list(read_jsonl(shared_data("reasoning/natural_program_annotated.jsonl.gz")))
    seen, tried = SymbolicStepVerifier(), 0
    for row in rows[:120]:
        try:
            program = NaturalProgram.parse(row["chain"])
        except InvalidArgument:
            continue
        for step in program.steps:
            kept = [s for s in program.statements if s.label in step.cites or s == step]
            smaller = NaturalProgram(tuple(kept))
            whole, part = (Step(p.premises(step), step.text) for p in (program, smaller))
            assert seen.check(Samples([whole])) == seen.check(Samples([part]))
            tried += 1
    assert tried > 300


class Replies:
    """Says what it was told to, whatever it is asked; keeps what it was asked."""

    def __init__(self, replies):
        self.inner, self.asked = Scripted(replies), []

    def sample(self, prompt, n, *, seed, first=0):
        self.asked.append((prompt, n, seed))
        return self.inner.sample(prompt, n, seed=seed, first=first)


@pytest.mark.parametrize("published", [False, True])
def test_the_majority_of_all_27_triples_of_replies(published):
    texts = {"So yes.": 1, "So no.": -1, "Hm": 1 if published else 0}
    for replies in product(texts, repeat=3):
        verifier = PromptedStepVerifier(generator=Scripted(list(replies)), as_published=published)
        (verdict,) = verifier.check(Samples([Step(("a",), "b")]))
        total = sum(texts[reply] for reply in replies)
        assert verdict.passed is (None if total == 0 else total > 0)
        assert (verdict.cost.draws, verdict.cost.verifier_calls) == (3, 1)


def test_an_even_split_is_undecided_or_as_published_no_yes():
    for published, passed in ((False, None), (True, False)):
        generator = Scripted(["yes.", "no."])
        verifier = PromptedStepVerifier(generator=generator, k=2, as_published=published)
        assert verifier.check(Samples([Step(("a",), "b")]))[0].passed is passed


def test_each_of_three_questions_has_replies_of_its_own():
    generator = Replies(["yes"])
    verifier = PromptedStepVerifier(generator=generator, mode="sequential", k=1)
    assert verifier.check(Samples([Step(("a",), "b")]))[0].passed is True
    assert [len(set(column)) for column in zip(*generator.asked, strict=True)] == [3, 1, 3]


def test_a_prompt_holds_the_step_and_what_it_cites_alone():
    generator = Replies(["yes"] * 9)
    verifier = PromptedStepVerifier(generator=generator)
    chain = CHAIN.format("by #2", 7)
    assert judge_chain(chain, verifier).passed is True
    ((prompt, n, _),) = generator.asked
    assert n == 3
    assert "Bob has 4 pens." in prompt
    assert "3 + 4 = 7" in prompt
    assert "Ann" not in prompt


def test_sequential_checks_end_at_the_first_that_fails():
    generator = ByStep(["yes", "no", "yes"])
    verifier = PromptedStepVerifier(generator=generator, mode="sequential", k=1)
    (verdict,) = verifier.check(Samples([Step(("a",), "b")]))
    assert verdict.passed is False
    assert verdict.evidence["check"] == "reasoning"
    assert generator.replies == ["yes"]


def test_checking_a_chain_ends_at_its_first_wrong_step_or_when_told_to():
    chain = CHAIN.format("by #1 #2", 8) + "\n#4. (by #3) 8 + 1 = 9"
    assert judge_chain(chain, SymbolicStepVerifier()).cost.verifier_calls == 1
    right = CHAIN.format("by #1 #2", 7) + "\n#4. (by #3) 7 + 1 = 8"
    assert judge_chain(right, SymbolicStepVerifier()).cost.verifier_calls == 2
    cut = judge_chain(right, SymbolicStepVerifier(), go_on=lambda c: c.verifier_calls < 1)
    assert (cut.passed, cut.cost) == (None, Cost(verifier_calls=1))
    assert cut.evidence == {"reason": "the budget was spent"}


def test_an_undecided_step_leaves_a_chain_undecided_unless_another_fails():
    chain = CHAIN.format("by #1 #2", 7) + "\n#4. (by #3) b"
    for replies, passed, label in (
        (["Hm", "yes"], None, 3),
        (["Hm", "Hm"], None, 3),  # the first of several is shown
        (["Hm", "no"], False, 4),
    ):
        verdict = judge_chain(chain, PromptedStepVerifier(generator=ByStep(replies), k=1))
        assert (verdict.passed, verdict.evidence["label"]) == (passed, label)
    right = judge_chain(chain, PromptedStepVerifier(generator=ByStep(["yes", "yes"]), k=1))
    assert right.passed is True


class ByStep:
    """Replies to one prompt after another."""

    def __init__(self, replies):
        self.replies = list(replies)

    def sample(self, prompt, n, *, seed, first=0):
        return Scripted([self.replies.pop(0)]).sample(prompt, n, seed=seed)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("It is fine.\nyes", True),
        ("no\nSo: Yes.", True),
        ("The check passes", True),
        ("The check fails", False),
        ('The answer is "no".', False),
        ("It is partially correct.", False),
        ("I cannot determine it.", False),
        ("The step is incorrect.", False),
        ("No check is needed, so the answer is yes.", True),
        ("Nothing known", None),
        ("", None),
    ],
)
def test_replies_are_read_from_their_last_line(reply, said):
    assert read_reply(reply) is said


@pytest.mark.parametrize(
    ("reply", "said", "published"),
    [
        ('There are no errors, so the answer is "yes".', True, False),
        ("So the answer is no", False, True),
        ("Nothing known", None, True),
        ("Well: yes, or rather no.", False, True),
    ],
)
def test_the_published_reading_takes_the_first_word_and_doubt_for_a_yes(reply, said, published):
    assert read_reply(reply) is said
    assert read_reply(reply, as_published=True) is published


def test_bad_arguments_are_refused():
    for wrong in ({"k": 0}, {"mode": "both"}):
        with pytest.raises(InvalidArgument):
            PromptedStepVerifier(**wrong)
    with pytest.raises(InvalidArgument, match="generator"):
        PromptedStepVerifier().check(Samples([Step((), "x")]))
    with pytest.raises(InvalidArgument, match="premises"):
        Deduction(premises="some")
    assert replace(PromptedStepVerifier(), seed=3).seed == 3
