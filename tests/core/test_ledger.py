"""The file survives threads, full disks, old and new schemas; what is recorded comes back."""

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from genwright.core import (
    Cost,
    InvalidArgument,
    Item,
    Ledger,
    LedgerError,
    MissingFile,
    Outcome,
    RunState,
    Sample,
    Samples,
    Stop,
    Verdict,
)
from genwright.core import migrations as steps
from genwright.core.run import Call

CALL = Call("prompt", 7)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.db") as opened:
        yield opened


def test_a_draw_comes_back_whole(ledger):
    cost = Cost(
        draws=1, prompt_tokens=3, new_tokens=2, seconds=0.25, joules=1.5, joules_by="measured"
    )
    run = ledger.start_run("first", {"generator": "g"}, seed=5)
    run.record_draw("task", CALL, 2, Sample(("a", b"b"), -float("inf"), cost, {"tokens": [1, 2]}))
    (draw,) = ledger.run(run.id).draws()
    assert draw.sample == Sample(("a", b"b"), -float("inf"), cost, {"tokens": [1, 2]})
    assert (draw.task, draw.call, draw.index, draw.stacked) == ("task", CALL.key, 2, False)
    assert run.cost() == run.cost("task") == cost
    assert run.cost("other") == Cost()


def test_a_recorded_draw_is_never_replaced(ledger):
    run = ledger.start_run("r", {}, 0)
    for value in ("first", "second"):
        run.record_draw("t", CALL, 0, Sample(value))
    assert [d.sample.value for d in run.draws()] == ["first"]


def test_draws_are_found_by_task_call_and_index(ledger):
    run = ledger.start_run("r", {}, 0)
    for task in "ab":
        run.record_draws(task, CALL, [(i, Sample(f"{task}{i}")) for i in range(5)], stacked=False)
    assert [d.sample.value for d in run.draws("b", CALL.key, first=1, n=3)] == ["b1", "b2", "b3"]
    assert [d.sample.value for d in run.draws("a", first=3)] == ["a3", "a4"]
    assert run.draws("a", Call("prompt", 8).key) == []
    assert len(run.draws()) == 10


def test_an_undecided_verdict_is_null_and_not_a_failure(ledger):
    run = ledger.start_run("r", {}, 0)
    verdicts = [Verdict.ok([1]), Verdict.fail("no", score=0.5), Verdict.undecided({"timeout": 3})]
    for value, verdict in zip("abc", verdicts, strict=True):
        run.record_verdict("t", "v", value, verdict)
    assert [judged.verdict for judged in run.verdicts("t")] == verdicts
    assert [r[0] for r in ledger.read("SELECT passed FROM verdicts ORDER BY id")] == [1, 0, None]


def test_an_outcome_comes_back_with_draws_recorded_and_made_up(ledger):
    run = ledger.start_run("r", {}, 0)
    drawn = [Sample("x", info={"n": 0}), Sample("y"), Sample("x", info={"n": 2})]
    run.record_draws("t", CALL, list(enumerate(drawn)), stacked=False)
    mended = Sample("x and y", info={"made": "by the strategy"})
    outcome = Outcome(
        mended,
        Samples.of([*drawn, mended]),
        Stop.DECIDED,
        {"votes": {"x": 2}},
        Verdict.ok(),
        Cost(draws=3),
    )
    run.record_outcome("t", {"question": 1}, {"answer": 2}, outcome)
    (again,) = run.outcomes().values()
    assert list(again.samples) == list(outcome.samples)
    assert (again.chosen, again.stop, again.info, again.verdict, again.cost) == (
        mended, Stop.DECIDED, {"votes": {"x": 2}}, Verdict.ok(), Cost(draws=3)
    )  # fmt: skip
    assert run.prompts() == {"t": {"question": 1}}


def test_held_out_items_are_proved_apart_by_sql(ledger):
    run = ledger.start_run("r", {}, 0)
    run.add_items([Item("train", f"q{i}", {"template": f"t{i % 3}"}) for i in range(9)])
    run.add_items(
        [Item("held-out", "q1", {"template": "t9"}), Item("held-out", "q2", {"template": "t2"})]
    )
    shared = ledger.read(
        "SELECT DISTINCT data ->> 'template' AS t FROM items WHERE split = 'held-out'"
        " INTERSECT SELECT data ->> 'template' FROM items WHERE split = 'train'"
    )
    assert [row["t"] for row in shared] == ["t2"]
    assert run.items("held-out")[0] == Item("held-out", "q1", {"template": "t9"})


