"""The runner records all, repeats nothing, and gives one transcript whatever the workers."""

import threading
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.core import (
    Budget,
    Cost,
    GenwrightError,
    InvalidArgument,
    Ledger,
    Outcome,
    RunInterrupted,
    RunState,
    Sample,
    Samples,
    Steerable,
    Stop,
    StreamingGenerator,
    Task,
    Verdict,
    child_seed,
    solve,
)
from genwright.core.export import diff
from genwright.testing import Passes, Scripted


@dataclass(frozen=True)
class Numbers:
    """Draw k is a number from its seed; every call is kept, and some raise."""

    steering: tuple = ()
    fail_at: int | None = None
    error: type[BaseException] = RuntimeError
    calls: list = field(default_factory=list, repr=False)

    def sample(self, prompt, n, *, seed, first=0):
        self.calls.append((prompt, first, n))
        if self.fail_at is not None and len(self.calls) > self.fail_at:
            raise self.error("out of order")
        values = [
            f"{prompt}/{child_seed(seed, k) % 10}{self.steering}" for k in range(first, first + n)
        ]
        return Samples(values, [-1.0] * n, [Cost(draws=1, new_tokens=2)] * n)

    def steered(self, *constraints):
        return replace(self, steering=(*self.steering, *constraints))

    def score(self, value):
        return len(value)

    vocabulary = "the vocabulary"


@dataclass(frozen=True)
class Streaming(Numbers):
    def stream(self, prompt, n, *, seed, first=0):
        for k in reversed(range(first, first + n)):
            yield k, self.sample(prompt, 1, seed=seed, first=k)[0]


@dataclass(frozen=True)
class EndsIn:
    """Passes what ends in a digit; undecided on 0. Each check leaves a trace."""

    digit: str = "7"
    checked: list = field(default_factory=list, repr=False, compare=False)

    def check(self, samples):
        self.checked.extend(samples.values)
        return [
            Verdict.undecided("zero") if v.endswith("0") else
            Verdict.ok() if v.endswith(self.digit) else Verdict.fail({"got": v})
            for v in samples.values
        ]  # fmt: skip


@dataclass(frozen=True)
class Rounds:
    """Rounds of draws, each checked, until one passes or the budget is spent."""

    rounds: int = 3
    batch: int = 4

    def run(self, generator, task, budget, seed):
        drawn = Samples()
        for _ in range(self.rounds):
            n = budget.room(drawn.cost, self.batch)
            if not n:
                return Outcome(None, drawn, Stop.BUDGET)
            drawn += generator.sample(task.prompt, n, seed=seed, first=len(drawn))
            verdicts = task.verifier.check(drawn)
            for sample, verdict in zip(drawn, verdicts, strict=True):
                if verdict.passed:
                    return Outcome(sample, drawn, Stop.PASSED)
        short = len(drawn) < self.rounds * self.batch
        return Outcome(drawn[0], drawn, Stop.BUDGET if short else Stop.COMPLETE)


def tasks(n=6, verifier=None):
    return [Task(f"q{i}", verifier or EndsIn(), key=f"k{i}") for i in range(n)]


def told(result):
    return [
        (o.chosen, o.samples.values, o.stop, o.verdict, o.cost, o.passed) for o in result.outcomes
    ]


def test_outcomes_come_in_the_order_of_the_tasks_with_verdict_and_cost():
    ledger = Ledger()
    result = solve(tasks(), Numbers(), Rounds(), ledger=ledger, seed=1)
    run = ledger.run(result.run_id)
    assert [o.samples.values[0][:2] for o in result.outcomes] == [f"q{i}" for i in range(6)]
    for key, outcome in zip([f"k{i}" for i in range(6)], result.outcomes, strict=True):
        assert outcome.verdict == EndsIn().check(Samples.of([outcome.chosen]))[0]
        assert outcome.cost.draws == len(outcome.samples) == len(run.draws(key))
        assert outcome.cost.verifier_calls == len(set(outcome.samples.values))
    assert result.cost == sum((o.cost for o in result.outcomes), Cost())
    assert (result.stop, run.state) == (Stop.COMPLETE, RunState.FINISHED)


