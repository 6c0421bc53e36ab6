"""Claims are recorded as they came out; one that could not run is never said to hold."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from genwright.claims.harness import (
    append,
    built,
    find_claim,
    recorded,
    run_claim,
    standing,
    systems,
)
from genwright.core import GenwrightError, InvalidArgument, Ledger, MissingFile, RunState, UserError


def of(slug, results):
    (found,) = [s for s in standing(results) if s.system.slug == slug]
    return found


def test_a_result_is_in_the_ledger_with_its_numbers_and_in_json_lines(tiny, tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as book:
        found = run_claim(tiny, "smoke", 7, book)
        (run,) = book.runs()
        assert (run.name, run.seed, run.state) == ("claim: b4", 7, RunState.FINISHED)
        assert run.metrics() == [("seed", 0, 7.0), ("other", 0, 0.123456789)]
        assert recorded(ledger=book) == [found]
    append(found, tmp_path / "claims.jsonl")
    assert recorded(tmp_path / "claims.jsonl") == [found]
    assert found.holds
    assert found.command == "genwright claims run b4 --scale smoke --seed 7"
    assert found.cost == {"draws": 3}
    assert found.metrics["other"] == 0.12346  # five digits are shown
    assert found.environment["python"]


def test_a_claim_that_fails_says_which_bound_broke(tiny):
    found = run_claim(tiny, "full", 4, Ledger())
    assert not found.holds
    assert found.broken == ("seed >= 5",)
    assert of("b4", [found]).told == "fails (full)"


def test_a_claim_without_its_data_says_what_to_set_and_leaves_no_trace(
    dataless, monkeypatch, tmp_path
):
    monkeypatch.setenv("GENWRIGHT_DATA", str(tmp_path))
    book = Ledger()
    with pytest.raises(MissingFile, match=r"needs code/nowhere\.jsonl.*set GENWRIGHT_DATA"):
        run_claim(dataless, "smoke", 0, book)
    assert book.runs() == []
    assert run_claim(dataless, "full", 9, book).holds  # this scale does not read it


def test_an_error_is_a_failed_run_and_no_result(broken):
    book = Ledger()
    with pytest.raises(UserError, match="needs torch"):
        run_claim(broken, "smoke", 0, book)
    (run,) = book.runs()
    assert (run.state, run.message) == (RunState.FAILED, "needs torch: pip install it")
    assert recorded(ledger=book) == []


def test_an_unknown_scale_or_system_is_refused_with_what_there_is(tiny):
    with pytest.raises(InvalidArgument, match="smoke, full"):
        run_claim(tiny, "huge", 0, Ledger())
    with pytest.raises(InvalidArgument, match="Did you mean 'monkeys'"):
        find_claim("monkey")
    with pytest.raises(InvalidArgument, match=r"not built; built: .*b4"):
        find_claim("orca")


def test_the_latest_run_decides_and_a_full_one_outweighs_a_smoke_one(tiny):
    book = Ledger()
    good, bad = (run_claim(tiny, "smoke", seed, book) for seed in (9, 1))
    assert of("b4", [good, bad]).told == "fails (smoke)"
    assert of("b4", [bad, good]).told == "holds (smoke)"
    later = replace(good, date="2999-01-01")
    assert of("b4", [later, bad]).told == "holds (smoke)"  # by date before order
    full = replace(bad, scale="full")
    assert of("b4", [full, later]).told == "fails (full)"


def test_every_system_stands_somewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("GENWRIGHT_DATA", str(tmp_path))
    found = standing([])
    assert len(found) == len(systems()) == len({s.system.slug for s in found})
    assert of("orca", []).told == "not built"
    assert of("monkeys", []).told == "needs data"
    assert of("monkeys", []).why.startswith("needs code/humaneval")
    assert of("b4", []).told == "not run"


def test_a_result_of_a_system_whose_claim_is_gone_counts_for_nothing(tiny):
    gone = replace(run_claim(tiny, "smoke", 9, Ledger()), slug="orca")
    assert of("orca", [gone]).told == "not built"


def test_every_claim_file_is_the_claim_of_a_system_of_the_list():
    for slug in built():
        claim = find_claim(slug)
        assert claim.slug == slug
        assert any(c.isdigit() for c in claim.statement)
        assert "arXiv:" in claim.reference or "doi" in claim.reference
    files = {p.stem for p in Path(str(find_claim.__code__.co_filename)).parent.glob("*.py")}
    parts = {"__init__", "bounded", "data", "harness", "table"}  # and what single claims need
    parts |= {"configurations", "humaneval", "reductions", "replay", "word_classes", "xquad"}
    parts |= {"arenas", "contest", "entries", "matched", "onestep", "roster"}  # one-step table
    parts |= {"generics", "scripted_coder"}
    assert files - parts == {slug.replace("-", "_") for slug in built()}


def test_a_file_of_something_else_is_named(tiny, tmp_path):
    row = asdict(run_claim(tiny, "smoke", 0, Ledger()))
    del row["bounds"]
    (tmp_path / "claims.jsonl").write_text(json.dumps(row))
    with pytest.raises(GenwrightError, match=r"claims\.jsonl: not a result: 'bounds'"):
        recorded(tmp_path / "claims.jsonl")
    with pytest.raises(MissingFile, match="no folder"):
        append(run_claim(tiny, "smoke", 0, Ledger()), tmp_path / "no" / "claims.jsonl")
