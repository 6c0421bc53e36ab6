"""`genwright footprint`: a run's energy and emissions, and a year of such runs."""

import pytest

from genwright.core import Cost, Ledger, Sample, Samples, Task, solve
from genwright.search.repeated_sampling import RepeatedSampling
from genwright.verifiers.match import ExactMatch

LEDGER = "runs/ledger.sqlite"


class Metered:
    """Draws that cost 1,000 J each, or that nobody metered."""

    def __init__(self, joules_by):
        self.joules_by = joules_by

    def sample(self, prompt, n, *, seed, first=0):
        joules = 1000.0 if self.joules_by else 0.0
        cost = Cost(draws=1, new_tokens=5, prompt_tokens=7, seconds=2.0, joules=joules)
        cost = Cost(**{**cost.as_dict(), "joules_by": self.joules_by})
        return Samples.of([Sample("x", None, cost, {}) for _ in range(n)])


@pytest.fixture
def recorded(run, tmp_path):
    """Return a function from how joules were obtained to the id of a run of 18 draws."""

    def make(joules_by="estimated"):
        (tmp_path / "runs").mkdir(exist_ok=True)
        with Ledger(tmp_path / LEDGER) as book:
            strategy = RepeatedSampling(n=18, stop_on_pass=False)
            return solve(
                [Task("?", ExactMatch(gold="x"))], Metered(joules_by), strategy, ledger=book
            ).run_id

    return make


def test_a_run_s_emissions_come_with_formula_and_inputs(run, recorded):
    said = run("footprint", recorded(), "--region", "FRA", "--pue", "1.5", "--json")
    assert said.code == 0, said.err
    grams = said.json["emissions"]
    assert said.json["joules"] == 18_000
    assert grams["value"] == pytest.approx(18_000 / 3.6e6 * 1.5 * 56.039)
    assert grams["interval95"][0] < grams["value"] < grams["interval95"][1]
    assert grams["formula"] == "joules * pue / 3.6e+06 * FRA.gwp"
    assert set(grams["inputs"]) == {"joules", "pue", "FRA.gwp"}
    assert "estimated" in grams["inputs"]["joules"]["source"]


def test_a_scenario_projects_a_year_of_such_runs(run, recorded, tmp_path):
    pytest.importorskip("plotly")
    said = run(
        *("footprint", recorded(), "--scenario", "high", "--per-year", "1000"),
        *("--plot", "p.html", "--json"),
    )
    assert said.code == 0, said.err
    now, last = (said.json["years"][year]["value"] for year in ("2025", "2030"))
    assert now == pytest.approx(1000 * said.json["emissions"]["value"])
    factor = (1.8 * 1.4 * 1.3 / (1.25 * 1.15) * 0.97) ** 5
    assert last == pytest.approx(now * factor)
    assert said.json["levers"][0]["name"] == "usage"
    assert "assumed for the high scenario" in (tmp_path / "p.html").read_text()


def test_people_read_the_sources_too(run, recorded):
    said = run("footprint", recorded(), "--scenario", "low")
    assert said.code == 0, said.err
    for part in ("World 2018", "estimated", "2030", "hardware_efficiency", "126 read, 90 written"):
        assert part in said.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--region", "Atlantis"], "no region"),
        (["--pue", "0.5"], "pue must be 1 or more"),
        (["--plot", "x.html"], "give --scenario too"),
        (["--scenario", "nowhere.toml"], "there is no file"),
    ],
    ids=["region", "pue", "plot", "scenario"],
)
def test_bad_options_exit_2_and_say_why(run, recorded, arguments, said):
    found = run("footprint", recorded(), *arguments)
    assert found.code == 2
    assert said in found.err


def test_a_run_that_nobody_metered_says_so(run, recorded):
    found = run("footprint", recorded(""))
    assert found.code == 2
    assert "nobody measured or estimated" in found.err
