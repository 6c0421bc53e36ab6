"""Footprints add, scale, keep their units, and their bounds hold whatever the inputs do."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright.core import Cost, InvalidArgument, MissingFile
from genwright.serving.footprint import (
    JOULES_PER_KWH,
    YEAR,
    Hardware,
    Portfolio,
    UseCase,
    emissions,
    impact,
)
from genwright.serving.grid import grid_mix
from genwright.serving.power import measure_call, rapl_counters
from genwright.serving.projection import FACTORS, Scenario, growth, levers, project, read_scenario
from genwright.serving.quantities import Given, Quantity


def exact(value):
    return Given(value=value, source="test")


def about(value, share=0.3):
    return Given(value=value, low=value * (1 - share), high=value * (1 + share), source="test")


CHIP = Hardware(
    name="chip",
    lifetime_years=exact(4.0),
    utilisation=exact(0.5),
    server_watts=exact(100.0),
    idle_watts=exact(0.0),
    embodied={"gwp": exact(150_000.0)},
)
FRANCE = grid_mix("FRA")


def case(**more):
    settings = {
        "name": "chat",
        "kind": "large-language-model",
        "calls": exact(1e6),
        "joules": exact(1000.0),
        "seconds": exact(2.0),
        "hardware": CHIP,
        "grid": FRANCE,
        "pue": exact(1.2),
    }
    return UseCase(**(settings | more))


def test_a_year_of_one_use_by_hand():
    found = impact(Portfolio(use_cases=(case(),)))
    kwh = 1e6 * (1000 + 100 * 2) * 1.2 / 3.6e6
    assert found.total("energy").value == pytest.approx(kwh)
    share = 1e6 * 2 / (4 * YEAR * 0.5)
    grams = kwh * FRANCE.per_kwh["gwp"].value + share * 150_000
    assert found.total("gwp").value == pytest.approx(grams)
    assert found.total("gwp").unit == "g CO2e"


@given(st.floats(1, 1e9), st.floats(1, 1e5), st.floats(0.01, 100), st.floats(1, 2))
def test_doubling_the_calls_doubles_every_impact(calls, joules, seconds, pue):
    one = case(calls=exact(calls), joules=exact(joules), seconds=exact(seconds), pue=exact(pue))
    two = replace(one, calls=exact(2 * calls))
    assert two.energy().value == pytest.approx(2 * one.energy().value)
    assert two.impact("gwp").value == pytest.approx(2 * one.impact("gwp").value)


def test_training_is_spread_over_its_years_and_not_over_calls():
    trained = case(training=exact(3.6e9), training_years=exact(2.0))
    assert trained.energy().value - case().energy().value == pytest.approx(1.2 * 500)


def test_a_year_without_calls_leaves_the_making_of_reserved_hardware():
    idle = case(calls=exact(0.0), reserved=3)
    assert idle.energy().value == 0
    assert idle.impact("gwp").value == pytest.approx(3 * 150_000 / 4)
    assert case(calls=exact(0.0)).impact("gwp").value == 0
    warm = replace(CHIP, idle_watts=exact(50.0))
    kept = case(calls=exact(0.0), reserved=3, hardware=warm)
    assert kept.energy().value == pytest.approx(3 * 50 * YEAR * 1.2 / JOULES_PER_KWH)
    used = case(reserved=3, hardware=warm).energy().value - case(hardware=warm).energy().value
    assert used == pytest.approx(50 * (3 * YEAR - 1e6 * 2) * 1.2 / JOULES_PER_KWH)


def test_the_embodied_share_of_a_lifetime_at_full_use_is_the_whole_device():
    full = replace(CHIP, utilisation=exact(1.0))
    year = case(calls=exact(YEAR), seconds=exact(1.0), hardware=full).embodied("gwp")
    assert year.value * 4 == pytest.approx(150_000)


@given(st.floats(0, 1e12), st.floats(1, 2))
def test_joules_become_grams_through_kilowatt_hours(joules, pue):
    cost = Cost(joules=joules, joules_by="measured")
    found = emissions(cost, grid_mix("WORLD"), exact(pue))
    assert found.value == pytest.approx(joules / 3.6e6 * pue * 475)


def test_estimated_joules_are_less_certain_than_measured_ones():
    width = {}
    for by in ("measured", "estimated"):
        low, high = emissions(Cost(joules=1e6, joules_by=by), FRANCE, exact(1.0)).bounds
        width[by] = high / low
    assert width["estimated"] > 2 * width["measured"]
    with pytest.raises(InvalidArgument, match="says nothing about its joules"):
        emissions(Cost(seconds=1), FRANCE, exact(1.0))


numbers = st.tuples(st.floats(0.1, 1e3), st.floats(0, 0.9), st.floats(0, 3))


@given(numbers, numbers, numbers, st.integers(0, 99))
def test_interval_arithmetic_holds_every_monte_carlo_draw(a, b, c, seed):
    made = [
        Quantity.input(
            name, Given(value=v, low=v * (1 - down), high=v * (1 + up), source="test"), ""
        )
        for name, (v, down, up) in zip("abc", (a, b, c), strict=True)
    ]
    x, y, z = made
    found = (x + y * Quantity.constant(2.0)) / z * x
    low, high = found.bounds
    draws = found.sample(200, seed)
    assert low * (1 - 1e-9) <= draws.min()
    assert draws.max() <= high * (1 + 1e-9)
    assert low <= found.value * (1 + 1e-9)


def test_one_input_has_one_value_wherever_it_stands():
    x = Quantity.input("x", about(10.0), "J")
    assert (x / x).sample(50, 0) == pytest.approx(np.ones(50))
    other = Quantity.input("x", about(11.0), "J")
    with pytest.raises(InvalidArgument, match="both called 'x'"):
        x + other


def test_a_number_tells_its_formula_and_inputs():
    told = case(name="a").energy().told()
    assert told["formula"] == (
        "a.calls * (a.joules + chip.server_watts * a.seconds) * a.pue / 3.6e+06"
    )
    assert set(told["inputs"]) == {"a.calls", "a.joules", "a.seconds", "chip.server_watts", "a.pue"}
    assert all(made["source"] for made in told["inputs"].values())


def test_a_region_or_year_that_is_not_known_names_the_nearest():
    with pytest.raises(InvalidArgument, match="Did you mean 'FRA'"):
        grid_mix("FRAA")
    with pytest.raises(InvalidArgument, match="known for 2023, not 2031"):
        grid_mix("france", 2031)


def test_a_criterion_without_a_factor_is_refused():
    with pytest.raises(InvalidArgument, match="no value for 'water'"):
        impact(Portfolio(use_cases=(case(),)), ["water"])


FIVE = {
    "usage": exact(1.5),
    "calls_per_use": exact(1.2),
    "model_size": exact(1.1),
    "hardware_efficiency": exact(1.25),
    "software_efficiency": exact(1.1),
    "grid": exact(0.95),
}
PLAIN = Scenario(name="plain", first=2025, last=2030, factors=FIVE)


def test_the_projection_is_its_closed_form():
    factor = (1.5 * 1.2 * 1.1 / (1.25 * 1.1)) ** 5
    kwh = Quantity.input("now", exact(100.0), "kWh")
    grams = Quantity.input("now", exact(100.0), "g CO2e")
    assert project(kwh, PLAIN)[2030].value == pytest.approx(100 * factor, rel=1e-12)
    assert project(grams, PLAIN)[2030].value == pytest.approx(100 * factor * 0.95**5, rel=1e-12)
    assert project(kwh, PLAIN)[2025].value == 100


def test_levers_multiply_in_any_order():
    changes = {"usage": 3.0, "hardware_efficiency": 2.0, "grid": 0.5}
    ends = set()
    for order in permutations(changes):
        scenario = PLAIN
        for name in order:
            factors = {**scenario.factors, name: exact(changes[name])}
            scenario = replace(scenario, factors=factors)
        ends.add(round(growth(scenario, 2030, grid=True).value, 9))
    assert len(ends) == 1


def test_the_widest_lever_comes_first():
    wide = {name: about(value.value, 0.05) for name, value in FIVE.items()}
    wide["usage"] = about(1.5, 0.3)
    found = levers(Quantity.input("now", exact(1.0), "g CO2e"), replace(PLAIN, factors=wide))
    assert found[0].name == "usage"
    assert {lever.name for lever in found} == set(FACTORS)
    assert found[0].low == pytest.approx(growth(PLAIN, 2030, grid=True).value * 0.7**5, rel=1e-9)


def test_the_shipped_scenarios_are_ordered_and_say_that_they_are_assumed():
    kwh = Quantity.input("now", exact(1.0), "kWh")
    scenarios = [read_scenario(name) for name in ("low", "medium", "high")]
    ends = [project(kwh, scenario)[2030].value for scenario in scenarios]
    assert ends == sorted(ends)
    assert all("assumed" in g.source for s in scenarios for g in s.factors.values())


def test_a_scenario_file_is_read_and_its_mistakes_are_named(tmp_path):
    path = tmp_path / "mine.toml"
    with pytest.raises(MissingFile, match="low, medium, high"):
        read_scenario(path)
    good = "first = 2025\nlast = 2026\n" + "".join(
        f'[{name}]\nvalue = 1.1\nsource = "me"\n' for name in FACTORS
    )
    path.write_text(good)
    assert read_scenario(path).factors["usage"].value == 1.1
    for change, said in (
        (("[usage]", "[usagee]"), "Did you mean 'usage'"),
        (("value = 1.1", 'value = "x"'), "must be a number"),
        (('source = "me"', 'source = ""'), "needs a source"),
        (("last = 2026", "last = 2024"), "must not come before"),
        (("first = 2025", "first = 1.5"), "must be years"),
        (("value = 1.1", "value = 0"), "must be above 0"),
    ):
        path.write_text(good.replace(*change, 1))
        with pytest.raises(InvalidArgument, match=said):
            read_scenario(path)


def test_processor_time_is_what_an_estimate_multiplies(tmp_path):
    found = measure_call(lambda: sum(i * i for i in range(400_000)), zones=tmp_path)
    assert found.by == found.cost.joules_by == "estimated"
    assert found.joules.value == pytest.approx(found.core_seconds * 4.2)
    assert found.joules.bounds == pytest.approx(
        (found.core_seconds * 2.1, found.core_seconds * 8.4)
    )
    assert found.value == sum(i * i for i in range(400_000))


def test_energy_counters_are_read_and_may_start_again(tmp_path):
    zone = tmp_path / "intel-rapl:0"
    part = tmp_path / "intel-rapl:0:0"
    for folder in (zone, part):
        folder.mkdir()
        (folder / "energy_uj").write_text("900\n")
        (folder / "max_energy_range_uj").write_text("1000\n")
    assert rapl_counters(tmp_path) == [zone / "energy_uj"]
    found = measure_call(lambda: (zone / "energy_uj").write_text("150\n"), zones=tmp_path)
    assert found.by == "measured"
    assert found.joules.value == pytest.approx(250e-6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Given(value=1, source=" "), "needs a source"),
        (lambda: Given(value=1, low=2, source="x"), "low <= value"),
        (lambda: case(pue=exact(0.9)), "pue must be 1 or more"),
        (lambda: case(kind="magic"), "kind must be one of"),
        (lambda: Portfolio(use_cases=(case(), case())), "different names"),
        (lambda: replace(CHIP, utilisation=exact(1.5)), "utilisation must be"),
        (lambda: growth(PLAIN, 2031, grid=True), "runs from 2025 to 2030"),
        (lambda: case().energy() + case().impact("gwp"), "cannot add"),
    ],
    ids=["source", "range", "pue", "kind", "names", "utilisation", "year", "units"],
)
def test_bad_settings_say_what_is_wrong(make, said):
    with pytest.raises(InvalidArgument, match=said):
        make()
