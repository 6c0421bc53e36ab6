"""Split machines answer more requests than mixed ones of the same power, chunked prefill included.

Two recorded traces are replayed faster and faster on every design that a power allows, until the
nine service levels break. Both sides are tuned on the first part of each trace (machine type, chunk
and batch for mixed machines; machine types, split, chunk and borrowing for split ones), and the two
best of each are measured on the whole. At full scale two real processes, one thread each, answer
the same requests split by phase and mixed.
"""

import gzip
from collections.abc import Mapping, Sequence

import numpy as np

from genwright.claims.data import data_file
from genwright.core import Ledger, uniform
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.generators.language.local import LocalLM
from genwright.serving.cluster import Cluster, Machine, Served
from genwright.serving.planning import Planned, Slo, plan
from genwright.serving.profile import Profile
from genwright.serving.schedulers import JoinShortestQueue, MixedPool
from genwright.serving.station import Batching, Hardware
from genwright.serving.traffic import Arrival, poisson, read_trace

TRACES = {name: f"serving/azure_llm_trace_{name}.csv.gz" for name in ("conv", "code")}
TEXT = "text/wikitext2_valid.txt.gz"
PROFILE = "serving/splitwise_perf_model.csv.gz"
A, H, CAP = "a100-80gb", "h100-80gb", "h100-80gb-pcap"
WATTS = {A: 6500.0, H: 10200.0, CAP: 7140.0}
PRICE = {A: 8 * 2.21, H: 8 * 4.76, CAP: 8 * 4.76}
LLAMA = Served(layers=80, token_bytes=2 * 80 * 8192 * 2)
MEMORY = 8 * 80 * 2**30 - 135e9
"""Of eight GPUs of 80 GiB, less the weights of Llama-2-70B, as in the published simulator."""

