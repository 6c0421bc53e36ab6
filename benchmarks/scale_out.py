"""What a thousand nodes would need: from one node measured here, by the cluster simulator.

    python benchmarks/scale_out.py --nodes 1000 --json

Measured: seconds of a prompt batch and of a token batch of the embedded model on one core, in
processor time (so that what else runs does not count); appends a second and bytes a draw of the
ledger; microseconds a placement of the scheduler. Simulated from that: the request rate that meets
the service levels, on few workers and on all. Everything else is arithmetic on both, each line with
its formula. Needs `GENWRIGHT_DATA` (the sizes of the requests are those of a recorded trace).
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from genwright.claims.data import data_file
from genwright.core import Cost, Ledger, Sample
from genwright.core.run import Call
from genwright.generators.language.local import LocalLM
from genwright.serving.cluster import Cluster, Link, Machine, Served
from genwright.serving.footprint import emissions
from genwright.serving.grid import grid_mix
from genwright.serving.planning import Slo, most_rate
from genwright.serving.power import WATTS_PER_CORE
from genwright.serving.profile import Profile
from genwright.serving.quantities import Given
from genwright.serving.schedulers import JoinShortestQueue
from genwright.serving.station import Batching, Hardware, Station
from genwright.serving.traffic import Arrival, at_rate, poisson, read_trace

FEW = 16
"""Workers on which the sustainable rate is searched before all are simulated."""
TEXT_BYTES = 4.0
"""Bytes of text a token, both ways; JSON and headers come on top."""
ENVELOPE = 1500.0
"""Bytes of headers and JSON of one request and its answer."""
LEVELS = {"ttft": {0.99: 6.0}, "tbt": {0.99: 5.0}, "e2e": {0.99: 5.0}}


def profiled(lm: LocalLM) -> tuple[Profile, Served]:
    """Measure one core."""
    model = lm.token_model
    profile = Profile.measure(
        model, prompts=(64, 256, 512), sequences=(1, 4, 16, 32), repeats=2, clock=time.process_time
    )
    layers, heads, _, size = model.new_cache().keys.shape
    return profile, Served(layers=layers, token_bytes=layers * 2 * heads * size * 2)


def recording(n: int = 2000) -> tuple[float, float]:
    """Return durable appends a second of draws in batches of 64, and bytes a draw."""
    sample = Sample("word " * 64, -12.5, Cost(draws=1, new_tokens=64), {"stop": "eos"})
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "l.sqlite") as ledger:
        run = ledger.start_run("benchmark", {}, 0)
        began = time.perf_counter()
        for first in range(0, n, 64):
            rows = [(first + i, sample) for i in range(64)]
            run.record_draws("task", Call("prompt", 0), rows, stacked=False)
        rate = n / (time.perf_counter() - began)
        size = sum(f.stat().st_size for f in Path(folder).iterdir())
    return rate, size / n


def placing(workers: int, hardware: Hardware, served: Served) -> float:
    """Return placements a second of one scheduler over so many workers."""
    stations = [
        Station(i, hardware, Batching(), "mixed", served.token_bytes) for i in range(workers)
    ]
    scheduler, n = JoinShortestQueue(), 200
    began = time.process_time()
    for i in range(n):
        scheduler.place(100, 100, stations)[0].pending += i
    return n / (time.process_time() - began)


def measure(nodes: int, cores: int, price: float) -> dict[str, Any]:
    """Measure one core, simulate workers, and multiply out."""
    lm = LocalLM(chat=False, dtype="float32", threads=1)
    profile, served = profiled(lm)
    sizes = read_trace(data_file("serving/azure_llm_trace_conv.csv.gz"), 4000)
    # a small model on a core answers small requests: an eighth of the recorded tokens
    sizes = [
        Arrival(at=a.at, prompt=max(1, a.prompt // 8), output=max(1, a.output // 8)) for a in sizes
    ]
    hardware = Hardware(
        name="core", profile=profile, watts=WATTS_PER_CORE.value, price=price / cores, memory=4e9
    )
    worker = Machine(hardware=hardware, batching=Batching(chunk=128, max_sequences=32))

    def cluster(n: int) -> Cluster:
        return Cluster(
            machines=(worker,) * n, served=served, scheduler=JoinShortestQueue(), link=Link()
        )

    slo = Slo(reference=profile, levels=LEVELS)
    few = poisson(sizes, 1500, 1.0, 0)
    rate = most_rate(cluster(FEW), few, slo, low=0.01, high=1e4, within=0.05) / FEW
    workers = nodes * cores
    many = at_rate(poisson(sizes, 6 * workers, 1.0, 1), rate * workers)
    found = cluster(workers).run(many)
    whole = rate * workers
    tokens = float(found.output.mean())
    prompts = float(found.prompt.mean())
    appends, row = recording()
    places = placing(workers, hardware, served)
    hour = Cost(joules=WATTS_PER_CORE.value * workers * 3600, joules_by="estimated")
    grams = emissions(hour, grid_mix("WORLD"), Given(value=1.2, low=1.1, high=1.6, source="stated"))
    low, high = grams.bounds
    wire = ENVELOPE + TEXT_BYTES * (prompts + tokens)
    cache = (prompts + 1) * served.token_bytes
    return {
        "nodes": nodes,
        "cores_a_node": cores,
        "measured: seconds of a 512-token prompt": profile.prompt_seconds(512),
        "measured: seconds of one token, alone": profile.token_seconds(1, 512),
        "measured: seconds of one token each for 32": profile.token_seconds(32, 32 * 512),
        "measured: ledger appends a second": appends,
        "measured: ledger bytes a draw": row,
        "measured: placements a second over all workers": places,
        "request: prompt tokens, mean": prompts,
        "request: new tokens, mean": tokens,
        "simulated: requests a second a core": rate,
        "simulated: share of levels kept by all workers": max(slo.slowdowns(found).values()),
        "simulated: busy share of all workers": float(found.busy.mean()),
        "simulated: p99 time to first token": float(np.quantile(found.ttft, 0.99)),
        "simulated: p99 between tokens": found.gap_quantile(0.99),
        "requests a second": whole,
        "new tokens a second": whole * tokens,
        "network: text, Gbit/s in all": whole * wire * 8 / 1e9,
        "network: text, Mbit/s a node": rate * cores * wire * 8 / 1e6,
        "network: caches if split by phase, Gbit/s in all": whole * cache * 8 / 1e9,
        "network: caches if split by phase, Mbit/s a node": rate * cores * cache * 8 / 1e6,
        "ledger: draws a second": whole,
        "ledger: files with one writer each": whole / appends,
        "ledger: GB a day": whole * row * 86400 / 1e9,
        "schedulers: processes": whole / places,
        "cost an hour": price * nodes,
        "cost a million new tokens": price * nodes / (whole * tokens * 3600) * 1e6,
        "energy: kW of busy cores": WATTS_PER_CORE.value * workers / 1000,
        "energy: joules a new token": WATTS_PER_CORE.value * workers / (whole * tokens),
        "emissions: kg CO2e an hour": grams.value / 1000,
        "emissions: kg CO2e an hour, from": low / 1000,
        "emissions: kg CO2e an hour, to": high / 1000,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--cores", type=int, default=2, help="cores of one node")
    parser.add_argument("--price", type=float, default=0.1, help="an hour of one node")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = measure(args.nodes, args.cores, args.price)
    if args.json:
        print(json.dumps(found))
        return
    print("| what | value |\n| --- | ---: |")
    for name, value in found.items():
        print(f"| {name} | {value:,.4g} |")


if __name__ == "__main__":
    main()
