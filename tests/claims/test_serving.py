"""The parts of the claims of splitwise and footprint count as they should."""

import pytest

from genwright.claims import footprint, splitwise
from genwright.serving.power import Measured
from genwright.serving.projection import read_scenario
from genwright.serving.quantities import Given


@pytest.fixture
def kinds(shared_data, monkeypatch):
    path = shared_data(splitwise.PROFILE)
    monkeypatch.setenv("GENWRIGHT_DATA", str(path.parents[1]))
    return splitwise.hardware("published")


def test_no_design_takes_more_power_than_any_other_may(kinds):
    for watts in (4 * 10200.0, 10 * 10200.0):
        designs = splitwise.mixed_designs(kinds, watts) | splitwise.split_designs(kinds, watts)
        assert all(cluster.watts <= watts for cluster in designs.values())
        assert max(cluster.watts for cluster in designs.values()) == watts
        families = {name.split()[0] for name in designs if "queue" in name}
        assert families == {"HHcap", "HH", "HA", "AA"}


def test_mixed_machines_are_tuned_with_and_without_chunks(kinds):
    designs = splitwise.mixed_designs(kinds, 40_800.0)
    chunks = {cluster.machines[0].batching.chunk for cluster in designs.values()}
    assert {None, 512, 1024} <= chunks
    assert {cluster.machines[0].hardware.name for cluster in designs.values()} == {
        splitwise.H,
        splitwise.A,
    }


def test_the_share_of_prompt_machines_is_read_from_the_name():
    assert splitwise._prompt_share("HHcap 7:4, 1024, queue 4096") == pytest.approx(7 / 11)


def test_the_classifier_learns_and_its_time_is_counted_by_message():
    pytest.importorskip("sklearn")
    train = [{"text": f"win money now {i}", "label": "spam"} for i in range(20)]
    train += [{"text": f"see you at home {i}", "label": "ham"} for i in range(20)]
    test = [{"text": "win money", "label": "spam"}, {"text": "at home", "label": "ham"}]
    together, apart = footprint.classical(test, train)
    assert together.right == apart.right == 1.0
    assert 0 < together.joules_each < together.taken.joules.value
    assert apart.joules_each == pytest.approx(apart.taken.joules.value / 2)


def test_the_projection_multiplies_the_yearly_factors():
    joules = Given(value=36.0, low=18.0, high=72.0, source="test")
    taken = Measured(value=["ham"] * 10, seconds=1, core_seconds=1, joules=joules, by="estimated")
    told = footprint.Told(right=1.0, taken=taken, joules_each=3.6)
    found = footprint.projected(read_scenario("high"), told, 0)
    assert found["kwh_a_year"] == pytest.approx(1.0)
    assert found["projection_error"] < 1e-9
    assert found["projected_factor"] == pytest.approx((1.8 * 1.4 * 1.3 / 1.25 / 1.15) ** 5)
    assert found["kwh_2030_low"] < found["kwh_2030"] < found["kwh_2030_high"]