Designs = Mapping[str, Cluster]


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Simulate both traces; at full scale also replay real requests with two processes."""
    metrics, notes = simulated(scale)
    bounds = ("best_gain >= 1.3", "worst_gain >= 1", "ratio_difference >= 0.05")
    if scale == "full":
        metrics |= real(seed)
        bounds += ("real_tbt_p99_ratio <= 0.5", "real_e2e_ratio <= 1.25")
        notes.append("real: the two processes share one machine's memory bandwidth")
    return ClaimResult(metrics=metrics, bounds=bounds, notes=tuple(notes))


def simulated(scale: Scale) -> tuple[dict[str, float], list[str]]:
    """Compare on both traces by the published look-up; at full scale by sequences too."""
    machines, tuned, whole = (4, 500, 500) if scale == "smoke" else (10, 1000, 10_000)
    traces = {name: read_trace(data_file(file), whole) for name, file in TRACES.items()}
    metrics: dict[str, float] = {}
    notes = [f"{name}: {len(trace):,} requests" for name, trace in traces.items()]
    notes.append("rates are requests a second; simulated, not measured on such machines")
    for rule in ("published",) if scale == "smoke" else ("published", "sequences"):
        kinds = hardware(rule)
        slo = Slo(reference=kinds[A].profile)
        watts = machines * WATTS[H]
        for name, trace in traces.items():
            full = trace if rule == "published" else trace[:tuned]
            designs = mixed_designs(kinds, watts)
            mixed = best(designs, trace[:tuned], full, slo)
            split = best(split_designs(kinds, watts), trace[:tuned], full, slo)
            unchunked = {k: v for k, v in designs.items() if "whole" in k}
            paper = best(unchunked, trace[:tuned], full, slo)
            mark = name if rule == "published" else f"{name}_{rule}"
            metrics |= {
                f"{mark}_mixed": mixed.rate,
                f"{mark}_split": split.rate,
                f"{mark}_gain": split.rate / mixed.rate,
                f"{mark}_gain_over_whole_prompts": split.rate / paper.rate,
                f"{mark}_prompt_share": _prompt_share(split.name),
            }
            notes.append(f"{mark}: mixed {mixed.name}; split {split.name}")
    gains = [metrics[f"{name}_gain"] for name in TRACES]
    shares = [metrics[f"{name}_prompt_share"] for name in TRACES]
    metrics |= {"best_gain": max(gains), "worst_gain": min(gains)}
    metrics["ratio_difference"] = abs(shares[0] - shares[1])
    return metrics, notes


def real(seed: int, requests: int = 40) -> dict[str, float]:
    """Replay Poisson arrivals at 70% of what two mixed workers can do one by one."""
    from genwright.serving.disaggregated import Order, replay  # it needs torch

    lm = LocalLM(chat=False, temperature=0.0, dtype="float32", threads=1)
    profile = Profile.measure(lm.token_model, prompts=(256, 512), sequences=(1, 4), repeats=2)
    each = profile.prompt_seconds(384) + 31 * profile.token_seconds(1, 384)
    words = lm.encode(gzip.decompress(data_file(TEXT).read_bytes()).decode()[:100_000])
    sizes = [256 + int(257 * uniform(seed, "size", i)) for i in range(requests)]
    starts = [int(uniform(seed, "start", i) * (len(words) - 512)) for i in range(requests)]
    arrivals = poisson([Arrival(at=0, prompt=1, output=1)], requests, 0.7 * 2 / each, seed)
    orders = [
        Order(at=a.at, tokens=tuple(words[start : start + size]), new=32)
        for a, start, size in zip(arrivals, starts, sizes, strict=True)
    ]
    metrics: dict[str, float] = {"real_requests_per_s": 0.7 * 2 / each}
    tbt, e2e, said = {}, {}, {}
    for roles in ("split", "mixed"):
        answers = replay(lm, orders, roles, seed)
        gaps = np.concatenate([np.diff(answer.times) for answer in answers])
        tbt[roles] = float(np.quantile(gaps, 0.99))
        e2e[roles] = float(np.mean([answer.times[-1] for answer in answers]))
        said[roles] = [answer.tokens for answer in answers]
        metrics |= {f"real_tbt_p99_{roles}": tbt[roles], f"real_e2e_mean_{roles}": e2e[roles]}
    metrics["real_tbt_p99_ratio"] = tbt["split"] / tbt["mixed"]
    metrics["real_e2e_ratio"] = e2e["split"] / e2e["mixed"]
    same = [a == b for a, b in zip(said["split"], said["mixed"], strict=True)]
    metrics["real_same_answers"] = sum(same) / len(same)
    return metrics


def hardware(rule: str) -> dict[str, Hardware]:
    """Return the three machine types, with token times looked up in one of two ways."""
    over = "batch_tokens" if rule == "published" else "sequences"
    table = data_file(PROFILE)
    return {
        name: Hardware(
            name=name,
            profile=Profile.from_csv(table, model="llama2-70b", hardware=name, token_over=over),
            watts=WATTS[name],
            price=PRICE[name],
            memory=MEMORY,
        )
        for name in WATTS
    }


def mixed_designs(kinds: Mapping[str, Hardware], watts: float) -> Designs:
    """Return clusters of machines that do both: each type, prompts whole and in chunks."""
    found: dict[str, Cluster] = {}
    for name, chunks in ((H, (768, 1024, 512, 640, 1536, None)), (A, (512, None))):
        for chunk in chunks:
            for most in (512, 64):
                machine = Machine(
                    hardware=kinds[name], batching=Batching(chunk=chunk, max_sequences=most)
                )
                n = int(watts // WATTS[name])
                title = f"{n} x {name}, {chunk or 'whole prompts'}, at most {most}"
                found[title] = Cluster(
                    machines=(machine,) * n, served=LLAMA, scheduler=JoinShortestQueue()
                )
    return found


def split_designs(kinds: Mapping[str, Hardware], watts: float) -> Designs:
    """Return clusters split by phase, named as in the paper: HHcap, HH, HA, AA."""
    found: dict[str, Cluster] = {}
    for family, reader, writer in (("HHcap", H, CAP), ("HH", H, H), ("HA", H, A), ("AA", A, A)):
        most = int(watts // WATTS[reader])
        shares = (0.7, 0.6, 0.8, 0.5, 0.4, 0.3, 0.2) if family == "HHcap" else (0.6, 0.8, 0.4)
        readers = {min(most - 1, max(1, round(share * most))) for share in shares}
        for chunk, long in ((1024, 4096), (1024, 8192), (None, 4096), (None, 8192)):
            for p in sorted(readers, reverse=True):
                n = int((watts - p * WATTS[reader]) // WATTS[writer])
                if n < 1 or (chunk is None and long == 8192 and family != "HHcap"):
                    continue
                batching = Batching(chunk=chunk)
                machines = (Machine(hardware=kinds[reader], pool="prompt", batching=batching),) * p
                machines += (Machine(hardware=kinds[writer], pool="token", batching=batching),) * n
                title = f"{family} {p}:{n}, {chunk or 'whole prompts'}, queue {long}"
                found[title] = Cluster(
                    machines=machines, served=LLAMA, scheduler=MixedPool(long_queue=long)
                )
    return found


def best(designs: Designs, tuned: Sequence[Arrival], full: Sequence[Arrival], slo: Slo) -> Planned:
    """Return the best design on the full trace among the two best on the first part of it."""
    first = plan(tuned, slo, "rate", designs, rate=0.2, within=0.04)
    found = [p for p in first if p.rate][:2]
    if full is tuned or len(full) == len(tuned):
        return found[0]
    again = {p.name: designs[p.name] for p in found}
    return plan(full, slo, "rate", again, rate=0.4 * found[0].rate)[0]


def _prompt_share(name: str) -> float:
    """Return the share of machines that read prompts, from a design's name."""
    readers, writers = name.split()[1].rstrip(",").split(":")
    return int(readers) / (int(readers) + int(writers))


CLAIM = Claim(
    slug="splitwise",
    reference="Patel et al. 2023, Splitwise: Efficient Generative LLM Inference Using Phase "
    "Splitting, arXiv:2311.18677",
    statement="In simulation at equal power, the best split design sustains at least 1.3 times the "
    "request rate of the best mixed one, chunked prefill included, under nine service levels on "
    "one of two recorded traces, no less on the other, and the best splits of the two differ; two "
    "real processes split by phase halve the p99 time between tokens of two mixed ones at no more "
    "than 1.25 times the mean time of a request.",
    run=run,
    needs={
        "smoke": (PROFILE, *TRACES.values()),
        "full": (PROFILE, *TRACES.values(), TEXT),
    },
)
