"""New tokens per second of repeated sampling, ours beside others', under the machine's limits.

    python benchmarks/throughput.py --n 1,16,64,256 --peers generate,ct2,llamacpp --threads 2

One prompt of 64 tokens is continued n times by 32 tokens at temperature 0.8, prefill included, by
the embedded model. Every contender runs in a process of its own and one at a time: once to warm up,
then until three runs or six seconds have passed; the median counts. `contenders.py` says how each
is set. Two limits are measured in the same run. For one draw: every weight is read once a token, so
no faster than the memory (the best of a copy and a sum over 512 MB, in bytes read and written). For
many draws: the model's matrix products alone, with prepacked weights, and nothing else.

Results go to `benchmarks/results/throughput.{json,md,svg}`. `--json` prints instead of a table.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from contenders import CONTENDERS, start
from written import add_options, write

SECONDS, RUNS = 6.0, 3
CLOCK = "cpu counts processor seconds: for one thread on a machine that others use"


def timed(work: Any) -> tuple[float, float]:
    """Return the medians of (tokens a second, tokens a processor second)."""
    work()
    rates: list[float] = []
    core: list[float] = []
    began = time.perf_counter()
    while len(rates) < RUNS and time.perf_counter() - began < SECONDS:
        wall, cpu = time.perf_counter(), time.process_time()
        made = work()
        rates.append(made / (time.perf_counter() - wall))
        core.append(made / (time.process_time() - cpu))
    return statistics.median(rates), statistics.median(core)


def contend(name: str, dtype: str, folder: str, n: int, new: int, threads: int) -> dict[str, Any]:
    """Measure all settings of one contender at one n and return the fastest."""
    rows = []
    for setting, work in CONTENDERS[name][0](dtype, folder, n, new, threads):
        rate, core = timed(work)
        rows.append({"setting": setting, "tokens_per_s": rate, "tokens_per_core_s": core})
    return {"name": name, "dtype": dtype, "n": n, **max(rows, key=lambda r: r["tokens_per_s"])}


def memory(threads: int) -> float:
    """Bytes a second between memory and processor."""
    import torch

    torch.set_num_threads(threads)
    source = torch.ones(128 * 2**20)
    target = torch.empty_like(source)
    best = 0.0
    for work, moved in ((lambda: target.copy_(source), 2), (source.sum, 1)):
        for _ in range(5):
            began = time.perf_counter()
            work()
            best = max(best, moved * source.nbytes / (time.perf_counter() - began))
    return best


def products(dtype: str, folder: str, n: int, threads: int) -> dict[str, Any]:
    """The matrix products of one step over n rows, without anything between them."""
    import torch

    from genwright.generators.language.loading import read
    from genwright.nets.llama import Llama

    torch.set_num_threads(threads)
    net = Llama(read(folder, dtype)[0], int8=dtype == "int8")
    maps = [m for layer in net.layers for m in layer.maps] + [net.head]
    inputs = {m.width: torch.ones(n, m.width, dtype=net.dtype) for m in maps}

    @torch.inference_mode()
    def step() -> int:
        for m in maps:
            m(inputs[m.width])
        return n

    repeats = max(1, 64 // n)
    rate, core = timed(lambda: sum(step() for _ in range(repeats)))
    weights = sum(m.bytes for m in maps)
    return {
        "dtype": dtype,
        "n": n,
        "tokens_per_s": rate,
        "tokens_per_core_s": core,
        "bytes": weights,
    }


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run everything, each in its own process, and return the result."""
    from genwright.core.environment import environment
    from genwright.generators.language.embedded import EMBEDDED, resolve

    folder = resolve(args.model or EMBEDDED)

    def job(kind: str, *rest: Any, python: str = "") -> dict[str, Any] | None:
        words = [kind, *map(str, rest)]
        done = start(python, words, args.threads)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
            print(f"{' '.join(words)}: {reason}", file=sys.stderr)
            return None
        found = json.loads(done.stdout.splitlines()[-1])
        print(f"{' '.join(words)}: {found}", file=sys.stderr)
        return found

    moved = job("memory", args.threads) or {"bytes_per_s": float("nan")}
    rows: list[dict[str, Any]] = []
    limits: list[dict[str, Any]] = []
    for n in args.n:
        for dtype in ("float32", "bfloat16", "int8"):
            if (row := job("products", dtype, folder, n, args.threads)) is not None:
                limits.append(row | {"memory_tokens_per_s": moved["bytes_per_s"] / row["bytes"]})
        for name in ("genwright", *args.peers):
            python = "" if name == "genwright" else args.peer_python
            for dtype in CONTENDERS[name][1]:
                new, threads = args.new, args.threads
                row = job("contend", name, dtype, folder, n, new, threads, python=python)
                if row is not None:
                    rows.append(row)
    if args.clock == "cpu":
        for row in [*rows, *limits]:
            row["tokens_per_s"] = row["tokens_per_core_s"]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "threads": args.threads,
        "clock": args.clock,
        "new_tokens": args.new,
        "environment": environment(),
        "memory_bytes_per_s": moved["bytes_per_s"],
        "rows": rows,
        "limits": limits,
    }


