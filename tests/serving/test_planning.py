"""Profiles interpolate what was measured, traffic keeps its shape, plans find known answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import InvalidArgument, MissingFile
from genwright.serving.cluster import Cluster, Machine, Served
from genwright.serving.planning import LEVELS, Slo, most_rate, plan
from genwright.serving.profile import Curve, Profile
from genwright.serving.schedulers import JoinShortestQueue
from genwright.serving.station import Batching, Hardware
from genwright.serving.traffic import Arrival, at_rate, poisson, rate_of, read_trace

TABLE = "serving/splitwise_perf_model.csv.gz"
points = st.lists(
    st.tuples(st.integers(0, 1000), st.floats(0.001, 10)), min_size=2, unique_by=lambda p: p[0]
).map(sorted)


@given(points, st.floats(-100, 1100))
def test_a_curve_is_numpy_s_interpolation_between_its_points_and_straight_outside(pairs, x):
    xs, ys = zip(*pairs, strict=True)
    curve = Curve(xs=tuple(map(float, xs)), ys=ys)
    if xs[0] <= x <= xs[-1]:
        assert curve.at(x) == pytest.approx(np.interp(x, xs, ys))
    else:
        a, b = (0, 1) if x < xs[0] else (-2, -1)
        line = ys[a] + (ys[b] - ys[a]) / (xs[b] - xs[a]) * (x - xs[a])
        assert curve.at(x) == pytest.approx(max(0.0, line), abs=1e-9)


def test_a_batch_of_both_costs_the_larger_phase_and_a_tenth():
    profile = Profile(
        prompt=Curve(xs=(0.0, 100.0), ys=(0.0, 1.0)),
        token=Curve(xs=(1.0, 10.0), ys=(0.1, 1.0)),
        per_cached=0.001,
        cached_each=100.0,
    )
    assert profile.mixed_seconds(50, 0, 0) == pytest.approx(0.5)
    assert profile.mixed_seconds(0, 2, 150) == pytest.approx(0.2)
    assert profile.mixed_seconds(0, 2, 300) == pytest.approx(0.3)
    assert profile.mixed_seconds(48, 2, 200) == pytest.approx(0.55)
    assert profile.mixed_seconds(1, 8, 800) == pytest.approx(0.88)
    assert profile.covers(100, 10)
    assert not profile.covers(101, 1)
    assert not profile.covers(1, 11)


def test_the_published_table_gives_medians_in_seconds(shared_data):
    path = shared_data(TABLE)
    read = {
        over: Profile.from_csv(path, model="llama2-70b", hardware="a100-80gb", token_over=over)
        for over in ("sequences", "batch_tokens")
    }
    assert read["sequences"].prompt_seconds(2048) == pytest.approx(0.283, abs=0.01)
    assert read["sequences"].token.xs == (1, 2, 4, 8, 16, 32, 64)
    assert read["sequences"].token_seconds(64, 64 * 512) == pytest.approx(0.0716, abs=1e-4)
    # the published look-up: 64 sequences cost what the smallest measured batch of tokens did
    assert read["batch_tokens"].token_seconds(64, 64 * 512) == pytest.approx(0.0430, abs=3e-4)
    with pytest.raises(InvalidArgument, match="holds nothing for"):
        Profile.from_csv(path, model="llama2-7b", hardware="a100-80gb")
    with pytest.raises(MissingFile, match="no table at"):
        Profile.from_csv(path.parent / "nothing.csv", model="", hardware="")


class Clockwork:
    """A token model whose steps take a known time: 2 ms a token read, 10 ms and 1 ms a row."""

    context = 600

    def __init__(self):
        self.now, self.open = 0.0, 0

    def new_cache(self, source=None, length=0):
        self.open += 1
        return {"length": length, "row": False}

    def branch(self, cache):
        self.open += 1
        return {"length": cache["length"], "row": True}

    def release(self, cache):
        self.open -= 1

    def step(self, chunks):
        for chunk in chunks:
            each = 0.001 * (1 + chunk.cache["length"] / 1000) if chunk.cache["row"] else 0.002
            self.now += each * len(chunk.tokens)
            if not chunk.cache["row"]:
                chunk.cache["length"] += len(chunk.tokens)
        self.now += 0.010 if chunks[0].cache["row"] else 0.0


def test_an_engine_is_measured_by_its_own_steps():
    engine = Clockwork()
    found = Profile.measure(engine, prompts=(100, 500), sequences=(1, 4), clock=lambda: engine.now)
    assert found.prompt_seconds(300) == pytest.approx(0.6)
    assert found.token_seconds(1, 500) == pytest.approx(0.0115)
    assert found.token_seconds(4, 2000) == pytest.approx(0.016)
    assert found.per_cached == pytest.approx(1e-6)
    assert engine.open == 0, "every cache is released"
    with pytest.raises(InvalidArgument, match="leaves no room"):
        Profile.measure(engine, prompts=(600,))


def test_a_real_engine_gets_a_profile(tiny_llama):
    from genwright.generators.language.local import LocalLM

    lm = LocalLM(model=str(tiny_llama), chat=False, dtype="float32")
    found = Profile.measure(lm.token_model, prompts=(4, 32), sequences=(1, 4), repeats=1)
    assert min(*found.prompt.ys, *found.token.ys) > 0


def test_a_recorded_trace_is_read_and_keeps_its_shape_at_another_rate(shared_data):
    trace = read_trace(shared_data("serving/azure_llm_trace_conv.csv.gz"), 200)
    assert (trace[0].at, trace[0].prompt, trace[0].output) == (0.0, 374, 44)
    assert trace[1].at == pytest.approx(4.314579)
    fast = at_rate(trace, 50.0)
    assert rate_of(fast) == pytest.approx(50.0)
    gaps, before = (np.diff([a.at for a in t]) for t in (fast, trace))
    assert gaps.std() / gaps.mean() == pytest.approx(before.std() / before.mean())
    assert [a.prompt for a in fast] == [a.prompt for a in trace]


def test_a_trace_of_another_form_is_refused(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("TIME,TOKENS\n1,2\n")
    with pytest.raises(InvalidArgument, match="must have columns TIMESTAMP"):
        read_trace(path)
    with pytest.raises(MissingFile, match="no trace at"):
        read_trace(tmp_path / "nothing.csv")


def test_poisson_arrivals_have_the_mean_and_spread_of_an_exponential():
    """Standard error of the mean is 1%; 6% is 6 of them, a false alarm below 1e-8."""
    gaps = np.diff([a.at for a in poisson([Arrival(at=0, prompt=3, output=2)], 10_000, 5.0, 1)])
    assert gaps.mean() == pytest.approx(0.2, rel=0.06)
    assert gaps.std() == pytest.approx(0.2, rel=0.12)


def flat(seconds):
    return Profile(prompt=Curve(xs=(1.0,), ys=(seconds,)), token=Curve(xs=(1.0,), ys=(0.01,)))


def one(seconds=1.0, n=1, watts=100.0, price=1.0):
    hardware = Hardware(name="m", profile=flat(seconds), watts=watts, price=price, memory=1e9)
    machine = Machine(hardware=hardware, batching=Batching(max_tokens=1))
    return Cluster(
        machines=(machine,) * n,
        served=Served(layers=1, token_bytes=1),
        scheduler=JoinShortestQueue(),
    )


EVEN = [Arrival(at=float(i), prompt=4, output=1) for i in range(50)]
STEADY = Slo(reference=flat(1.0), levels={"ttft": {0.99: 1.0001}})


@pytest.mark.parametrize(("machines", "seconds"), [(1, 1.0), (3, 1.0), (2, 0.5)])
def test_evenly_spaced_requests_are_served_up_to_the_machines_capacity(machines, seconds):
    """No request waits until the rate exceeds machines / seconds."""
    slo = Slo(reference=flat(seconds), levels=STEADY.levels)
    found = most_rate(one(seconds, machines), EVEN, slo, low=0.1, high=100, within=0.01)
    assert found == pytest.approx(machines / seconds, rel=0.011)


def test_levels_are_shares_of_what_is_allowed():
    found = one().run([Arrival(at=0, prompt=4, output=11)] * 2)
    slowdowns = Slo(reference=flat(1.0), levels={"ttft": {1.0: 3.0}, "tbt": {0.5: 2.0}}).slowdowns(
        found
    )
    assert slowdowns["ttft@1"] == pytest.approx(2.0 / 3.0, rel=0.2)
    assert set(slowdowns) == {"ttft@1", "tbt@0.5"}
    assert sum(len(limits) for limits in LEVELS.values()) == 9


@given(st.floats(0.2, 6.0), st.integers(0, 5))
def test_giving_up_early_changes_no_answer(rate, seed):
    trace = at_rate(
        poisson([Arrival(at=0, prompt=4, output=o) for o in (1, 5, 9)], 60, 1.0, seed), rate
    )
    levels = {"ttft": {0.5: 1.5, 0.9: 3.0}, "tbt": {0.9: 30.0}, "e2e": {0.5: 1.4, 0.99: 5.0}}
    slo = Slo(reference=flat(1.0), levels=levels)
    tested = one(n=2)
    assert slo.kept_by(tested, trace) == slo.met(tested.run(trace))


def test_an_overload_is_given_up_before_the_end():
    asked = []

    def good(work):
        asked.append(work)
        return len(asked) < 5

    assert one().run_while(EVEN, good) is None
    assert len(asked) <= 6, "the rest of the same moment, and no more"


def test_plans_rank_by_what_was_asked_for():
    candidates = {"two": one(n=2), "four": one(n=4), "one": one(), "cheap": one(n=2, price=0.1)}
    found = plan(EVEN, STEADY, "rate", candidates, rate=0.1)
    assert found[0].name == "four"
    assert found[0].rate == pytest.approx(4.0, rel=0.021)
    power = plan(EVEN, STEADY, "watts", candidates, rate=1.9)
    assert [p.name for p in power][:2] == ["two", "cheap"]
    assert power[-1].name == "one"
    assert power[-1].rate == 0
    assert plan(EVEN, STEADY, "price", candidates, rate=1.9)[0].name == "cheap"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Curve(xs=(2.0, 1.0), ys=(1.0, 1.0)), "xs must increase"),
        (lambda: Curve(xs=(), ys=()), "at least one"),
        (lambda: at_rate(EVEN, 0), "rate must be above 0"),
        (lambda: rate_of(EVEN[:1]), "at least two"),
        (lambda: most_rate(one(), EVEN, STEADY, low=2, high=1), "0 < low <= high"),
    ],
    ids=["order", "empty", "rate", "short", "range"],
)
def test_bad_settings_say_what_is_wrong(make, said):
    with pytest.raises(InvalidArgument, match=said):
        make()
