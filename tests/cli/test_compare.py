"""`genwright compare` and `genwright scale`: tables, JSON, one page, and going on after a kill."""

import json
import re

import pytest

from genwright.core.ledger import Ledger

pytest.importorskip("plotly", reason="needs plotly: pip install 'genwright[report]'")

RECORDED = """name = "recorded"
[generator]
method = "recorded_generator"
path = "{folder}/draws.jsonl"
[prompts]
template = "{{q}}"
rows = [{rows}]
[verifier]
method = "exact_match"
gold = "{{gold}}"
[metrics]
strict = {{ method = "exact_match", gold = "{{truth}}" }}
[strategy]
method = "majority_vote"
batch = 2
"""
DRAWS = {"p": "aabab", "q": "bbbab", "r": "ccccc", "s": "abcab"}


@pytest.fixture
def recorded(tmp_path):
    """A task over recorded draws; `a` is right for every prompt, and the truth of `q` is `b`."""
    lines = [json.dumps({"prompt": p, "completions": list(d)}) for p, d in DRAWS.items()]
    (tmp_path / "draws.jsonl").write_text("\n".join(lines))
    rows = ", ".join(
        f'{{q = "{p}", gold = "a", truth = "{"b" if p == "q" else "a"}"}}' for p in DRAWS
    )
    (tmp_path / "t.toml").write_text(RECORDED.format(folder=tmp_path, rows=rows))
    return "t.toml"


def compare(run, task, *more, strategies="single,repeated,vote", budgets="1,5"):
    return run("compare", task, "--strategies", strategies, "--budgets", budgets, *more)


def test_recorded_draws_are_compared_at_equal_budget(run, recorded, tmp_path):
    said = compare(run, recorded, "--json")
    assert said.code == 0, said.err
    found = said.json
    at = {(c["strategy"], c["budget"]): c for c in found["cells"]}
    assert at["repeated", 5]["accuracy"] == 0.75  # every prompt but r holds an a
    assert at["vote", 5]["accuracy"] == 0.5  # p; of s the first drawn of two equals
    assert at["repeated", 1]["accuracy"] == at["single", 1]["accuracy"]
    gain = at["repeated", 5]["against_first"]
    assert gain["difference"] == pytest.approx(0.75 - at["single", 5]["accuracy"])
    assert "against_first" not in at["single", 5]
    assert found["paid"]["draws"] == 20
    assert found["charged"]["draws"] > 20
    assert at["vote", 5]["charged"]["verifier_calls"] == 0
    page = (tmp_path / "compare.html").read_text()
    for plot, axis in (
        ("cost-draws", "log"),
        ("cost-verifier_calls", "linear"),  # a vote asks for no check
        ("differences", "log"),
    ):
        drawn = json.loads(
            re.search(rf'<script type="application/json" id="{plot}">(.*?)</script>', page)[1]
        )
        assert [t["name"] for t in drawn["data"]][-1] == "vote"
        assert drawn["layout"]["xaxis"]["type"] == axis
    assert "http://" not in page.split("<script")[0]
    assert "charged what it would have cost alone" in page


def test_people_see_a_table_and_what_was_paid(run, recorded):
    said = compare(run, recorded)
    assert said.code == 0, said.err
    assert "charged what it would have cost alone" in " ".join(said.out.split())
    assert "less single" in said.out


def test_the_same_command_pays_for_nothing_twice(run, recorded):
    first = compare(run, recorded, "--json").json
    again = compare(run, recorded, "--json").json
    assert again["paid_before"] == again["paid"] == first["paid"]
    assert again["cells"] == first["cells"]
    more = compare(run, recorded, "--json", strategies="single,best:score=verifier").json
    assert (more["comparison"], more["paid"]["draws"]) == (first["comparison"], 20)
    fresh = compare(run, recorded, "--json", "--fresh").json
    assert fresh["comparison"] != first["comparison"]
    assert "paid_before" in fresh
    assert fresh["paid_before"] == {}


