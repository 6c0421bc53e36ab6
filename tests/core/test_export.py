"""Files that `datasets` loads, comparisons that find where runs part, SQL that counts right."""

import json

import numpy as np
import pytest
from test_runner import EndsIn, Numbers, Rounds, Rows, Shows, tasks

from genwright.core import InvalidArgument, Ledger, MissingFile, Task, solve
from genwright.core.codec import loads
from genwright.core.export import COLUMNS, diff, export, rows


@pytest.fixture(scope="module")
def ledger():
    made = Ledger()
    solve(tasks(), Numbers(), Rounds(), ledger=made, run_id="one", seed=1)
    solve(tasks(), Numbers(), Rounds(), ledger=made, run_id="same", seed=1, workers=4)
    solve(tasks(5), Numbers(), Rounds(), ledger=made, run_id="two", seed=2)
    solve([Task("q")], Rows(), Shows(), ledger=made, run_id="rows")
    return made


@pytest.mark.parametrize(("ending", "builder"), [("jsonl", "json"), ("parquet", "parquet")])
def test_datasets_loads_every_draw_with_its_verdict_and_outcome(tmp_path, ledger, ending, builder):
    datasets = pytest.importorskip("datasets")
    path = tmp_path / f"draws.{ending}"
    runs = [ledger.run("one"), ledger.run("rows")]
    written = export(runs, path)
    cache = str(tmp_path / "cache")
    loaded = datasets.load_dataset(builder, data_files=str(path), split="train", cache_dir=cache)
    assert set(loaded.column_names) == set(COLUMNS)
    assert written == len(loaded) == sum(len(run.draws()) for run in runs)
    for row in loaded:
        if row["run"] == "one":
            (verdict,) = EndsIn().check(_samples(row["value"]))
            assert row["passed"] is verdict.passed
            assert (row["prompt"], row["asked"]) == (f"q{row['task'][1:]}",) * 2
        else:
            assert loads(row["value"])[0] == row["idx"]
    chosen = {row["task"]: row["value"] for row in loaded if row["chosen"]}
    picked = {key: o.chosen.value for key, o in ledger.run("one").outcomes().items() if o.chosen}
    assert chosen == picked


def _samples(value):
    from genwright.core import Samples

    return Samples([value])


def test_both_formats_hold_the_same_rows(tmp_path, ledger):
    parquet = pytest.importorskip("pyarrow.parquet")
    run = ledger.run("one")
    export(run, tmp_path / "a.jsonl")
    export([run], tmp_path / "a.parquet")
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines == parquet.read_table(tmp_path / "a.parquet").to_pylist() == list(rows(run))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "a.parquet"]


def test_an_empty_run_exports_to_an_empty_file(tmp_path):
    run = Ledger().start_run("r", {}, 0)
    assert export([run], tmp_path / "a.jsonl") == export([run], tmp_path / "a.parquet") == 0


def test_wrong_targets_are_refused(tmp_path, ledger):
    with pytest.raises(InvalidArgument, match=r"\.jsonl or \.parquet"):
        export([ledger.run("one")], tmp_path / "a.csv")
    with pytest.raises(MissingFile, match="no folder"):
        export([ledger.run("one")], tmp_path / "none" / "a.jsonl")


def test_equal_runs_do_not_differ_and_others_do_where_they_part(ledger):
    one, same, two = (ledger.run(name) for name in ("one", "same", "two"))
    assert diff(one, same).same
    apart = diff(one, two)
    assert not apart.same
    assert (apart.only_first, apart.only_second) == (["k5"], [])
    outcomes = one.outcomes(), two.outcomes()
    for task in apart.tasks:
        a, b = (o[task.task] for o in outcomes)
        pairs = list(zip(a.samples.values, b.samples.values, strict=False))
        by_hand = next((i for i, (x, y) in enumerate(pairs) if x != y), None)
        if by_hand is None and len(a.samples) != len(b.samples):
            by_hand = len(pairs)
        assert (task.parts_at, task.passed) == (by_hand, (a.passed, b.passed))
        assert task.chosen == (a.chosen.value, b.chosen.value)
        assert task.same_chosen == (a.chosen.value == b.chosen.value)


def test_duckdb_counts_what_python_counts(ledger):
    counted = ledger.query(
        "SELECT run, count(*) AS n, sum(new_tokens) AS tokens FROM draws GROUP BY run ORDER BY run"
    )
    for row in counted:
        cost = ledger.run(row["run"]).cost()
        assert (row["n"], row["tokens"]) == (cost.draws, cost.new_tokens)
    (joined,) = ledger.query(
        "SELECT avg(v.passed) AS rate FROM draws d JOIN verdicts v USING (run, task, digest)"
        " WHERE run = ? AND passed IS NOT NULL",
        ["one"],
    )
    passed = [r["passed"] for r in rows(ledger.run("one")) if r["passed"] is not None]
    assert joined["rate"] == pytest.approx(np.mean(passed))
    assert ledger.query("SELECT count(value) AS n FROM draws WHERE kind <> 'text'") == [{"n": 0}]


def test_a_query_that_duckdb_refuses_is_told_in_its_words(ledger):
    with pytest.raises(InvalidArgument, match="no_such_column"):
        ledger.query("SELECT no_such_column FROM runs")
    with pytest.raises(InvalidArgument, match="disabled"):
        ledger.query("SELECT * FROM read_csv('/etc/passwd')")
