"""Appends per second of the ledger, each on the disk when it returns, and its share of a run.

    python benchmarks/ledger.py --json

A share is the time of one append over the time of one draw: 24 tokens (a short SQL query) at 1,000
tokens a second, what a 135M model makes on two cores in a large batch.
"""

import argparse
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from genwright.core import Cost, Ledger, Sample, Verdict
from genwright.core.run import Call

SAMPLE = Sample(
    "SELECT name FROM airlines " * 4, -12.5, Cost(draws=1, new_tokens=24), {"stop": "eos"}
)
SHORT_DRAW_SECONDS = 0.024


def rate(appends: int, work) -> float:
    """Return appends per second."""
    start = time.perf_counter()
    work()
    return appends / (time.perf_counter() - start)


def measure(path: Path, n: int) -> dict[str, float]:
    """Measure on a file that is deleted afterwards; n draws for each row."""
    with Ledger(path) as ledger:
        run = ledger.start_run("benchmark", {}, 0)

        def draws(task: str, size: int, count: int = n) -> None:
            for first in range(0, count, size):
                rows = [(first + i, SAMPLE) for i in range(size)]
                run.record_draws(task, Call("prompt", 0), rows, stacked=False)

        def verdicts() -> None:
            for i in range(n):
                run.record_verdict("checked", "verifier", i, Verdict.ok({"rows": 3}))

        def threads() -> None:
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda i: draws(f"thread {i}", 1, n // 8), range(8)))

        found = {
            "draws_one_by_one_per_s": rate(n, lambda: draws("single", 1)),
            "draws_in_batches_of_64_per_s": rate(
                n // 64 * 64, lambda: draws("batch", 64, n // 64 * 64)
            ),
            "draws_from_8_threads_per_s": rate(n // 8 * 8, threads),
            "verdicts_one_by_one_per_s": rate(n, verdicts),
            "draws_read_per_s": rate(n, lambda: run.draws("single")),
        }
    seconds = 1 / found["draws_one_by_one_per_s"]
    return found | {"share_of_a_short_draw_percent": 100 * seconds / SHORT_DRAW_SECONDS}


def main() -> None:
    """Print the table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=4096, help="appends for each row")
    parser.add_argument("--folder", default=None, help="on the disk to measure")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure(Path(folder) / "ledger.db", options.n)
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:32} {value:12,.1f}")


if __name__ == "__main__":
    main()
