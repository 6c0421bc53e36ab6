"""The simulator agrees with queueing theory, with adding up by hand, and with conservation."""

from math import inf

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genwright.core import InvalidArgument
from genwright.serving.cluster import Cluster, Link, Machine, Served
from genwright.serving.profile import Curve, Profile
from genwright.serving.schedulers import JoinShortestQueue, MixedPool
from genwright.serving.station import Batching, Hardware
from genwright.serving.traffic import Arrival

SERVED = Served(layers=2, token_bytes=1.0)
FREE = Link(bandwidth=inf)
ALONE = Batching(max_tokens=1)  # a longer prompt runs alone, so this is one prompt at a time


def constant(prompt=1.0, token=0.1, **more):
    flat = Curve(xs=(1.0,), ys=(prompt,)), Curve(xs=(1.0,), ys=(token,))
    return Profile(prompt=flat[0], token=flat[1], **more)


def cluster(pools, profile=None, *, link=FREE, memory=1e9, batching=None, scheduler=None):
    hardware = Hardware(
        name="m", profile=profile or constant(), watts=100.0, price=36.0, memory=memory
    )
    machines = tuple(
        Machine(hardware=hardware, pool=pool, batching=batching or Batching()) for pool in pools
    )
    split = set(pools) != {"mixed"}
    chosen = scheduler or (MixedPool() if split else JoinShortestQueue())
    return Cluster(machines=machines, served=SERVED, scheduler=chosen, link=link)


def lindley(gaps, service):
    """Waits of a single server, by the running minimum of the random walk (Lindley 1952)."""
    walk = np.concatenate([[0.0], np.cumsum(service - gaps)])
    return walk - np.minimum.accumulate(walk)


def test_one_machine_with_constant_times_is_the_single_server_queue():
    gaps = np.random.default_rng(0).exponential(2.0, 5000)
    trace = [Arrival(at=at, prompt=9, output=1) for at in np.cumsum(gaps)]
    found = cluster(["mixed"], batching=ALONE).run(trace)
    assert found.started - found.arrival == pytest.approx(lindley(gaps[1:], 1.0), abs=1e-6)


@pytest.mark.parametrize("load", [0.3, 0.5])
def test_the_mean_wait_of_that_queue_is_the_formula_for_poisson_arrivals(load):
    """M/D/1: load * service / (2 (1 - load)) within 2%.

    The walk is the one that the simulator was just shown to follow. The mean of 4 million waits
    has a standard error of about 0.25%, so a false alarm has a chance below 1e-9.
    """
    gaps = np.random.default_rng(1).exponential(1 / load, 4_000_000)
    assert lindley(gaps, 1.0).mean() == pytest.approx(load / (2 * (1 - load)), rel=0.02)


@pytest.mark.parametrize("batching", [Batching(), Batching(chunk=64)], ids=["whole", "chunked"])
def test_empty_queues_and_free_links_give_prompt_time_and_token_times(batching):
    found = cluster(["prompt", "token"], batching=batching).run(
        [Arrival(at=3.0, prompt=50, output=8)]
    )
    assert found.ttft == pytest.approx([1.0], abs=1e-12)
    assert found.e2e == pytest.approx([1.0 + 7 * 0.1], abs=1e-12)
    assert found.tbt == pytest.approx([0.1], abs=1e-12)


def test_every_written_token_makes_the_next_one_dearer():
    found = cluster(["mixed"], constant(per_cached=0.01)).run(
        [Arrival(at=0.0, prompt=10, output=4)] * 2
    )
    # the second prompt is read beside the first answer, then both run, then the second alone
    first = 1.0 + 1.1 + (0.1 + 0.01 * (12 + 11)) + (0.1 + 0.01 * (13 + 12))
    assert found.finish == pytest.approx([first, first + 0.1 + 0.01 * 13])


def test_a_long_prompt_in_pieces_takes_one_iteration_a_piece():
    found = cluster(["mixed"], batching=Batching(chunk=64)).run(
        [Arrival(at=0.0, prompt=129, output=1)]
    )
    assert found.ttft == pytest.approx([3.0])


