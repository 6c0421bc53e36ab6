"""`genwright claims`: lists, runs, records and writes the page."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from genwright.cli.main import app


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GENWRIGHT_DATA", raising=False)
    (tmp_path / "docs").mkdir()
    return lambda *words: CliRunner().invoke(app, ["claims", *words])


def test_a_run_prints_one_object_and_is_listed_and_written_up(run):
    said = run("run", "b4", "--scale", "smoke", "--seed", "3", "--json", "--record")
    assert said.exit_code == 0, said.output
    found = json.loads(said.stdout)
    assert found["holds"] is True
    assert found["seed"] == 3
    assert found["metrics"]["simulated_b4"] >= 0.95
    assert found["bounds"] == ["simulated_b4 >= 0.95", "simulated_codet <= 0.88"]
    assert {"cost", "environment", "seconds", "date"} <= found.keys()

    listed = {row["slug"]: row for row in json.loads(run("--json").stdout)["systems"]}
    assert listed["b4"]["state"] == "holds"
    assert listed["b4"]["results"]["smoke"]["seed"] == 3
    assert listed["monkeys"]["state"] == "not run"
    assert "GENWRIGHT_DATA" in listed["monkeys"]["why"]
    assert listed["orca"]["state"] == "not built"

    written = run("table", "--json")
    assert json.loads(written.stdout) == {"path": "docs/claims.md", "results": 1}
    assert "### `b4`: holds (smoke)" in Path("docs/claims.md").read_text()


def test_people_are_told_the_numbers_and_the_state(run):
    said = run("run", "b4").output
    assert "simulated_codet" in said
    assert "<= 0.88" in said
    assert said.rstrip().endswith("holds")
    listed = run().output
    assert "1 holds, 0 fails" in listed
    assert "set GENWRIGHT_DATA" in " ".join(listed.split())
    assert "[/]" not in said + listed  # a style is shown, not written out


def test_a_claim_without_its_data_exits_with_2_and_says_what_to_set(run):
    said = run("run", "monkeys")
    assert said.exit_code == 2
    assert "set GENWRIGHT_DATA to the folder that holds it" in " ".join(said.output.split())


def test_a_table_of_nothing_and_an_unknown_system_are_refused(run):
    assert run("table").exit_code == 2
    said = run("run", "monkey")
    assert said.exit_code == 2
    assert "Did you mean 'monkeys'?" in said.output
