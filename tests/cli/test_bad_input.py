"""Every mistake gets a message with the next step, exit code 2 if it is the user's, else 1."""

import os
import signal
import subprocess
import sys

import pytest
from waiting import until

from genwright.core.ledger import Ledger
from genwright.testing.endpoint import Fault, ScriptedEndpoint


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[strategy]", "[stategy]", "sums.toml:19: stategy: unknown key"),
        ("workers = 2", "wrokers = 2", "Did you mean 'workers'"),
        ('method = "repeated_sampling"', 'method = "repeated_samplin"', "Did you mean 'repeated_"),
        ("n = 3", "n = 0", "must be 1 or more"),
        ('model = "scripted"', 'model = "scriptd"', "scriptd"),
    ],
)
def test_a_mistake_in_the_task_file_is_the_users(run, endpoint, task, old, new, message):
    task(endpoint, old, new)
    said = run("solve", "sums")
    assert (said.code, message in said.err) == (2, True), said.err
    assert "Traceback" not in said.err


def test_an_error_is_one_json_object_for_machines(run):
    said = run("solve", "nothing", "--json")
    assert (said.code, said.json["error"]) == (2, "MissingFile")


def test_a_missing_database_names_its_path_and_its_neighbour(run, endpoint, task, tmp_path):
    task(endpoint, "[generator]", '[data]\ndatabase = "flihgts.sqlite"\n\n[generator]')
    (tmp_path / "tasks" / "flights.sqlite").touch()
    said = run("solve", "sums")
    assert said.code == 2
    assert "Did you mean 'flights.sqlite'" in said.err


def test_a_model_that_does_not_exist_is_the_users_mistake(run, endpoint, task):
    pytest.importorskip("torch")
    path = task(endpoint)
    text = path.read_text()
    start, end = text.index("method = "), text.index("[prompts]")
    path.write_text(text[:start] + 'method = "local_lm"\nmodel = "no-such/model"\n\n' + text[end:])
    said = run("solve", "sums")
    assert (said.code, "no-such/model" in said.err) == (2, True), said.err


def test_a_schema_that_cannot_be_compiled_is_named_before_any_draw(run, endpoint, task):
    steering = '[steering]\nmethod = "json_schema"\nschema = {type = "nothing"}\n\n[verifier]'
    with ScriptedEndpoint(lambda body: "{}") as url:
        task(url, "[verifier]", steering)
        said = run("solve", "sums")
    assert said.code == 2, said.err
    assert "nothing" in said.err


def test_an_endpoint_that_is_down_says_which(run, task):
    task("http://127.0.0.1:9/v1")
    said = run("solve", "sums")
    assert (said.code, "http://127.0.0.1:9" in said.err) == (1, True), said.err
    with Ledger("runs/ledger.sqlite") as ledger:
        assert ledger.runs()[0].state.value == "failed"


def test_an_endpoint_that_answers_nonsense_says_so(run, task):
    with ScriptedEndpoint(["2"], faults=lambda number: Fault("wrong_schema")) as url:
        task(url)
        said = run("solve", "sums")
    assert said.code == 1, said.err
    assert "Traceback" not in said.err


def test_nothing_recorded_is_lost_when_an_endpoint_fails_half_way(run, task):
    with ScriptedEndpoint(["2"], faults=lambda number: Fault("status") if number else None) as url:
        task(url, "workers = 2", "workers = 1")
        assert run("solve", "sums").code == 1
    with Ledger("runs/ledger.sqlite") as ledger:
        (first,) = ledger.runs()
        assert [draw.sample.value for draw in first.draws()] == ["2"]
    with ScriptedEndpoint(["4"]) as url:  # the paid draw is not asked for again
        path = task(url, "workers = 2", "workers = 1")
        was = first.spec["generator"]["base_url"]
        path.write_text(path.read_text().replace(url, was))
        assert run("solve", "sums", "--resume", first.id).code == 1  # that endpoint is gone
    assert run("runs", "show", first.id).code == 0


def test_what_is_not_a_ledger_is_refused(run, endpoint, task, tmp_path):
    task(endpoint)
    (tmp_path / "notes.txt").write_text("no ledger" * 100)
    said = run("solve", "sums", "--ledger", "notes.txt")
    assert (said.code, "notes.txt" in said.err) == (1, True)
    assert (tmp_path / "notes.txt").read_text() == "no ledger" * 100
    assert run("runs", "list").code == 2
    assert run("runs", "show", "abc").code == 2


def test_a_full_disk_is_said_and_what_was_recorded_stays(run, endpoint, task, tmp_path):
    """A file-size limit on the process stands for the disk: SQLite's write fails the same way."""
    task(endpoint)
    assert run("solve", "sums").code == 0
    ledger = tmp_path / "runs" / "ledger.sqlite"
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({ledger.stat().st_size - 8192},) * 2);"
        "sys.argv = ['genwright', 'solve', 'sums', '--seed', '1'];"
        "from genwright.cli.main import main; main()"
    )
    command = [sys.executable, "-c", script]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert said.returncode == 1, said.stderr
    assert "resume" in said.stderr or "disk" in said.stderr, said.stderr
    assert "Traceback" not in said.stderr
    with Ledger(ledger) as book:
        assert len(book.runs()[0].draws()) == 2


def test_a_folder_that_cannot_be_made_is_the_users_mistake(run, endpoint, task, tmp_path):
    task(endpoint)
    (tmp_path / "file").touch()
    said = run("solve", "sums", "--ledger", "file/ledger.sqlite")
    assert said.code == 2, said.err


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)]
)
def test_an_interrupted_run_goes_on_where_it_stopped(run, task, tmp_path, number, code):
    answered = []

    def reply(body):
        answered.append(body["messages"][-1]["content"])
        if len(answered) > 1:
            until((tmp_path / "go").exists)
        return "2" if "1" in answered[-1] else "4"

    with ScriptedEndpoint(reply) as url:
        task(url, "timeout = 2.0", "timeout = 300.0")
        path = tmp_path / "tasks" / "sums.toml"
        path.write_text(path.read_text().replace("workers = 2", "workers = 1"))
        command = [sys.executable, "-m", "genwright", "solve", "sums"]
        child = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        until(lambda: len(answered) > 1)
        os.kill(child.pid, number)
        _, err = child.communicate(timeout=300)
        assert child.returncode == code, err
        if number != signal.SIGKILL:
            assert "genwright runs resume" in err
        (tmp_path / "go").touch()
        with Ledger(tmp_path / "runs" / "ledger.sqlite") as ledger:
            (only,) = ledger.runs()
            assert len(only.draws()) == 1
        said = run("runs", "resume", only.id)
        assert said.code == 0, said.err
        with Ledger(tmp_path / "runs" / "ledger.sqlite") as ledger:
            assert ledger.run(only.id).state.value == "finished"
            assert len(ledger.run(only.id).draws()) == 2