@pytest.mark.parametrize(
    ("layered_from", "bandwidth", "seen"),
    [
        (None, 10.0, 10.1),  # 101 bytes after the prompt
        (512, 10.0, 10.1),  # too short to be layered
        (1, 10.0, 9.6),  # half of the prompt's second has hidden half a second of it
        (1, 1000.0, 0.0505),  # all but the last layer's share is hidden
    ],
)
def test_a_layered_transfer_hides_behind_the_computation(layered_from, bandwidth, seen):
    link = Link(bandwidth=bandwidth, layered_from=layered_from)
    found = cluster(["prompt", "token"], link=link).run([Arrival(at=0.0, prompt=100, output=2)])
    assert found.finish == pytest.approx([1.0 + seen + 0.1])
    assert found.moved == 101


def test_a_shared_link_sends_one_prompt_after_the_other():
    together = [Arrival(at=0.0, prompt=100, output=2)] * 2
    # the first is read at 1 s, the second at 2 s
    for shared, landed in ((True, 1.0 + 20.2), (False, 2.0 + 10.1)):
        link = Link(bandwidth=10.0, layered_from=None, shared=shared)
        found = cluster(["prompt", "token"], link=link).run(together)
        assert found.finish.max() == pytest.approx(landed + 0.1)


requests = st.lists(
    st.tuples(st.floats(0, 20), st.integers(1, 40), st.integers(1, 12)), min_size=1, max_size=30
)
shapes = st.sampled_from(
    [["mixed"], ["mixed"] * 3, ["prompt", "token"], ["prompt", "prompt", "token"]]
)
batchings = st.sampled_from(
    [
        Batching(),
        Batching(max_tokens=16, max_sequences=3, age=2),
        Batching(max_tokens=1),
        Batching(chunk=8, max_sequences=4),
    ]
)


@given(requests, shapes, batchings, st.sampled_from([60.0, 150.0, 1e9]), st.integers(10, 100))
@example([(0.0, 40, 12)] * 8, ["prompt", "token"], Batching(), 60.0, 10)
def test_every_token_is_made_once_and_nothing_starts_early(rows, pools, batching, memory, long):
    """Tiny memories too: whatever fits alone is answered, however many wait for the same bytes."""
    trace = [Arrival(at=at, prompt=p, output=o) for at, p, o in rows]
    tested = cluster(
        pools,
        batching=batching,
        memory=memory,
        link=Link(bandwidth=50.0),
        scheduler=MixedPool(long_queue=long) if "token" in pools else JoinShortestQueue(),
    )
    found = tested.run(trace)
    assert found.cost.draws == len(trace) == len(found.finish)
    assert found.cost.new_tokens == sum(o for _, _, o in rows)
    assert found.gaps[:, 1].sum() == sum(o - 1 for _, _, o in rows)
    assert (found.gaps[:, 0] > 0).all()
    assert (found.started >= found.arrival).all()
    assert (found.first > found.started).all()
    total = (found.finish - found.first).sum()
    assert (found.gaps[:, 0] * found.gaps[:, 1]).sum() == pytest.approx(total, abs=1e-6)
    assert found.busy.max() <= 1 + 1e-9
    assert found.memory.max() <= 1


def test_requests_wait_for_memory_and_not_for_each_other():
    """Two requests of 60 bytes in 100: the second starts when the first has ended."""
    trace = [Arrival(at=0.0, prompt=40, output=20)] * 2
    found = cluster(["mixed"], memory=100.0).run(trace)
    assert found.memory == pytest.approx([0.6])
    assert found.started[1] == pytest.approx(found.finish[0])


def test_more_sequences_than_a_batch_holds_take_turns():
    trace = [Arrival(at=0.0, prompt=1, output=3)] * 4
    found = cluster(["mixed"], batching=Batching(max_sequences=2)).run(trace)
    profile = constant()
    assert profile.mixed_seconds(1, 1, 2) == pytest.approx(1.1)
    assert (np.diff(np.sort(found.finish)) >= 0).all()
    assert found.finish.max() > found.finish.min()


