"""Programs are judged on points they were not fitted on, and evolution finds what is known."""

import math
import os
import signal
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
from waiting import until

from genwright.core import Budget, InvalidArgument, Ledger, Samples, Verdict
from genwright.search.approximation import Approximates, front_of
from genwright.search.autonumerics import FunctionSearch
from genwright.search.constants import LevenbergMarquardt
from genwright.search.mutations import read_start
from genwright.search.symbolic import simplify

QUICK = "quick"
HORNER = "v0 = x * c0; v1 = v0 + c1; v2 = v1 * x; v3 = v2 + c2; v3"
SQUARED = "v0 = x * c0; v1 = v0 + c1; v2 = v1 * x; v3 = v2 + c2; v4 = v3 * v3; v4"


def judged(*texts, **settings):
    return Approximates(**settings).check(Samples(list(texts)))


def test_a_verdict_holds_the_error_and_what_it_is_of():
    (verdict,) = judged(f"{SQUARED} @ 4", tolerance=5e-4)
    assert verdict.passed is True
    assert verdict.evidence["error"] == pytest.approx(4.33e-4, rel=0.01)
    assert verdict.evidence["operations"] == 5
    assert verdict.evidence["objectives"] == [3.36, 0.2]
    assert verdict.score == pytest.approx(0.6)
    assert verdict.cost.verifier_calls == 1
    assert verdict.cost.seconds > 0


def test_a_program_that_is_too_far_off_fails_with_partial_credit():
    near, far = judged(HORNER, "c0", tolerance=1e-6)
    assert (near.passed, far.passed) == (False, False)
    assert 0 < far.score < near.score < 0.5
    assert near.score == pytest.approx(0.5 * -math.log10(1.73e-3) / 6, rel=0.01)


def test_speed_counts_two_operations_at_least():
    verdicts = judged("c0", "v0 = x + c0; v0", "v0 = x + c0; v1 = v0 * c1; v1", HORNER)
    assert [v.evidence["objectives"][1] for v in verdicts] == [0.5, 0.5, 0.5, 0.25]


def test_a_pole_in_the_interval_scores_minus_infinity_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (verdict,) = judged("v0 = x - x; v1 = c0 / x; v1", interval=(-1.0, 1.0), validation=10_001)
    assert verdict.passed is False
    assert verdict.evidence["error"] == math.inf
    assert verdict.evidence["objectives"][0] == -math.inf
    assert verdict.score == 0


def test_errors_are_measured_between_the_points_of_the_fit():
    """On two points a line fits anything; the verdict is not taken in."""
    line = "v0 = x * c0; v1 = v0 + c1; v1"
    fitter = LevenbergMarquardt(points=2)
    (verdict,) = judged(line, fitter=fitter)
    assert verdict.evidence["error"] == pytest.approx(0.0615, rel=0.05)  # chord of 2^x: 6.1%


def test_texts_that_are_no_programs_fail_and_long_ones_are_not_fitted():
    long = "; ".join([f"v{i} = x * c{i}" for i in range(101)])
    sums = "; ".join([f"v{101 + i} = v{i} + v{i + 1}" for i in range(100)])
    wrong, many = judged("import os", f"{long}; {sums}; v200", max_operations=50)
    assert wrong.passed is False
    assert "is not of the form" in wrong.evidence["problem"]
    assert many.passed is False
    assert wrong.evidence["objectives"] == [-math.inf, 0.0]


def test_the_same_text_gets_the_same_constants_and_another_start_others():
    a, b, c = judged(f"{SQUARED} @ 1", f"{SQUARED} @ 1", f"{SQUARED} @ 2", fitter=QUICK)
    assert a.evidence == b.evidence
    assert a.evidence["constants"] != c.evidence["constants"]


def test_from_a_quadratic_evolution_finds_its_square():
    """The short form of the claim, at a fifth of its budget: 5 operations below 4 of the best."""
    search = FunctionSearch(
        operations=("add", "sub", "mul"),
        max_operations=5,
        start=(HORNER,),
        islands=1,
        parents=10,
        fitter=QUICK,
    )
    found = search.search(Budget(draws=600), seed=0)
    assert found.cost.draws == 600
    assert found.front[5].error < 4.4e-4
    assert found.front[4].error == pytest.approx(1.73e-3, rel=0.02)
    errors = [found.front[n].error for n in sorted(found.front)]
    assert errors == sorted(errors, reverse=True)