def test_metrics_come_back_in_order(ledger):
    run = ledger.start_run("r", {}, 0)
    for step, loss in enumerate([2.0, 1.5, float("nan")]):
        run.add_metric("loss", loss, step)
    run.add_metric("accuracy", 0.5)
    assert run.metrics("loss") == [("loss", 0, 2.0), ("loss", 1, 1.5), ("loss", 2, None)]


def test_a_run_is_found_by_the_start_of_its_id(ledger):
    for run_id in ("abc123", "abd456"):
        ledger.start_run("r", {}, 0, run_id)
    assert ledger.run("abc").id == "abc123"
    assert [run.id for run in ledger.runs()] == ["abc123", "abd456"]
    with pytest.raises(InvalidArgument, match="fits several runs: abc123, abd456"):
        ledger.run("ab")
    with pytest.raises(InvalidArgument, match="Did you mean 'abd456'"):
        ledger.run("abd465")
    with pytest.raises(InvalidArgument, match="already"):
        ledger.start_run("r", {}, 0, "abc123")
    with pytest.raises(InvalidArgument, match="64 bits"):
        ledger.start_run("r", {}, 2**63)


def test_no_key_is_ever_written(ledger, tmp_path):
    key = "sk-" + "a1B2" * 8
    spec = {
        "generator": {
            "api_key": "hunter2",
            "url": f"https://me:pass1@x.org/?k={key}",
            "token": "qwerty",
        }
    }
    run = ledger.start_run("r", spec, 0)
    run.finish(RunState.FAILED, f"EndpointError: Bearer {key} was refused")
    ledger.close()
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not [s for s in (key, "hunter2", "pass1", "qwerty") if s.encode() in raw]
    assert (
        Ledger(tmp_path / "ledger.db").run(run.id).message.startswith("EndpointError: Bearer ***")
    )


def test_many_threads_write_and_read(ledger):
    run = ledger.start_run("r", {}, 0)

    def write(worker):
        for i in range(40):
            run.record_draw(f"t{worker}", CALL, i, Sample(i))
            assert len(run.draws(f"t{worker}")) == i + 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert len(run.draws()) == 320


def _write_in_child(ledger):
    ledger.run("r").record_draw("child", CALL, 0, Sample("c"))


def test_a_forked_child_writes_through_a_connection_of_its_own(ledger):
    run = ledger.start_run("r", {}, 0, "r")
    child = multiprocessing.get_context("fork").Process(target=_write_in_child, args=(ledger,))
    child.start()
    child.join(300)
    run.record_draw("parent", CALL, 0, Sample("p"))
    assert child.exitcode == 0
    assert [d.task for d in run.draws()] == ["child", "parent"]


def test_a_ledger_of_the_first_schema_grows(tmp_path):
    path = tmp_path / "old.db"
    old = sqlite3.connect(path)
    old.execute(f"PRAGMA application_id = {steps.APPLICATION_ID}")
    old.execute(
        "CREATE TABLE migrations (step INTEGER PRIMARY KEY, name TEXT UNIQUE, applied REAL)"
    )
    name, apply = steps.MIGRATIONS[0]
    apply(old)
    old.execute("INSERT INTO migrations (name, applied) VALUES (?, 0)", (name,))
    old.execute(
        "INSERT INTO runs VALUES ('old', 'n', 1.0, NULL, '{}', 3, 'finished', '', '{}', NULL)"
    )
    old.commit()
    old.close()
    with Ledger(path) as ledger:
        run = ledger.run("old")
        run.add_items([Item("train", "k", {})])  # a table of the second step
        assert (run.seed, len(run.items())) == (3, 1)
        applied = [row["name"] for row in ledger.read("SELECT name FROM migrations ORDER BY step")]
    assert applied == [name for name, _ in steps.MIGRATIONS]


