"""Natural programs are read and written back; what breaks the format is an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument
from genwright.core.task_file import read_jsonl
from genwright.verifiers.natural_program import ChainAnswer, NaturalProgram, Statement

CHAIN = """First, let's write down all the statements.
#1. Each pen costs $2.
#2. Ann buys 3 pens.
#3. How much does she pay?

Next, let's answer the question step by step:

#4. (by #1 #2) Step 1: Calculate the price.
Price: $2 * 3 = $6

#5. (by #3 #4) The original question is #3. So the answer is $6."""


def test_a_chain_by_hand():
    program = NaturalProgram.parse(CHAIN)
    price = "Calculate the price.\nPrice: $2 * 3 = $6"
    assert program.statements == (
        Statement(1, "Each pen costs $2."),
        Statement(2, "Ann buys 3 pens."),
        Statement(3, "How much does she pay?"),
        Statement(4, price, (1, 2)),
        Statement(5, "The original question is #3. So the answer is $6.", (3, 4)),
    )
    first, second = program.steps
    assert program.premises(first) == ("Each pen costs $2.", "Ann buys 3 pens.")
    assert program.premises(second) == ("How much does she pay?", price)
    assert len(program.premises(second, cited_only=False)) == 4


@pytest.mark.parametrize(
    ("said", "cites"),
    [
        ("(by #1 #3) x", (1, 3)),
        ("(by #1, #3): x", (1, 3)),
        ("(by #1 and #3) Step 2: x", (1, 3)),
        ("(by #1-#3) x", (1, 2, 3)),
        ("(by #1 - 3, #1) x", (1, 2, 3)),
        ("Step 1: x (Reference: #1, #3)", (1, 3)),
        ("Step 1: x Reference: #1 #3.", (1, 3)),
        ("Step 1: x", ()),
        ("x", None),
        ("x (by #1) y", None),
    ],
)
def test_citations_stand_before_or_after_the_step(said, cites):
    text = f"#1. a\n#2. b\n#3. c\n#4. {said}"
    (*_, last) = NaturalProgram.parse(text).statements
    assert last.cites == cites
    if cites is not None:
        assert last.text == "x"


def test_numbers_need_no_sign_where_none_has_one():
    assert NaturalProgram.parse("1. a\n2. (by #1) b\n1.5 more").steps[0].text == "b\n1.5 more"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no statement"),
        ("so the answer is 3", "no statement"),
        ("#1. a\n#2. (by #3) b\n#3. c", "#2 cites #3"),
        ("#1. a\n#2. (by #2) b", "#2 cites #2"),
        ("#1. a\n#2. (by #9) b", "#2 cites #9"),
        ("#1. a\n#1. b", "two statements"),
    ],
)
def test_what_breaks_the_format_is_an_error(text, message):
    with pytest.raises(InvalidArgument, match=message):
        NaturalProgram.parse(text)


LINE = st.text(alphabet="abc $=+123", min_size=1).map(str.strip).filter(bool)


@given(st.lists(st.tuples(LINE.map(lambda t: f"w {t}"), st.none() | st.sets(st.integers(1, 9)))))
def test_what_is_written_is_read_back(rows):
    statements = [Statement(1, "a")]
    for label, (text, cites) in enumerate(rows, start=2):
        known = None if cites is None else tuple(sorted(c for c in cites if c < label))
        statements.append(Statement(label, text, known))
    program = NaturalProgram(tuple(statements))
    assert NaturalProgram.parse(str(program)) == program


def test_annotated_chains_of_chatgpt_survive_a_round_trip(shared_data):
    """Of 403 chains one has a number twice; it is refused."""
    rows = list(read_jsonl(shared_data("reasoning/natural_program_annotated.jsonl.gz")))
    refused = 0
    for row in rows:
        try:
            program = NaturalProgram.parse(row["chain"])
        except InvalidArgument:
            refused += 1
            continue
        assert program.steps
        assert NaturalProgram.parse(str(program)) == program
    assert (len(rows), refused) == (403, 1)


def test_the_last_answer_counts():
    assert ChainAnswer()("One answer is 3, but the final answer is 5 of 9 pens.") == "5"


def test_final_answers_agree_with_the_record(shared_data):
    """Options, dates, words and whole numbers; the record's own reading errs too."""
    rows = read_jsonl(shared_data("reasoning/natural_program_annotated.jsonl.gz"))
    same = [
        (ChainAnswer()(row["chain"]) == str(row["final_answer"])) == row["answer_correct"]
        for row in rows
        if "." not in str(row["final_answer"])
    ]
    assert sum(same) >= len(same) - 4
