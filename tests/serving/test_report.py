"""The report tells the ledger's numbers, shows hostile draws harmlessly, renders in a browser."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from typer.testing import CliRunner

from genwright.core import (
    Budget,
    Cost,
    Ledger,
    Outcome,
    RunState,
    Sample,
    Samples,
    Stop,
    Task,
    Verdict,
    solve,
)
from genwright.core.run import Call
from genwright.search.majority_vote import MajorityVote
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.search.single import Single
from genwright.serving.report import read_run, report_html, write_report
from genwright.serving.report.comparison import compare
from genwright.serving.report.curve import Curve, curve
from genwright.serving.report.examples import MOST, pick
from genwright.serving.report.figures import MOST_BINS, histogram
from genwright.serving.report.markup import data
from genwright.testing import Passes, Scripted, Uniform

pytest.importorskip("plotly", reason="needs plotly: pip install 'genwright[report]'")

EVIL = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"


class Page(HTMLParser):
    """What a browser's parser sees: elements with their attributes, and texts outside scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(self.texts)


def plotted(text, name):
    """Return the traces of a plot of the page by name."""
    block = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text)[1]
    return {trace.get("name"): trace for trace in json.loads(block)["data"]}


def scripted(ledger, scripts, *, run_id="r", name="", judge=None, stop_on_pass=False, keys=None):
    """Draw every script to its end; `+` passes, `?` is undecided, all else fails."""
    judge = judge or (lambda v: None if v == "?" else v == "+")
    tasks = [Task(prompt, Passes(judge), (keys or {}).get(prompt, prompt)) for prompt in scripts]
    n = max(map(len, scripts.values()))
    strategy = RepeatedSampling(n=n, batch=1, stop_on_pass=stop_on_pass)
    solve(tasks, Scripted(scripts), strategy, ledger=ledger, run_id=run_id, name=name)
    return ledger.run(run_id)


@pytest.fixture
def ledger():
    with Ledger() as book:
        yield book


def command(*arguments):
    from genwright.cli.main import app

    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_coverage_is_pass_at_k_by_hand(ledger):
    run = scripted(ledger, {"a": "+---", "b": "----"})
    traces = plotted(report_html([run])[0], "coverage-r")
    assert traces["pass@k"]["x"] == [1, 2, 4]
    assert traces["pass@k"]["y"] == pytest.approx([1 / 8, 1 / 4, 1 / 2])
    assert traces["pass@k"]["customdata"] == [2, 2, 2]


def test_further_checks_have_a_column_with_their_mean_by_group(ledger):
    half = Passes(lambda v: Verdict(passed=False, score=0.5 if v == "-" else 1.0))
    tasks = [
        Task(p, Passes(lambda v: v == "+"), f"{group}/{i:012x}", metrics={"fields": half})
        for i, (p, group) in enumerate((("a", "one"), ("b", "one"), ("c", "two")))
    ]
    script = {"a": ["+"], "b": ["-"], "c": ["-"]}
    solve(tasks, Scripted(script), Single(), ledger=ledger, run_id="r")
    text = " ".join(Page(report_html([ledger.run("r")])[0]).text.split())
    table = text[text.index("Scores and costs") : text.index("Coverage over draws")]
    assert re.search(r"fields one .* 75% two .* 50% all .* 67%", table), table
    assert "Further checks show their mean score" in table


def test_undecided_draws_are_left_out_of_coverage_and_counted(ledger):
    found = curve(read_run(scripted(ledger, {"a": "+?-", "b": "+-?"})))
    assert isinstance(found, Curve)
    points = found.points
    assert (points.ks, points.values, points.undecided) == ((1, 2), (0.5, 1.0), 2)
    text = Page(report_html([ledger.run("r")])[0]).text
    assert "2 undecided draws are left out." in text


def test_a_few_tasks_with_many_decided_draws_do_not_stretch_the_curve(ledger):
    scripts = {f"t{i}": "+-??" for i in range(9)} | {"long": "+---"}
    assert curve(read_run(scripted(ledger, scripts))).points.ks == (1, 2)


def test_a_run_that_stopped_at_a_pass_is_counted_in_order(ledger):
    run = scripted(ledger, {"a": "-+--", "b": "----", "c": "---+"}, stop_on_pass=True)
    found = curve(read_run(run))
    assert (found.in_order, found.points.ks) == (True, (1, 2, 4))
    assert found.points.values == pytest.approx((0, 1 / 3, 2 / 3))
    assert found.law is None


