"""Split machines answer more requests than mixed ones of the same power, chunked prefill included.

Two recorded traces are replayed faster and faster on every design that a power allows, until the
nine service levels break. Both sides are tuned on the first part of each trace (machine type, chunk
and batch for mixed machines; machine types, split, chunk and borrowing for split ones), and the two
best of each are measured on the whole.
"""

from collections.abc import Mapping, Sequence

from genwright.claims.data import data_file
from genwright.core import Ledger
from genwright.core.claim import Claim, ClaimResult, Scale
from genwright.serving.cluster import Cluster, Machine, Served
from genwright.serving.planning import Planned, Slo, plan
from genwright.serving.profile import Profile
from genwright.serving.schedulers import JoinShortestQueue, MixedPool
from genwright.serving.station import Batching, Hardware
from genwright.serving.traffic import Arrival, read_trace

TRACES = {name: f"serving/azure_llm_trace_{name}.csv.gz" for name in ("conv", "code")}
PROFILE = "serving/splitwise_perf_model.csv.gz"
A, H, CAP = "a100-80gb", "h100-80gb", "h100-80gb-pcap"
WATTS = {A: 6500.0, H: 10200.0, CAP: 7140.0}
PRICE = {A: 8 * 2.21, H: 8 * 4.76, CAP: 8 * 4.76}
LLAMA = Served(layers=80, token_bytes=2 * 80 * 8192 * 2)
MEMORY = 8 * 80 * 2**30 - 135e9
"""Of eight GPUs of 80 GiB, less the weights of Llama-2-70B, as in the published simulator."""

Designs = Mapping[str, Cluster]


def run(scale: Scale, seed: int, ledger: Ledger | None = None) -> ClaimResult:
    """Compare on both traces by the published look-up; at full scale by sequences too."""
    machines, tuned, whole = (4, 500, 500) if scale == "smoke" else (20, 2500, 10_000)
    traces = {name: read_trace(data_file(file), whole) for name, file in TRACES.items()}
    metrics: dict[str, float] = {}
    notes = [f"{name}: {len(trace):,} requests" for name, trace in traces.items()]
    for rule in ("published",) if scale == "smoke" else ("published", "sequences"):
        kinds = hardware(rule)
        slo = Slo(reference=kinds[A].profile)
        watts = machines * WATTS[H]
        for name, trace in traces.items():
            full = trace if rule == "published" else trace[:tuned]
            mixed = best(mixed_designs(kinds, watts), trace[:tuned], full, slo)
            split = best(split_designs(kinds, watts), trace[:tuned], full, slo)
            whole_prompts = {k: v for k, v in mixed_designs(kinds, watts).items() if "whole" in k}
            paper = best(whole_prompts, trace[:tuned], full, slo)
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
    bounds = ("best_gain >= 1.3", "worst_gain >= 1", "ratio_difference >= 0.05")
    notes.append("rates are requests a second; simulated, not measured on such machines")
    return ClaimResult(metrics=metrics, bounds=bounds, notes=tuple(notes))


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
    return plan(full, slo, "rate", again, rate=0.2)[0]


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
    "one of two recorded traces, no less on the other, and the best splits of the two differ.",
    run=run,
    needs={scale: (PROFILE, *TRACES.values()) for scale in ("smoke", "full")},
)