def test_the_seed_of_a_task_comes_from_its_key_and_not_its_place():
    forward = solve(tasks(), Numbers(), Rounds(), seed=1).outcomes
    backward = solve(tasks()[::-1], Numbers(), Rounds(), seed=1).outcomes
    assert [o.samples for o in forward] == [o.samples for o in backward[::-1]]
    other = solve(tasks(), Numbers(), Rounds(), seed=2).outcomes
    assert [o.samples for o in forward] != [o.samples for o in other]


@pytest.mark.parametrize("kind", [Numbers, Streaming])
def test_one_worker_and_eight_give_one_transcript(tmp_path, kind):
    with Ledger(tmp_path / "ledger.db") as ledger:
        one = solve(tasks(30), kind(), Rounds(), ledger=ledger)
        eight = solve(tasks(30), kind(), Rounds(), ledger=ledger, workers=8)
        assert told(one) == told(eight)
        assert diff(ledger.run(one.run_id), ledger.run(eight.run_id)).same


def test_no_value_is_checked_twice_not_even_the_chosen_one():
    verifier = EndsIn()
    solve([Task("q", verifier)], Numbers(), Rounds(rounds=1, batch=30))
    assert max(Counter(verifier.checked).values()) == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 30), st.sampled_from([1, 3]), st.sampled_from([Numbers, Streaming]))
def test_a_run_that_failed_anywhere_resumes_without_paying_again(fail_at, workers, kind):
    whole = solve(tasks(), kind(), Rounds(), seed=3)
    ledger, broken, verifier = Ledger(), kind(fail_at=fail_at), EndsIn()
    try:
        solve(tasks(), broken, Rounds(), ledger=ledger, run_id="r", seed=3, workers=workers)
    except RuntimeError:
        assert ledger.run("r").state is RunState.FAILED
        assert ledger.run("r").message == "RuntimeError: out of order"
    before = len(ledger.run("r").draws())
    # fail_at is part of the description: the same generator must come back, mended.
    broken.calls.clear()
    object.__setattr__(broken, "calls", _Endless())
    resumed = solve(tasks(verifier=verifier), broken, Rounds(), ledger=ledger, run_id="r", seed=3)
    assert told(resumed) == told(whole)
    paid = sum(n for _, _, n in broken.calls.kept)
    assert before + paid == len(ledger.run("r").draws()) == whole.cost.draws


class _Endless:
    """Keeps calls, and claims that there were none."""

    def __init__(self):
        self.kept = []

    def append(self, call):
        self.kept.append(call)

    def __len__(self):
        return 0


