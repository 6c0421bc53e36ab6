"""The cluster simulator beside the published one, on the same traces, machines and profile.

    python benchmarks/splitwise_peer.py --peer FOLDER --python PYTHON

FOLDER is a checkout of Mutinifni/splitwise-sim (8f99e7d) with the two settings of the Ray launcher
taken out of its configs/config.yaml; PYTHON is an interpreter that has its
dependencies (hydra-core, omegaconf, pandas, networkx, scipy). Four DGX-H100, Llama-2-70B, 600
Poisson arrivals with sizes of each recorded trace; the shortest queue, and the mixed pool with two
machines a phase. Nothing is written into FOLDER but traces and its own results. Needs
`GENWRIGHT_DATA`.
"""

import argparse
import csv
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from genwright.claims.data import data_file
from genwright.claims.splitwise import LLAMA, TRACES, H, hardware
from genwright.serving.cluster import Cluster, Link, Machine
from genwright.serving.schedulers import JoinShortestQueue, MixedPool
from genwright.serving.simulated import Simulated
from genwright.serving.traffic import Arrival, poisson, read_trace

RATES = {"conv": 8.0, "code": 6.0}
COLUMNS = ("request_id", "request_type", "application_id", "arrival_timestamp", "batch_size",
           "prompt_size", "token_size")  # fmt: skip
COMMON = (
    "applications.0.model_architecture=llama2-70b",
    "applications.0.model_size=llama2-70b-fp16", "performance_model=db", "seed=0",
    "cluster=half_half", "cluster.servers.0.count=0", "cluster.servers.1.count=4",
)  # fmt: skip
SPLIT = (
    "start_state=splitwise", "start_state.split_type=homogeneous",
    "start_state.prompt.num_instances=2", "start_state.token.num_instances=2",
)  # fmt: skip


def theirs(peer: Path, python: str, trace: Sequence[Arrival], kind: str) -> np.ndarray:
    """Run the published simulator; return float64[requests, 2]: TTFT and E2E."""
    with open(peer / "traces" / "genwright.csv", "w", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        rows.writerows((i, 2, 0, a.at, 1, a.prompt, a.output) for i, a in enumerate(trace))
    state = SPLIT if kind == "mixed_pool" else ("start_state=baseline",)
    told = (f"applications.0.scheduler={kind}", "trace.filename=genwright", *state)
    subprocess.run([python, "run.py", *COMMON, *told], cwd=peer, check=True, capture_output=True)
    found = sorted(
        peer.glob(f"results/0/*/genwright/0_4/llama2-70b/{kind}/detailed/0.csv"),
        key=lambda path: path.stat().st_mtime,
    )
    with open(found[-1], encoding="utf-8") as file:
        return np.array(
            [[float(r["ttft_times"]), float(r["response_times"])] for r in csv.DictReader(file)]
        )


def ours(trace: Sequence[Arrival], kind: str) -> Simulated:
    """Run this simulator by the published rules."""
    node = hardware("published")[H]
    pools = ["prompt"] * 2 + ["token"] * 2 if kind == "mixed_pool" else ["mixed"] * 4
    return Cluster(
        machines=tuple(Machine(hardware=node, pool=pool) for pool in pools),
        served=LLAMA,
        scheduler=MixedPool() if kind == "mixed_pool" else JoinShortestQueue(),
        link=Link(bandwidth=200 * 2**30, layered_from=None, shared=False),
    ).run(trace)


def main() -> None:
    """Run both and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, required=True)
    parser.add_argument("--python", required=True)
    args = parser.parse_args()
    print("| trace | scheduler | time | p50 | p90 | p99 | theirs | | |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, file in TRACES.items():
        trace = poisson(read_trace(data_file(file)), 600, RATES[name], 0)
        # a request of one token never ends in the published simulator
        trace = [replace(a, output=max(2, a.output)) for a in trace]
        for kind in ("token_jsq", "mixed_pool"):
            here, there = ours(trace, kind), theirs(args.peer, args.python, trace, kind)
            for i, (what, mine) in enumerate((("TTFT", here.ttft), ("E2E", here.e2e))):
                a, b = (np.quantile(x, [0.5, 0.9, 0.99]) for x in (mine, there[:, i]))
                cells = " | ".join(f"{x:.4g}" for x in (*a, *b))
                print(f"| {name} | {kind} | {what} | {cells} |")


if __name__ == "__main__":
    main()
