"""Beside EcoLogits and CodeCarbon: given their constants, the same grams."""

import pytest

from genwright.core import Cost
from genwright.serving.footprint import YEAR, Hardware, UseCase, emissions
from genwright.serving.grid import GridMix, grid_mix
from genwright.serving.quantities import Given


def exact(value):
    return Given(value=float(value), source="the peer's constant")


@pytest.mark.parametrize(("billions", "tokens"), [(7, 100), (70, 400)])
def test_a_call_of_a_language_model_has_ecologits_impacts_with_its_constants(billions, tokens):
    """Its energy per token and latency are regressions on GPUs; ours has no such default."""
    llm = pytest.importorskip("ecologits.impacts.llm")
    mix, pue = 0.5, 1.2
    theirs = llm.compute_llm_impacts_dag(
        model_active_parameter_count=billions,
        model_total_parameter_count=billions,
        output_token_count=tokens,
        request_latency=1e9,
        if_electricity_mix_adpe=0,
        if_electricity_mix_pe=0,
        if_electricity_mix_gwp=mix,
        if_electricity_mix_wue=0,
        datacenter_pue=pue,
        datacenter_wue=0,
    )
    gpus = theirs["gpu_required_count"]
    server = Hardware(
        name="gpus",
        lifetime_years=exact(llm.HARDWARE_LIFESPAN / YEAR),
        utilisation=exact(1),
        server_watts=exact(1000 * llm.SERVER_POWER * gpus / llm.SERVER_GPUS),
        idle_watts=exact(0),
        embodied={"gwp": exact(1000 * theirs["server_gpu_embodied_gwp"])},
    )
    ours = UseCase(
        name="call",
        kind="large-language-model",
        calls=exact(1),
        joules=exact(gpus * theirs["gpu_energy"] * 3.6e6),
        seconds=exact(theirs["generation_latency"] / llm.BATCH_SIZE),
        hardware=server,
        grid=GridMix(region="its", year=2024, per_kwh={"gwp": exact(1000 * mix)}),
        pue=exact(pue),
    )
    grams = 1000 * (theirs["request_usage_gwp"] + theirs["request_embodied_gwp"])
    assert ours.energy().value == pytest.approx(theirs["request_energy"])
    assert ours.impact("gwp").value == pytest.approx(grams)


@pytest.mark.parametrize("country", ["FRA", "USA", "POL", "IND"])
def test_a_kilowatt_hour_has_codecarbon_s_emissions(country):
    pytest.importorskip("codecarbon")
    from codecarbon.core.emissions import Emissions
    from codecarbon.core.units import Energy
    from codecarbon.external.geography import GeoMetadata
    from codecarbon.input import DataSource

    kwh = Cost(joules=3.6e6, joules_by="measured")
    ours = emissions(kwh, grid_mix(country), exact(1.0))
    place = GeoMetadata(country_iso_code=country, country_name="")
    theirs = Emissions(DataSource()).get_country_emissions(Energy.from_energy(1.0), place) * 1000
    low, high = ours.bounds
    assert low <= theirs <= high, "their table may be of another year"