def test_every_program_is_in_the_ledger_and_a_larger_budget_goes_on(tmp_path):
    search = FunctionSearch(max_operations=4, islands=2, parents=4, children=5, fitter=QUICK)
    whole = search.search(Budget(draws=60), seed=3, ledger=Ledger())
    with Ledger(tmp_path / "book.db") as book:
        first = search.search(Budget(draws=30), seed=3, ledger=book, run_id="f")
        assert len(book.run("f").draws()) == 30
        assert first.cost.draws == 30
        more = search.search(Budget(draws=60), seed=3, ledger=book, run_id="f")
        drawn = book.run("f").draws()
        assert len(drawn) == 60
        assert len({d.task for d in drawn}) == 2
        assert more.front == whole.front
        told = {j.digest: j.verdict.evidence for j in book.run("f").verdicts()}
        for draw in drawn:
            program = simplify(read_start(draw.sample.value)[0])
            assert told[draw.digest]["program"] == str(program)


KILLED = """
    from genwright.core import Budget, Ledger
    from genwright.search.autonumerics import FunctionSearch
    import sys

    if __name__ == "__main__":
        search = FunctionSearch(
            max_operations=4, islands=1, parents=4, children=5,
            fitter="quick",
        )
        found = search.search(Budget(draws=200), seed=5, ledger=Ledger(sys.argv[1]), run_id="k")
        print({n: a.error for n, a in found.front.items()})
"""


@pytest.mark.slow
def test_a_killed_search_goes_on_and_ends_as_if_nothing_had_been(tmp_path):
    script, book = tmp_path / "search.py", tmp_path / "book.db"
    script.write_text(textwrap.dedent(KILLED))
    command = [sys.executable, str(script)]
    process = subprocess.Popen([*command, str(book)])
    until(lambda: book.exists() and count(book) > 40)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = count(book)
    assert 0 < before < 200
    ends = [
        subprocess.run([*command, str(path)], check=True, capture_output=True, text=True).stdout
        for path in (book, tmp_path / "other.db")
    ]
    assert ends[0] == ends[1]
    assert count(book) == 200


def count(book):
    with Ledger(book) as ledger:
        return len(ledger.read("SELECT 1 FROM draws"))


def half_exp(x):
    """Any function will do as a target; processes import it by name."""
    import mpmath

    return mpmath.exp(x) / 2


def test_processes_and_islands_change_no_program():
    settings = {"max_operations": 3, "parents": 4, "children": 5, "fitter": QUICK}
    one = FunctionSearch(processes=1, **settings).search(Budget(draws=40), seed=1)
    two = FunctionSearch(processes=2, **settings).search(Budget(draws=40), seed=1)
    assert one.front == two.front


def test_any_function_is_a_target():
    (verdict,) = judged(SQUARED, target=half_exp, tolerance=1e-2)
    assert verdict.passed is True


def test_polishing_keeps_the_best_of_several_fits():
    verifier = Approximates(fitter=QUICK)
    found = front_of(verifier.check(Samples([SQUARED])))[5]
    better = verifier.polish(found, seeds=range(5))
    assert better.error <= found.error
    assert better.error == pytest.approx(4.33e-4, rel=0.01)
    table = np.linspace(0, 1, 5)
    assert better.values(table) == pytest.approx(np.exp2(table), rel=5e-4)


def test_the_front_leaves_out_what_is_longer_and_no_better():
    def verdict(operations, error):
        program = "c0" if operations == 0 else HORNER
        constants = [1.0] if operations == 0 else [1.0, 2.0, 3.0]
        told = {"program": program, "constants": constants}
        return Verdict.fail(told | {"operations": operations, "error": error})

    front = front_of([verdict(4, 0.1), verdict(0, 0.2), verdict(4, 0.05), verdict(5, 0.05)])
    assert {n: a.error for n, a in front.items()} == {0: 0.2, 4: 0.05}
    assert front_of([verdict(4, math.inf)]) == {}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Approximates(tolerance=0.0), r"tolerance must be in \(0, 1\), got 0.0"),
        (lambda: Approximates(validation=1), "validation must be 2 or more"),
        (lambda: FunctionSearch(islands=0), "islands must be 1 or more"),
        (lambda: FunctionSearch(operations=("pow",)), "operations must be of add"),
        (lambda: FunctionSearch().search(Budget()), "give the budget a limit"),
        (lambda: judged("x", target="exp9"), "got 'exp9'"),
        (lambda: judged("x", fitter="lma"), "got 'lma'. Did you mean 'lm'"),
    ],
)
def test_bad_input_is_refused(make, said):
    with pytest.raises(InvalidArgument, match=said):
        make()


def test_nsga2_stands_by_the_shortest_program_that_passes():
    search = FunctionSearch(max_operations=5, islands=1, fitter=QUICK, tolerance=2e-3)
    book = Ledger()
    found = search.search(Budget(draws=300), seed=2, ledger=book, run_id="r")
    (outcome,) = book.run("r").outcomes().values()
    assert outcome.passed is True
    passing = [n for n, a in found.front.items() if a.error <= 2e-3]
    assert outcome.verdict.evidence["operations"] == max(2, min(passing))