def test_a_ledger_of_a_newer_schema_is_left_alone(tmp_path):
    path = tmp_path / "new.db"
    with Ledger(path) as ledger, ledger.write() as connection:
        connection.execute("INSERT INTO migrations (name, applied) VALUES ('from_the_future', 0)")
    with pytest.raises(LedgerError, match=r"newer genwright .*from_the_future"):
        Ledger(path)


def test_other_files_and_wrong_paths_are_refused_and_untouched(tmp_path):
    (tmp_path / "text").write_text("hello, this is not a database at all" * 50)
    other = sqlite3.connect(tmp_path / "flights.db")
    other.execute("CREATE TABLE flights (id)")
    other.commit()
    other.close()
    before = (tmp_path / "flights.db").read_bytes()
    with pytest.raises(LedgerError, match="not a SQLite file"):
        Ledger(tmp_path / "text")
    with pytest.raises(LedgerError, match="not a genwright ledger"):
        Ledger(tmp_path / "flights.db")
    assert (tmp_path / "flights.db").read_bytes() == before
    with pytest.raises(MissingFile, match="is a folder"):
        Ledger(tmp_path)
    with pytest.raises(MissingFile, match="no folder"):
        Ledger(tmp_path / "none" / "ledger.db")
    with pytest.raises(MissingFile, match="no ledger at"):
        Ledger(tmp_path / "none.db", create=False)
    with pytest.raises(MissingFile, match="the first run makes it"):
        Ledger(tmp_path / "none" / "ledger.db", create=False)


def test_a_full_disk_loses_nothing_that_was_recorded(tmp_path):
    """The limit on file sizes stands in for the disk; the process writes until it is refused."""
    program = (
        "import resource, sys\n"
        "from genwright.core import Ledger, LedgerError, Sample\n"
        "from genwright.core.run import Call\n"
        "run = Ledger(sys.argv[1]).start_run('r', {}, 0, 'r')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "done = 0\n"
        "try:\n"
        "    for i in range(10_000):\n"
        "        run.record_draw('t', Call('p', 0), i, Sample('x' * 2000)); done += 1\n"
        "except LedgerError as error:\n"
        "    print(done, error)\n"
    )
    path = tmp_path / "ledger.db"
    told = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, timeout=300
    )
    done, _, message = told.stdout.partition(" ")
    assert message.startswith(f"Ledger {path}: the disk "), told
    assert 10 < int(done) < 10_000
    with Ledger(path) as ledger:
        assert len(ledger.run("r").draws()) == int(done)
        ledger.run("r").record_draw("t", CALL, 0, Sample("room again"))


def test_a_full_file_is_told_as_a_full_disk(tmp_path):
    with Ledger(tmp_path / "ledger.db") as ledger:
        run = ledger.start_run("r", {}, 0)
        with ledger.write() as connection:
            pass
        (pages,) = ledger.read("PRAGMA page_count")[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(LedgerError, match="the disk is full; make room and resume"):
            run.record_draw("t", CALL, 0, Sample("x" * 100_000))
        connection.execute("PRAGMA max_page_count = 100000")
        run.record_draw("t", CALL, 1, Sample("goes on"))
        assert [d.index for d in run.draws()] == [1]


@pytest.mark.skipif(
    not hasattr(os, "seteuid") or os.geteuid() != 0, reason="needs root to step down"
)
def test_a_read_only_file_is_read_and_its_writing_refused(tmp_path):
    path = tmp_path / "ledger.db"
    with Ledger(path) as ledger:
        ledger.start_run("r", {}, 0, "r")
    program = (
        "import os, sys\n"
        "from genwright.core import Ledger, LedgerError\n"
        "os.seteuid(65534)\n"
        "try:\n"
        "    Ledger(sys.argv[1]).start_run('s', {}, 0)\n"
        "except LedgerError as error:\n"
        "    print(error)\n"
    )
    temporary = Path(tempfile.gettempdir())
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(temporary) and folder != temporary:
            folder.chmod(0o755)
    path.chmod(0o644)
    told = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, timeout=300
    )
    assert "permissions" in told.stdout, told
    assert len(Ledger(path).runs()) == 1


def test_a_failed_block_leaves_no_trace(ledger):
    run = ledger.start_run("r", {}, 0)

    def fail_midway():
        with ledger.write() as connection:
            connection.execute("UPDATE runs SET name = 'changed'")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_midway()
    assert ledger.run(run.id).name == "r"