def test_a_further_check_may_grade(run, recorded):
    plain, strict = (
        compare(run, recorded, "--json", *more, strategies="repeated", budgets="5").json
        for more in ((), ("--grade", "strict"))
    )
    assert plain["cells"][0]["accuracy"] == 0.75
    assert strict["cells"][0]["accuracy"] == 0.5  # the a of q passed, and is wrong


def test_an_endpoint_is_compared_too_and_tokens_are_charged(run, endpoint, task):
    task(endpoint)
    found = compare(run, "sums", "--json", "--unit", "new_tokens", budgets="3").json
    assert {c["accuracy"] for c in found["cells"]} == {1.0}
    assert found["charged"]["new_tokens"] > found["paid"]["new_tokens"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--strategies", "b4"), "b4 cannot run on these tasks"),
        (("--strategies", "voting"), "no strategy is called 'voting'"),
        (("--budgets", "1,two"), "numbers separated by commas, got '1,two'"),
        (("--budgets", "0"), "every budget must be above 0"),
        (("--unit", "tokens"), "unit must be one of"),
        (("--grade", "stirct"), "Did you mean 'strict'"),
        (("--out", "nowhere/page.html"), "no folder nowhere"),
        (("--budgets", "9"), "5 recorded; ask for fewer"),
    ],
)
def test_what_cannot_be_done_is_told(arguments, message, run, recorded):
    said = run("compare", recorded, *arguments)
    assert said.code == 2
    assert message in " ".join(said.err.split())


def test_resuming_a_run_of_a_comparison_names_the_command(run, recorded):
    found = compare(run, recorded, "--json", "--limit", 2).json
    for run_id in (found["comparison"], found["cells"][0]["run"]):
        said = run("runs", "resume", run_id)
        assert said.code == 2
        told = " ".join(said.err.split())
        assert "go on with: genwright compare t.toml --strategies single,repeated,vote" in told
        assert "--limit 2" in told


def test_a_report_on_a_run_of_a_comparison_says_how_to_make_it_again(run, recorded, tmp_path):
    found = compare(run, recorded, "--json", budgets="5").json
    voted = next(c["run"] for c in found["cells"] if c["strategy"] == "vote")
    assert run("report", voted, "--out", "r.html").code == 0
    assert "genwright compare t.toml --strategies" in (tmp_path / "r.html").read_text()


@pytest.fixture
def measured(run, recorded, tmp_path):
    voting = 'method = "majority_vote"\nbatch = 2'
    drawing = 'method = "repeated_sampling"\nn = 5\nstop_on_pass = false'
    path = tmp_path / "t.toml"
    path.write_text(path.read_text().replace(voting, drawing))
    return run("solve", "t.toml", "--json").json["run"]


def test_scale_tells_the_curve_and_the_budget_of_a_target(run, measured):
    """Right of 5: 3, 1, 0, 2. Coverage is 6/20 at one draw and 3/4 at five."""
    found = run("scale", measured, "--json", "--target", 0.6, "--target", 0.9).json
    curve = {row["k"]: row["coverage"] for row in found["coverage"]}
    assert curve[1] == pytest.approx(0.3)
    assert curve[5] == pytest.approx(0.75)
    assert curve[2] == pytest.approx((1 - 1 / 10 + 1 - 6 / 10 + 0 + 1 - 3 / 10) / 4)
    law, (near, far) = found["law"], found["budgets"]
    assert (near["draws"], near["known"]) == (4, "measured")
    assert curve[4] == pytest.approx((1 + 4 / 5 + 0 + 1) / 4)
    assert far["known"] == "predicted"
    predicted = (law["a"] / -0.10536051565782628) ** (1 / law["b"])
    assert predicted <= far["draws"] < predicted + 1
    said = run("scale", measured)
    assert said.code == 0
    assert "coverage is about exp(" in said.out


def test_scale_refuses_what_has_no_coverage(run, recorded, measured):
    assert "must be in (0, 1)" in run("scale", measured, "--target", 1.5).err
    with Ledger("runs/ledger.sqlite") as book:
        book.start_run("empty", {}, 0, "ffff")
    said = run("scale", "ffff")
    assert (said.code, "No draw of a finished task" in said.err) == (2, True)