def test_draws_in_order_end_where_an_unsolved_task_ends(ledger):
    run = scripted(ledger, {"a": "+---", "b": "----", "c": "--??"}, stop_on_pass=True)
    assert curve(read_run(run)).points.ks == (1, 2)


def test_a_task_that_asked_several_things_has_no_coverage(ledger):
    run = scripted(ledger, {"a": "+-"})
    run.record_draw("a", Call("another", 0), 0, Sample("+"))
    assert "several things" in curve(read_run(run))


def test_the_latest_verdict_counts_and_only_the_runs_own(ledger):
    run = scripted(ledger, {"a": "--"}, run_id="1")
    scripted(ledger, {"a": "+++"}, run_id="2")
    run.record_verdict("a", "another verifier", "-", Verdict.ok())
    assert [draw.status for draw in read_run(run).draws] == ["passed", "passed"]


def test_the_power_law_is_fitted_where_coverage_follows_one(ledger):
    choices = ["+"] + ["-"] * 9
    tasks = [Task(f"t{i}", Passes(lambda v: v == "+")) for i in range(20)]
    strategy = RepeatedSampling(n=16, stop_on_pass=False)
    solve(tasks, Uniform(choices), strategy, ledger=ledger, run_id="r", seed=1)
    found = curve(read_run(ledger.run("r")))
    assert found.law is not None
    traces = plotted(report_html([ledger.run("r")])[0], "coverage-r")
    assert max(traces["power law"]["x"]) == pytest.approx(64)


def test_a_strategy_that_checks_only_its_choice_gives_no_coverage(ledger):
    task = Task("a", Passes(lambda v: v == "x"))
    vote = MajorityVote(key=str, k=5)
    solve([task], Scripted("xxyxx"), vote, ledger=ledger, run_id="r")
    assert "4 of 5 draws checked" in curve(read_run(ledger.run("r")))


def test_scores_and_costs_by_group_are_the_ledgers(ledger):
    keys = {"a": f"easy/{1:012x}", "b": f"easy/{2:012x}", "c": f"hard/{3:012x}"}
    run = scripted(ledger, {"a": "+", "b": "?", "c": "-"}, keys=keys)
    rows = re.findall(r"<tr>(.*?)</tr>", report_html([run])[0].partition("Scores and costs")[2])
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows[:4]]
    told = [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]
    wanted = ["group", "tasks", "passed", "rate", "95% interval", "undecided", "new tokens"]
    assert [[row[name] for name in wanted] for row in told] == [
        ["easy", "2", "1", "100%", "21% – 100%", "1", "2"],
        ["hard", "1", "0", "0%", "0% – 79%", "", "1"],
        ["all", "3", "1", "50%", "9.5% – 90.5%", "1", "3"],
    ]  # fmt: skip


def test_before_and_after_are_paired_task_by_task(ledger):
    was = {"a": "-", "b": "-", "c": "+", "d": "?", "e": "+", "old": "-"}
    now = {"a": "+", "b": "+", "c": "-", "d": "+", "e": "?", "new": "+"}
    first = scripted(ledger, was, run_id="1", keys={"old": "of one key"})
    second = scripted(ledger, now, run_id="2", keys={"new": "of one key"})
    (pair,) = compare("", read_run(first), read_run(second))
    assert (pair.test.first_only, pair.test.second_only, pair.test.n) == (1, 2, 3)
    assert pair.difference.estimate == pytest.approx(1 / 3)
    assert (pair.first.estimate, pair.second.estimate) == pytest.approx((1 / 3, 2 / 3))


def test_several_runs_are_set_side_by_side_under_short_names(ledger):
    runs = [
        scripted(ledger, {"a": "-"}, run_id="1", name="sums: before, free"),
        scripted(ledger, {"a": "-"}, run_id="2", name="sums: before, full"),
        scripted(ledger, {"a": "+"}, run_id="3", name="sums: after, full"),
    ]
    text = Page(report_html(runs)[0]).text
    assert "sums: 3 runs" in text
    assert "before, full → after, full" in text
    assert "before, free →" not in text  # it has no counterpart


