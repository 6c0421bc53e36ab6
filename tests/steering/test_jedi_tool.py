"""Jedi completes from a copy of a project, runs nothing of it, and is given up on in time."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from waiting import PATIENT, is_running, until

from genwright.core import InvalidArgument, MissingExtra, MissingFile
from genwright.steering import jedi_tool
from genwright.steering.jedi_tool import JediTool

pytest.importorskip("jedi")

MODEL = """
from pathlib import Path
Path(__file__).with_name("ran").write_text("imported")
class Basket:
    def __init__(self, owner: str):
        self.owner = owner
    def add_item(self, item): ...
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("shop")
    (root / "store").mkdir()
    (root / "store" / "__init__.py").write_text("import no_such_module_anywhere\n")
    (root / "store" / "model.py").write_text(MODEL)
    for name in ("_strptime", "decimal"):  # modules that compiled ones import
        (root / f"{name}.py").write_text(MODEL)
    (root / ".hidden").mkdir()
    (root / ".hidden" / "secret.py").write_text("x = 1\n")
    (root / "data.bin").write_bytes(b"0")
    return root


def tool(shop, **settings):
    return JediTool(project=str(shop), **({"seconds": PATIENT} | settings))


def desk_of(shop):
    return jedi_tool._desks[os.getpid(), str(shop.resolve())]


HEAD = "from store.model import Basket\ndef f(b: Basket):\n    return "


def test_it_knows_members_by_their_remainders_and_runs_nothing(shop):
    found = tool(shop).complete("use.py", HEAD + "b.", "\n")
    assert {"owner", "add_item"} <= set(found)
    assert tool(shop).complete("use.py", HEAD + "b.add", "\n") == ["_item"]
    assert tool(shop).complete("use.py", HEAD + "'b.", "\n") == []
    assert not list(shop.rglob("ran"))
    desk = desk_of(shop)
    copied = {str(p.relative_to(desk._folder)) for p in desk._folder.rglob("*.*") if p.is_file()}
    assert {"project/store/model.py", "project/store/__init__.py"} <= copied
    assert not any(Path(name).name == "ran" or "secret" in name for name in copied)
    assert not any(name.endswith(".bin") for name in copied)


def test_what_a_compiled_module_imports_is_not_run_from_the_project(shop):
    """Jedi imports compiled modules; these import others by names that the project has too."""
    code = "import _datetime\nx = _datetime.datetime.strptime('', '')\nimport _decimal\n_decimal."
    assert tool(shop).complete("use.py", code, "\n")
    desk = desk_of(shop)
    assert not [*shop.rglob("ran"), *desk._folder.rglob("ran")]


def test_the_text_that_is_given_counts_not_the_one_on_disk(shop):
    code = "class Basket:\n    def other(self): ...\ndef f(b: Basket):\n    return b."
    found = tool(shop).complete("store/model.py", code, "\n")
    assert "other" in found
    assert "owner" not in found


def test_answers_are_kept_and_counted_once(shop):
    made = tool(shop)
    before = replace(made.tally)
    first = made.complete("kept.py", HEAD + "b.", "\n")
    assert made.complete("kept.py", HEAD + "b.", "\n") == first
    after = tool(shop).tally
    assert (after.asked - before.asked, after.known - before.known) == (1, 1)
    assert after.failed == before.failed


def test_a_late_answer_is_none_counted_and_the_next_one_is_right(shop):
    made, hasty = tool(shop), tool(shop, seconds=1e-9)
    before = replace(made.tally)
    assert hasty.complete("late.py", HEAD + "b.", "\n") == []
    assert (made.tally.failed - before.failed, made.tally.known) == (1, before.known)
    assert made.tally.seconds > before.seconds
    assert "owner" in made.complete("late.py", HEAD + "b.", "\n")  # a failure is not kept


def test_a_process_that_dies_is_a_failure_and_starts_anew(shop):
    made = tool(shop)
    made.complete("dead.py", HEAD, "\n")
    before = made.tally.failed
    desk = desk_of(shop)
    desk._process.popen.kill()
    desk._process.popen.wait()
    assert made.complete("dead.py", HEAD + "b.", "\n") == []
    assert made.tally.failed == before + 1
    assert "owner" in made.complete("dead.py", HEAD + "b.", "\n")


def test_what_jedi_cannot_take_is_a_failure(shop):
    made = tool(shop)
    before = replace(made.tally)
    assert made.complete("use\0.py", "x.", "") == []
    assert made.complete("broken.py", "x = '", "'\n") == []
    after = made.tally
    assert (after.asked - before.asked, after.failed - before.failed) == (2, 1)


def test_closing_removes_the_copy_and_ends_the_process(shop):
    tool(shop).complete("closed.py", HEAD, "\n")
    desk = jedi_tool._desks.pop((os.getpid(), str(shop.resolve())))
    process = desk._process.popen
    desk.close()
    assert process.poll() is not None
    assert not desk._folder.exists()


def test_a_program_that_is_killed_leaves_no_process_and_no_copy(shop):
    code = (
        "from genwright.steering import jedi_tool; import sys, time\n"
        f"jedi_tool.JediTool(project={str(shop)!r}, seconds={PATIENT}).complete('a.py', 'x', '')\n"
        "(desk,) = jedi_tool._desks.values()\n"
        "print(desk._folder, desk._process.popen.pid, flush=True); time.sleep(600)\n"
    )
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    folder, worker = program.stdout.readline().split()
    assert Path(folder, "project", "store").is_dir()
    program.send_signal(signal.SIGKILL)
    program.wait()
    until(lambda: not Path(folder).exists())
    program.stdout.close()
    until(lambda: not is_running(int(worker)))


def test_bad_settings_are_refused(shop, monkeypatch):
    with pytest.raises(InvalidArgument, match="seconds must be above 0"):
        tool(shop, seconds=0)
    with pytest.raises(MissingFile, match="no folder"):
        JediTool(project=str(shop / "none")).complete("a.py", "", "")
    monkeypatch.setattr(jedi_tool, "find_spec", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "jedi", None)
    with pytest.raises(MissingExtra, match=r"genwright\[code\]"):
        tool(shop).complete("a.py", "", "")