@given(st.integers(0, 40), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_a_budget_of_draws_for_the_run_is_kept_exactly(limit, batch):
    result = solve(
        tasks(verifier=EndsIn("x")), Numbers(), Rounds(3, batch), run_budget=Budget(draws=limit)
    )
    planned = 6 * 3 * batch
    assert result.cost.draws == min(limit, planned)
    assert result.cost == sum((o.cost for o in result.outcomes), Cost())
    assert (result.stop is Stop.BUDGET) == (limit < planned)


def test_a_task_that_starts_on_a_spent_budget_makes_no_draw():
    generator = Numbers()
    result = solve(tasks(3), generator, Rounds(1, 4), run_budget=Budget(draws=4))
    assert [len(o.samples) for o in result.outcomes] == [4, 0, 0]
    assert [o.stop is Stop.BUDGET for o in result.outcomes] == [False, True, True]
    assert generator.calls == [("q0", 0, 4)]


def test_more_budget_reopens_what_a_budget_ended_and_only_that():
    ledger, generator = Ledger(), Numbers()
    options = {"ledger": ledger, "run_id": "r"}
    never = tasks(2, EndsIn("x"))
    solve(never, generator, Rounds(2, 3), budget=Budget(draws=4), **options)
    assert [n for *_, n in generator.calls] == [3, 1, 3, 1]
    generator.calls.clear()
    solve(never, generator, Rounds(2, 3), budget=Budget(draws=4), **options)
    assert generator.calls == []
    more = solve(never, generator, Rounds(2, 3), budget=Budget(draws=6), **options)
    assert [n for *_, n in generator.calls] == [2, 2]
    assert told(more) == told(solve(never, Numbers(), Rounds(2, 3), budget=Budget(draws=6)))


@dataclass(frozen=True)
class Steers:
    """Draws through steered copies, by two constraints and by none, under one seed."""

    def run(self, generator, task, budget, seed):
        assert isinstance(generator, Steerable)
        assert generator.vocabulary == "the vocabulary"
        assert generator.score("abc") == 3
        copies = [generator, generator.steered("a"), generator.steered("b").steered("c")]
        drawn = [copy.sample(task.prompt, 2, seed=seed) for copy in copies]
        return Outcome(drawn[2][0], sum(drawn, Samples()), Stop.COMPLETE)


def test_a_tasks_own_steering_holds_its_draws_and_is_recorded_with_their_calls():
    book, twice = Ledger(), Rounds(rounds=1, batch=2)
    asked = [Task("a", EndsIn("none"), steering=("x",)), Task("b", EndsIn("none"))]
    found = solve(asked, Numbers(), twice, ledger=book, seed=1)
    steered, free = (outcome.samples.values for outcome in found.outcomes)
    assert all(value.endswith("('x',)") for value in steered)
    assert all(value.endswith("()") for value in free)
    told = book.read("SELECT task, steering FROM calls ORDER BY task")
    assert ["x" in row["steering"] for row in told] == [True, False]
    with pytest.raises(InvalidArgument, match=r"task 'a' has steering, and .* takes none"):
        solve(asked, Scripted(["1", "2"]), twice)


def test_further_checks_of_the_chosen_draw_are_recorded_and_not_made_again():
    asked = []
    half = Passes(lambda value: asked.append(value) or Verdict(passed=False, score=0.25))
    task = Task("a", EndsIn(), metrics={"half": half, "whole": Passes(lambda value: None)})
    book = Ledger()
    for _ in range(2):
        found = solve([task], Scripted(["17"]), Rounds(1, 1), ledger=book, run_id="r")
        assert found.outcomes[0].info["metrics"] == {"half": 0.25, "whole": 0.0}
        assert found.outcomes[0].passed
        assert found.cost.verifier_calls == 1  # the verifier's own
    assert asked == ["17"]
    (none,) = solve([replace(task, steering=("x",))], Numbers(), Nothing()).outcomes
    assert none.info["metrics"] == {"half": 0.0, "whole": 0.0}
    assert asked == ["17"]


class Nothing:
    """Stands by no draw, and sees neither steering nor further checks."""

    def run(self, generator, task, budget, seed):
        assert not task.steering
        assert not task.metrics
        return Outcome(None, Samples(), Stop.COMPLETE)


def test_steered_copies_are_recorded_apart_and_replayed():
    ledger, generator = Ledger(), Numbers()
    first = solve([Task("q")], generator, Steers(), ledger=ledger, run_id="r")
    assert len(ledger.run("r").draws()) == 6
    ends = [v[v.index("(") :] for v in first.outcomes[0].samples.values]
    assert ends == ["()"] * 2 + ["('a',)"] * 2 + ["('b', 'c')"] * 2
    with ledger.write() as connection:
        connection.execute("DELETE FROM outcomes")
    generator.calls.clear()
    again = solve([Task("q")], generator, Steers(), ledger=ledger, run_id="r")
    assert told(again) == told(first)
    assert generator.calls == []


@dataclass(frozen=True)
class Shows:
    """Hands what it is given to a list."""

    seen: list = field(default_factory=list, repr=False)

    def run(self, generator, task, budget, seed):
        self.seen.append(generator)
        generator.sample(task.prompt, 3, seed=seed)
        return Outcome(None, generator.sample(task.prompt, 5, seed=seed), Stop.COMPLETE)


def test_a_recording_generator_shows_the_protocols_of_the_inner_one():
    shows = Shows()
    solve([Task("q")], Numbers(), shows)
    solve([Task("q")], Streaming(), shows)
    assert [isinstance(g, StreamingGenerator) for g in shows.seen] == [False, True]
    assert [isinstance(g, Steerable) for g in shows.seen] == [True, True]
    assert not hasattr(shows.seen[0], "no_such_attribute")


@dataclass(frozen=True)
class Rows:
    """Draws that are rows of one array."""

    def sample(self, prompt, n, *, seed, first=0):
        rows = [[k, child_seed(seed, k) % 9] for k in range(first, first + n)]
        return Samples(np.array(rows, dtype=np.float32).reshape(n, 2))


def test_draws_that_are_rows_of_an_array_come_back_as_one_array():
    result = solve([Task("q")], Rows(), Shows())
    (outcome,) = result.outcomes
    assert isinstance(outcome.samples.values, np.ndarray)
    assert outcome.samples.values.shape == (5, 2)
    assert outcome.samples.values[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert outcome.cost.draws == 5  # the first three were not paid for twice


def test_a_streamed_draw_is_in_the_ledger_before_the_next_is_made():
    ledger = Ledger()

    @dataclass(frozen=True)
    class Stops(Streaming):
        def stream(self, prompt, n, *, seed, first=0):
            for k in range(first, first + n):
                assert len(ledger.run("r").draws()) == k
                yield k, Sample(f"{prompt}{k}")

    solve([Task("q")], Stops(), Shows(), ledger=ledger, run_id="r")
    assert len(ledger.run("r").draws()) == 5


def test_an_interrupt_in_a_worker_of_one_keeps_what_was_drawn():
    ledger = Ledger()
    broken = Numbers(fail_at=3, error=KeyboardInterrupt)
    with pytest.raises(RunInterrupted) as caught:
        solve(tasks(verifier=EndsIn("x")), broken, Rounds(), ledger=ledger)
    run = ledger.run(caught.value.run_id)
    assert run.state is RunState.INTERRUPTED
    assert len(run.draws()) == 12


def test_one_workers_error_ends_the_others_and_is_the_one_raised():
    """The others wait on a barrier that only the failing worker's absence keeps shut."""
    gate = threading.Event()

    @dataclass(frozen=True)
    class Waits(Numbers):
        def sample(self, prompt, n, *, seed, first=0):
            if prompt == "q2":
                gate.set()
                raise ValueError("q2 is broken")
            assert gate.wait(300)
            return Numbers.sample(self, prompt, n, seed=seed, first=first)

    ledger = Ledger()
    with pytest.raises(ValueError, match="q2 is broken") as caught:
        solve(tasks(50, EndsIn("x")), Waits(), Rounds(), ledger=ledger, run_id="r", workers=3)
    assert ledger.run("r").state is RunState.FAILED
    assert "resumes" in caught.value.__notes__[0]
    assert len(ledger.run("r").outcomes()) < 49


def test_events_tell_the_whole_story_once():
    events = []
    result = solve(tasks(4), Streaming(), Rounds(), workers=4, on_event=events.append)
    kinds = Counter(event.kind for event in events)
    assert kinds["task started"] == kinds["task finished"] == 4
    new = Counter(event.kind for event in events if not event.replayed)
    assert (new["draw"], new["verdict"]) == (result.cost.draws, result.cost.verifier_calls)
    assert {e.task: e.what for e in events if e.kind == "task finished"} == {
        f"k{i}": outcome for i, outcome in enumerate(result.outcomes)
    }


def test_a_generator_or_verifier_that_returns_too_few_is_found_out():
    @dataclass(frozen=True)
    class Short(Numbers):
        def sample(self, prompt, n, *, seed, first=0):
            return Numbers.sample(self, prompt, n - 1, seed=seed, first=first)

    @dataclass(frozen=True)
    class Silent:
        def check(self, samples):
            return []

    with pytest.raises(GenwrightError, match="asked for 4 and returned 3"):
        solve(tasks(1), Short(), Rounds())
    with pytest.raises(GenwrightError, match="returned 0"):
        solve(tasks(1, Silent()), Numbers(), Rounds())


def test_wrong_arguments_say_what_to_do():
    with pytest.raises(InvalidArgument, match="two tasks have the key 'same'"):
        solve([Task(1, key="same"), Task(2, key="same")], Numbers(), Rounds())
    with pytest.raises(InvalidArgument, match="workers must be 1 or more, got 0"):
        solve([], Numbers(), Rounds(), workers=0)
    ledger = Ledger()
    solve(tasks(1), Numbers(), Rounds(), ledger=ledger, run_id="r")
    with pytest.raises(InvalidArgument, match="was started with seed 0"):
        solve(tasks(1), Numbers(), Rounds(), ledger=ledger, run_id="r", seed=1)
    with pytest.raises(InvalidArgument, match="was started with strategy"):
        solve(tasks(1), Numbers(), Rounds(9), ledger=ledger, run_id="r")
    with pytest.raises(InvalidArgument, match="'k0' with another prompt"):
        solve([Task("else", EndsIn(), "k0")], Numbers(), Rounds(), ledger=ledger, run_id="r")