def test_hostile_texts_are_shown_and_do_nothing(ledger):
    tasks = [Task(EVIL, Passes(lambda v: Verdict.fail({EVIL: EVIL})), f"{EVIL}/{1:012x}")]
    draws = [EVIL + "\u202e\x1b\ud800", "</pre>"]
    solve(tasks, Scripted(draws), RepeatedSampling(n=2), ledger=ledger, name=EVIL, run_id="r")
    ledger.run("r").add_metric(EVIL, 1.0, 0)
    ledger.run("r").add_metric(EVIL, 2.0, 1)
    text, _ = report_html([ledger.run("r")])
    page = Page(text)
    kinds = [a.get("type") for tag, a in page.elements if tag == "script"]
    assert kinds.count(None) == 2  # plotly.js and the page's own
    assert "img" not in {tag for tag, _ in page.elements}
    assert not any(name.startswith("on") for _, a in page.elements for name in a)
    assert page.text.count(EVIL) >= 5  # title, prompt, draw, evidence's name and value
    assert "\\u202e\\u001b\\ud800" in page.text
    assert all(name.startswith("&lt;script&gt;") for name in plotted(text, "metric-0-r"))
    text.encode()


def test_data_can_end_no_script_and_holds_what_was_put_in():
    made = data("x", {"</script><!--": "\u2028&"})
    inner = made.removeprefix('<script type="application/json" id="x">').removesuffix("</script>")
    assert not set("<>&\u2028") & set(inner)
    assert json.loads(inner) == {"</script><!--": "\u2028&"}


def test_nothing_is_fetched_and_plotly_stands_in_the_page_once(ledger):
    text, _ = report_html([scripted(ledger, {"a": "+-"})])
    page = Page(text)
    assert not any({"src", "action", "data"} & a.keys() for _, a in page.elements)
    assert {tag for tag, _ in page.elements}.isdisjoint({"link", "iframe", "object", "form"})
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert text.count("* plotly.js v") == 1
    assert not page.open


def test_masked_mass_tokens_and_joules_are_told(ledger):
    run = ledger.start_run("r", {"tasks": 1}, 0, "r")
    cost = Cost(draws=1, new_tokens=7, seconds=0.5, joules=3.0, joules_by="measured")
    for index, mass in enumerate([0.5, 2.5]):
        run.record_draw("a", Call("p", 0), index, Sample("v", None, cost, {"masked_mass": mass}))
    run.record_draw("a", Call("p", 0), 2, Sample("v", None, cost))
    text, _ = report_html([run])
    assert sum(plotted(text, "masked-r")["unchecked"]["y"]) == 2
    assert sum(plotted(text, "tokens-r")["unchecked"]["y"]) == 3
    assert "What steering took away from 2 steered draws." in Page(text).text
    assert "9 J" in Page(text).text
    assert "Joules are measured." in Page(text).text


def test_bins_hold_every_draw_whole_numbers_in_bins_of_whole_numbers():
    for values in (
        [3, 3, 4, 9],
        list(range(1000)),
        list(range(MOST_BINS + 1)),
        [0.1, 0.25, 7.5],
        [5],
    ):
        made = json.loads(histogram("h", "t", "u", {"passed": values}).json)["data"][0]
        assert sum(made["y"]) == len(values)
        assert len(made["y"]) <= MOST_BINS
        if all(float(v).is_integer() for v in values):
            assert all(float(w).is_integer() for w in made["width"])


def test_losses_are_drawn_and_what_is_no_number_is_counted(ledger):
    run = ledger.start_run("sums: training", {"learner": {"method": "supervised"}}, 0, "t")
    for step, loss in enumerate([2.0, float("nan"), 1.0]):
        run.add_metric("supervised/loss", loss, step)
    run.add_metric("valid SQL", 0.93)
    run.finish()
    text, notes = report_html([run])
    assert plotted(text, "metric-0-t")["supervised/loss"]["y"] == [2.0, 1.0]
    assert "1 values were not finite numbers" in Page(text).text
    assert "0.93" in Page(text).text
    assert notes == {"t": ["The run made no draws; it recorded training."]}


def test_examples_come_from_every_group_chosen_draws_first(ledger):
    keys = {name: f"{name[0]}/{i:012x}" for i, name in enumerate(["a1", "a2", "a3", "a4", "b1"])}
    facts = read_run(scripted(ledger, {k: "-+" for k in keys}, keys=keys))
    picked = pick(facts, "passed")
    assert [facts.tasks[d.task].group for d in picked] == ["a", "b", "a", "a"]
    assert len(picked) == MOST
    assert all(facts.tasks[d.task].chosen == d.id for d in picked)


