"""What mango's base reads, how its gaps and pass rates are measured, and that all of it runs."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("peft")

from genwright.claims import mango
from genwright.core import Ledger
from genwright.generators.language.local import LocalLM
from genwright.generators.language.recorded import RecordedGenerator
from genwright.steering.comments import CommentPrompt, comments, strip_comments
from genwright.synthesis.commented_programs import CommentedPrograms
from genwright.verifiers.unit_tests import extract_code


@pytest.fixture(scope="module")
def rows():
    return CommentedPrograms(n=4, seed=2).rows()


def test_each_style_has_its_answer_and_all_hold_one_program(rows):
    for row in rows:
        plain = mango._answer(row, "plain")
        steps = mango._answer(row, "steps")
        assert mango._answer(row, "comments") == row["program"]
        assert comments(plain) == []
        assert steps.startswith(f"1. {row['clauses'][0]}\n2. ")
        assert extract_code(steps) == plain == strip_comments(row["program"])


def test_a_gap_is_the_difference_of_mean_losses(rows, tiny_llama):
    model = LocalLM(model=str(tiny_llama), chat=False, dtype="float32")
    row = rows[0]
    prompt = CommentPrompt().fill(row["question"])
    program, stripped = row["program"], strip_comments(row["program"])
    l_pos = -model.score(prompt, [program])[0] / len(program)  # a token a byte
    l_neg = -model.score(prompt, [stripped])[0] / len(stripped)
    assert mango._gap(model, row) == pytest.approx(l_neg - l_pos, abs=1e-6)
    assert abs(l_neg - l_pos) > 1e-4


def test_pass_rates_and_densities_are_means_over_draws(rows):
    prompt = CommentPrompt()
    answers = [rows[0]["program"], strip_comments(rows[1]["program"]), "no python (", "x = 1"]
    record = [
        {"prompt": prompt.fill(row["question"]), "completions": [answer]}
        for row, answer in zip(rows, answers, strict=True)
    ]
    passed, density = mango._passed(RecordedGenerator(rows=record), rows, prompt, 0, Ledger())
    assert passed == 2 / 4
    assert density == pytest.approx(mango._density(rows[0]["program"]) / 4)
    assert mango._density("x = 1  # a\ny = 2\n") == 0.5


@pytest.mark.slow
def test_the_claim_runs_from_base_to_spreads_with_a_tiny_model(tmp_path):
    """Its numbers mean nothing; each that a bound names must be there and finite."""
    size = replace(
        mango.SIZES["smoke"],
        width=32,
        base_rows=24,
        base_steps=2,
        rows=24,
        steps=1,
        tested=4,
        wordings=1,
    )
    base = mango._base(tmp_path / "base", size, seed=0)
    short = replace(base, max_new_tokens=8)
    found = mango._compare(tmp_path / "arms", short, size, 1, Ledger())
    names = {bound.split()[0] for bound in (*mango.BOUNDS, *mango.SMOKE)}
    assert names <= set(found)
    assert all(np.isfinite(value) for value in found.values())
    assert found["gap_gain"] == pytest.approx(found["mango_gap"] - found["sft_gap"])