def table(result: dict[str, Any]) -> str:
    """Return Markdown: tokens a second by contender and n, limits last."""
    ns = sorted({row["n"] for row in result["rows"]})
    lines: dict[str, dict[int, float]] = {}
    for row in result["rows"]:
        lines.setdefault(f"{row['name']} {row['dtype']}", {})[row["n"]] = row["tokens_per_s"]
    for row in result["limits"]:
        key = f"limit: products alone, {row['dtype']}"
        lines.setdefault(key, {})[row["n"]] = row["tokens_per_s"]
        if row["n"] == 1:
            key = f"limit: memory, {row['dtype']}"
            lines.setdefault(key, {})[1] = row["memory_tokens_per_s"]
    head = "| new tokens/s | " + " | ".join(f"n = {n}" for n in ns) + " |\n"
    head += "|---|" + "---:|" * len(ns) + "\n"
    body = [
        f"| {name} | " + " | ".join(f"{rates[n]:,.0f}" if n in rates else "" for n in ns) + " |"
        for name, rates in lines.items()
    ]
    return head + "\n".join(body) + "\n\n" + ratios(result, ns)


def ratios(result: dict[str, Any], ns: list[int]) -> str:
    """Return Markdown: our best over each peer's best, and over generate at the same dtype."""
    found = {(r["name"], r["dtype"], r["n"]): r["tokens_per_s"] for r in result["rows"]}
    text = "| ratio | " + " | ".join(f"n = {n}" for n in ns) + " |\n|---|" + "---:|" * len(ns)
    peers = sorted({name for name, _, _ in found if name != "genwright"})

    def best(name: str, n: int, dtype: str | None = None) -> float:
        chosen = (r for (p, d, m), r in found.items() if (p, m) == (name, n) and dtype in (None, d))
        return max(chosen, default=float("nan"))

    pairs = [(f"best / best of {p}", p, None) for p in peers]
    pairs += [(f"{d} / generate {d}", "generate", d) for d in ("float32", "bfloat16")]
    for name, peer, dtype in pairs:
        cells = [f"{best('genwright', n, dtype) / best(peer, n, dtype):.1f}" for n in ns]
        text += f"\n| genwright {name} | " + " | ".join(cells) + " |"
    return text + "\n"


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw rates over n, with the limits dashed."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "genwright"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    colours = {"genwright": "tab:blue", "generate": "tab:orange"}
    colours |= {"ct2": "tab:green", "llamacpp": "tab:red"}
    marks = {"float32": "o", "bfloat16": "s", "int8": "^", "Q4_1": "D"}
    series: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in [*result["rows"], *({**r, "name": ""} for r in result["limits"])]:
        series.setdefault((row["name"], row["dtype"]), []).append((row["n"], row["tokens_per_s"]))
    for (name, dtype), points in series.items():
        style = {"label": f"{name} {dtype}", "color": colours.get(name), "ls": "-"}
        if not name:
            style = {"label": f"products alone, {dtype}", "color": "grey", "ls": "--"}
        axes.plot(*zip(*sorted(points), strict=True), marker=marks[dtype], lw=1.5, ms=5, **style)
    for row in result["limits"]:
        if row["n"] == 1:
            axes.plot([1], [row["memory_tokens_per_s"]], "_", color="black", ms=16)
            axes.annotate(f" memory, {row['dtype']}", (1, row["memory_tokens_per_s"]), fontsize=7)
    axes.set(xscale="log", yscale="log", xlabel="draws together", ylabel="new tokens per second")
    axes.set_xticks(ns := sorted({row["n"] for row in result["rows"]}), list(map(str, ns)))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, ncols=2)
    axes.set_title(f"SmolLM2-135M, {result['threads']} threads", fontsize=10)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def main() -> None:
    """Measure, write and print; with `--job`, do one measurement of it and print that."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", default="1,16,64,256", help="draws together, by commas")
    parser.add_argument("--peers", default="generate,ct2,llamacpp", help="by commas; may be empty")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--new", type=int, default=32, help="new tokens of every draw")
    parser.add_argument("--model", default="", help="a folder; the embedded model if not given")
    parser.add_argument("--peer-python", default="", help="the Python that has the peers")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help=CLOCK)
    add_options(parser)
    parser.add_argument("--job", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        kind, *rest = args.job
        numbers = [int(word) if word.isdigit() else word for word in rest]
        kinds = {"contend": contend, "products": products}
        if kind == "memory":
            print(json.dumps({"bytes_per_s": memory(*numbers)}))
        else:
            print(json.dumps(kinds[kind](*numbers)))
        return
    args.n = [int(n) for n in args.n.split(",")]
    args.peers = [name for name in args.peers.split(",") if name]
    result = measure(args)
    write(args, "throughput", result, table(result))
    plot(result, args.folder / "throughput.svg")


if __name__ == "__main__":
    main()