def test_the_draw_that_was_chosen_is_the_example(ledger):
    task = Task("a", Passes(lambda v: False))
    solve([task], Scripted("yxxy"), RepeatedSampling(n=4), ledger=ledger, run_id="r")
    run = ledger.run("r")
    drawn = [draw.sample for draw in run.draws()]
    run.record_outcome("a", "a", {}, Outcome(drawn[1], Samples.of(drawn), Stop.COMPLETE))
    (draw,) = pick(read_run(run), "failed")
    assert draw.id == run.draws()[1].id


def test_arrays_and_tensors_are_told_by_shape(ledger):
    torch = pytest.importorskip("torch", reason="needs torch: pip install 'genwright[lm]'")
    run = ledger.start_run("r", {}, 0, "r")
    values = [np.zeros((3, 4)), torch.ones(2, 2), torch.ones(2, dtype=torch.bfloat16)]
    for index, value in enumerate(values):
        run.record_draw(f"t{index}", Call("p", 0), 0, Sample(value))
    text = Page(report_html([run])[0]).text
    assert "array of 3 × 4, float64, values 0 to 0" in text
    assert "tensor of 2 × 2, float32, values 1 to 1" in text
    assert "tensor of 2, bfloat16" in text


def test_a_command_that_makes_the_run_again_stands_in_the_page(ledger):
    def told(name, prompt="a"):
        run = scripted(ledger, {prompt: "+"}, run_id=name or "none", name=name)
        return Page(report_html([run])[0]).text

    assert "genwright solve sums --seed 0 --limit 1" in told("sums")
    assert "genwright improve sums" in told("sums: before, full")
    assert "genwright ask sums 'how many?; rm x' --seed 0" in told("sums: ask", "how many?; rm x")
    assert "genwright.core.solve(" in told("")


def test_an_empty_run_says_that_it_is_empty(ledger):
    run = ledger.start_run("nothing", {"tasks": 3}, 0, "r")
    run.finish()
    text, notes = report_html([run])
    assert any("recorded no draw" in note for note in notes["r"])
    assert "0 of 3 tasks have an outcome" in Page(text).text


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (RunState.RUNNING, "had not ended"),
        (RunState.INTERRUPTED, "was interrupted"),
        (RunState.FAILED, "The run failed: disk <full>"),
    ],
)
def test_a_half_finished_run_shows_its_state_and_what_is_missing(ledger, state, told):
    run = scripted(ledger, {"a": "+-", "b": "--"})
    run.record_draw("c", Call("c", 0), 0, Sample("x", None, Cost(draws=1)))
    run.finish(state, "disk <full>")
    text = Page(report_html([run])[0]).text
    assert told in text
    assert state.value in text
    assert "2 of 3 tasks have an outcome" in text
    assert "pass@k" in text  # of the two that finished


def test_a_run_without_verdicts_says_so(ledger):
    solve([Task("a")], Uniform("xy"), MajorityVote(key=str, k=3), ledger=ledger, run_id="r")
    text, notes = report_html([ledger.run("r")])
    assert any("have no verifier" in note for note in notes["r"])
    assert 'data-plot="coverage' not in text


def test_tasks_that_a_spent_budget_left_without_draws_are_no_surprise(ledger):
    tasks = [Task(p, Passes(lambda v: True)) for p in "ab"]
    strategy = RepeatedSampling(n=2, stop_on_pass=False)
    solve(tasks, Uniform("x"), strategy, ledger=ledger, run_id="r", run_budget=Budget(draws=2))
    assert "1 – 100%" not in Page(report_html([ledger.run("r")])[0]).text
    assert isinstance(curve(read_run(ledger.run("r"))), str)


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as opened:
        scripted(opened, {"a": "+-"}, run_id="abc123", name="sums")
    return path


def test_the_command_writes_the_file_and_says_what_it_wrote(book, tmp_path):
    out = tmp_path / "r.html"
    said = command("abc", "--ledger", book, "--out", out, "--json")
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout) == {
        "path": str(out), "bytes": out.stat().st_size, "runs": {"abc123": []},
    }  # fmt: skip
    assert "<title>sums · genwright report</title>" in out.read_text()
    assert "wrote" in command("abc", "--ledger", book, "--out", out).stdout


