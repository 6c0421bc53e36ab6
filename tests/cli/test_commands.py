"""Each command does its one job, for people and for machines."""

import json

import duckdb

from genwright import __version__
from genwright.core.ledger import Ledger


def test_solve_draws_checks_chooses_and_records(run, endpoint, task):
    task(endpoint)
    said = run("solve", "sums", "--json")
    assert said.code == 0, said.err
    found = said.json
    assert found["groups"]["all"] | {"interval95": 0} == {
        "tasks": 2, "passed": 2, "undecided": 0, "interval95": 0,
    }  # fmt: skip
    assert [o["chosen"] for o in found["outcomes"]] == ["2", "4"]
    assert found["cost"]["draws"] == 2
    with Ledger("runs/ledger.sqlite") as ledger:
        assert len(ledger.run(found["run"]).draws()) == 2


def test_solve_shows_a_table_to_people(run, endpoint, task):
    task(endpoint, 'answer = "4"', 'answer = "5"')
    said = run("solve", "tasks/sums.toml")
    assert said.code == 0
    assert "50%" in said.out
    assert "failed (all): 2 + 2?" in said.out
    assert "drawn: 4" in said.out


def test_runs_are_listed_shown_exported_and_compared(run, endpoint, task, tmp_path):
    task(endpoint)
    first = run("solve", "sums", "--json").json["run"]
    second = run("solve", "sums", "--seed", 5, "--json").json["run"]
    listed = run("runs", "list", "--json").json["runs"]
    assert [row["run"] for row in listed] == [first, second]
    assert {row["state"] for row in listed} == {"finished"}
    shown = run("runs", "show", first[:6], "--json").json
    assert [o["passed"] for o in shown["outcomes"]] == [True, True]
    for name in ("draws.jsonl", "draws.parquet"):
        assert run("runs", "export", first, name, "--json").json["rows"] == 2
    rows = [json.loads(line) for line in (tmp_path / "draws.jsonl").read_text().splitlines()]
    assert sorted(row["value"] for row in rows) == ["2", "4"]
    assert duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/draws.parquet'").fetchall() == [(2,)]
    assert run("runs", "diff", first, second, "--json").code == 0


def test_a_finished_run_is_resumed_without_paying_again(run, endpoint, task):
    task(endpoint)
    run_id = run("solve", "sums", "--json").json["run"]
    again = run("solve", "sums", "--resume", run_id, "--json").json
    assert (again["run"], again["cost"]["draws"]) == (run_id, 2)
    assert run("runs", "resume", run_id).code == 0


def test_ask_answers_one_question_with_the_agreement(run, endpoint, task):
    task(endpoint, 'method = "repeated_sampling"\nn = 3', 'method = "majority_vote"\nk = 3')
    said = run("ask", "sums", "20 + 3?", "--json").json
    assert (said["answer"], said["agreement"]) == ("23", 1.0)
    assert "100% agree" in run("ask", "sums", "20 + 3?").out


def test_methods_lists_what_fills_each_slot(run):
    found = run("methods", "--json").json
    names = {(m["slot"], m["name"]) for m in found["methods"]}
    assert {("strategy", "majority_vote"), ("verifier", "sql_equivalence")} <= names
    assert "arXiv:2203.11171" in run("methods", "strategy").out


def test_doctor_and_models_say_what_is_here(run):
    found = run("doctor", "--json").json
    assert found["genwright"] == __version__
    assert set(found["extras"]) >= {"lm", "science"}
    assert "embedded" in run("models", "--json").json
    assert run("--version").out.strip() == __version__