def test_prompts_go_first_until_answers_have_waited_long_enough():
    """A queue of full prompts: the answer runs only after it was left out `age` times."""
    trace = [Arrival(at=0.0, prompt=4, output=2)]
    trace += [Arrival(at=0.1, prompt=4, output=1)] * 6
    batching = Batching(max_tokens=4, age=3)
    found = cluster(["mixed"], batching=batching).run(trace)
    # prompt, three prompts without it, then its token alone
    assert found.finish[0] == pytest.approx(1.0 + 3 * 1.0 + 0.1)


def test_a_prompt_of_full_length_is_not_starved_by_answers():
    trace = [Arrival(at=0.0, prompt=4, output=50)]
    trace += [Arrival(at=0.1, prompt=4, output=1)] * 5
    found = cluster(["mixed"], batching=Batching(max_tokens=4, age=1)).run(trace)
    assert found.first[-1] < found.finish[0]


def test_chunked_prefill_never_makes_an_answer_wait_for_a_whole_prompt():
    trace = [Arrival(at=0.0, prompt=8, output=40), Arrival(at=2.0, prompt=400, output=1)]
    profile = Profile(
        prompt=Curve(xs=(1.0, 1000.0), ys=(0.01, 10.0)), token=Curve(xs=(1.0,), ys=(0.1,))
    )
    longest = {
        chunk: cluster(["mixed"], profile, batching=Batching(chunk=chunk)).run(trace)
        for chunk in (None, 32)
    }
    assert longest[None].gap_quantile(1.0) > 4.0
    assert longest[32].gap_quantile(1.0) < 0.5


def test_a_long_prompt_queue_borrows_a_token_machine_until_it_has_drained():
    trace = [Arrival(at=i * 0.01, prompt=50, output=2) for i in range(8)]
    batching = Batching(max_tokens=50)
    tested = cluster(
        ["prompt", "token", "token"], batching=batching, scheduler=MixedPool(long_queue=100)
    )
    split = cluster(
        ["prompt", "token", "token"], batching=batching, scheduler=MixedPool(long_queue=10**6)
    )
    assert tested.run(trace).first.max() < split.run(trace).first.max()


def test_a_request_that_fits_nowhere_is_refused():
    with pytest.raises(InvalidArgument, match=r"request 0 needs .* GB for its 50 \+ 60 tokens"):
        cluster(["mixed"], memory=100.0).run([Arrival(at=0.0, prompt=50, output=60)])


def test_machines_side_by_side_share_the_load_evenly():
    trace = [Arrival(at=0.0, prompt=5, output=1)] * 6
    found = cluster(["mixed"] * 3, batching=ALONE).run(trace)
    assert sorted(found.finish) == pytest.approx([1, 1, 1, 2, 2, 2])


def test_cost_is_rated_power_and_price_over_the_span():
    found = cluster(["prompt", "token"]).run([Arrival(at=5.0, prompt=5, output=11)])
    assert found.span == pytest.approx(2.0)
    assert found.cost.joules == pytest.approx(2 * 100 * 2.0)
    assert found.cost.money == pytest.approx(2 * 36 * 2.0 / 3600)
    assert found.cost.joules_by == "estimated"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Batching(chunk=0), "1 or more"),
        (lambda: Link(bandwidth=0), "bandwidth must be above 0"),
        (lambda: Arrival(at=0, prompt=0, output=1), "at least 1"),
        (lambda: cluster([]), "at least one machine"),
        (lambda: Served(layers=0, token_bytes=1), "layers must be 1"),
        (lambda: Machine(hardware=cluster(["mixed"]).machines[0].hardware, pool="x"), "pool must"),
        (lambda: cluster(["token"]).run([Arrival(at=0, prompt=1, output=1)]), "cannot be split"),
    ],
    ids=["chunk", "link", "arrival", "none", "served", "pool", "split"],
)
def test_bad_settings_say_what_is_wrong(make, said):
    with pytest.raises(InvalidArgument, match=said):
        make()