def test_bad_input_is_refused_with_what_to_do(book, tmp_path, monkeypatch):
    def refused(*arguments):
        out = tmp_path / "never.html"
        said = command(*arguments, *(() if "--out" in arguments else ("--out", out)))
        assert said.exit_code == 2
        assert not out.exists()
        return " ".join(said.output.split())

    assert "no run is called 'abd123'. Did you mean 'abc123'?" in refused(
        "abd123", "--ledger", book
    )
    assert "there is no ledger at" in refused("abc", "--ledger", tmp_path / "no.sqlite")
    assert "each once; got abc123, abc123" in refused("abc", "abc123", "--ledger", book)
    assert "make it first" in refused("abc", "--ledger", book, "--out", tmp_path / "no" / "r.html")
    assert "is a folder" in refused("abc", "--ledger", book, "--out", tmp_path)
    for name in ("plotly", "plotly.offline", "plotly.graph_objects"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "pip install 'genwright[report]'" in refused("abc", "--ledger", book)


def test_an_old_report_stays_when_a_new_one_cannot_be_made(book, tmp_path, monkeypatch):
    out = tmp_path / "r.html"
    out.write_text("old")
    with Ledger(book) as opened:
        run = opened.run("abc")
        monkeypatch.setattr("pathlib.Path.replace", lambda *_: os.stat(tmp_path / "gone"))
        with pytest.raises(FileNotFoundError):
            write_report([run], out)
    assert out.read_text() == "old"
    assert [p.name for p in tmp_path.glob(".*.part")] == []


FRAME = """<!DOCTYPE html><title>frame</title>
<iframe id="f" src="{page}" style="width: {width}px; height: {height}px"></iframe>
<script>setInterval(() => {{
  const seen = document.getElementById("f").contentDocument;
  const told = {{...seen.documentElement.dataset, title: seen.title}};
  document.body.dataset.seen = JSON.stringify(told);
}}, 100)</script>"""


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_a_browser_draws_every_plot_within_the_width_without_errors(tmp_path, width, height):
    """The frame has the wanted width: Chromium's own windows are never narrower than 500."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    name, key = f"{EVIL}: before, full", f"{'group' * 30}/{1:012x}"

    def judge(value):
        return value == "+" or Verdict.fail({EVIL: [[EVIL * 9] * 9]})

    with Ledger() as book:
        scripts = {EVIL: "+-----", "b" * 500: "--+---", "c": "------"}
        runs = [
            scripted(book, scripts, run_id=i, name=name, judge=judge, keys={"c": key}) for i in "12"
        ]
        runs[0].add_metric("loss", 1.0, 0)
        runs[0].add_metric("loss", 0.5, 1)
        write_report(runs, tmp_path / "report.html")
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(page="report.html", width=width, height=height))
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-sync"
    flags += " --disable-component-update --no-first-run --allow-file-access-from-files"
    flags += " --enable-logging=stderr --virtual-time-budget=8000 --window-size=1400,1000"
    said = subprocess.run(
        [browser, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
         frame.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    seen = json.loads(re.search(r'data-seen="([^"]*)"', said.stdout)[1].replace("&quot;", '"'))
    drawn, wanted = map(int, seen["plots"].split("/"))
    assert (drawn, wanted) == (wanted, 6)
    content, window = map(int, seen["width"].split("/"))
    assert content <= window <= width
    assert seen["errors"] == ""
    assert "taken" not in seen["title"].replace("'taken'", "")
    assert "CONSOLE" not in said.stderr


def test_drawn_pictures_are_shown():
    """The value comes as an image of the page itself, eight times as large, beside its shape."""
    picture = np.linspace(-1, 1, 16, dtype=np.float32).reshape(1, 4, 4)
    ledger = Ledger()
    run = ledger.start_run("pictures", {}, 0, "p")
    run.record_draws("t", Call("3", 1), [(0, Sample(picture))], stacked=True)
    outcome = Outcome(Sample(picture), Samples([picture]), Stop.COMPLETE)
    run.record_outcome("t", "3", {}, outcome)
    page, _ = report_html([run])
    (shown,) = [dict(a) for tag, a in Page(page).elements if tag == "img"]
    assert shown["src"].startswith("data:image/png;base64,")
    assert shown["alt"].startswith("array of 1 × 4 × 4, float32")
