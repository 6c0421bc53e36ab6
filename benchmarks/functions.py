"""2^x on [0, 1]: evolved programs beside NumPy and the classical forms, in error and in time.

    python benchmarks/functions.py --json

Errors are the largest relative errors at 10,000 points. Times are nanoseconds per element of an
array that fits the first-level cache, the best of many passes: in NumPy, operation by operation,
and in C compiled with `gcc -O3 -march=native`, one loop a function. `--ledger` and `--run` take the
evolved programs from a run that is recorded; without them a short search of `--draws` programs
makes them.
"""

import argparse
import ctypes
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from genwright.core import Budget, Ledger
from genwright.search.approximation import Approximates, Approximation, front_of
from genwright.search.autonumerics import FunctionSearch
from genwright.search.classical import pade, rational, remez
from genwright.search.symbolic import to_c
from genwright.search.targets import tabulate

UNIT = (0.0, 1.0)
ELEMENTS = 2048
FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-shared", "-fPIC")
LOOP = (
    "void {0}_all(const double *x, double *y, long n)"
    " {{ for (long i = 0; i < n; i++) y[i] = {0}(x[i]); }}"
)


def nanoseconds(work: Callable[[], object], passes: int) -> float:
    """Return the time of the fastest pass, per element."""
    best = float("inf")
    for _ in range(passes):
        start = time.perf_counter()
        for _ in range(20):
            work()
        best = min(best, (time.perf_counter() - start) / 20)
    return 1e9 * best / ELEMENTS


def forms(front: dict[int, Approximation]) -> dict[str, Approximation]:
    """Return every program by name: classical ones of up to 10 operations, then the evolved."""
    found = {f"minimax polynomial {d}": remez("exp2", UNIT, d) for d in range(1, 6)}
    found |= {f"Pade {m}/{n}": pade("exp2", UNIT, m, n) for m, n in ((1, 1), (2, 1), (2, 2))}
    for m, n in ((1, 1), (2, 1), (2, 2), (3, 2)):
        found[f"minimax rational {m}/{n}"] = rational("exp2", UNIT, m, n)
    evolved = {f"evolved {n}": Approximates().polish(a) for n, a in front.items() if n > 1}
    return found | evolved


def compiled(found: dict[str, Approximation], folder: Path) -> ctypes.CDLL | None:
    """Compile a loop over each program; None without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    source = ["double exp2(double);", LOOP.format("exp2")]
    for i, one in enumerate(found.values()):
        code = to_c(one.program, one.constants, f"f{i}")
        source += [f"static inline {code}", LOOP.format(f"f{i}")]
    (folder / "f.c").write_text("\n".join(source))
    command = [compiler, *FLAGS, str(folder / "f.c"), "-o", str(folder / "f.so"), "-lm"]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(folder / "f.so"))


def measure(front: dict[int, Approximation], passes: int) -> list[dict[str, object]]:
    """Return one row a function."""
    x = np.linspace(0.0, 1.0, ELEMENTS)
    y, table, found = np.empty_like(x), tabulate("exp2", UNIT, 10_000, "between"), forms(front)
    numpy_error = float(np.abs((np.exp2(table.x) - table.high) / table.high).max())
    with tempfile.TemporaryDirectory() as folder:
        library = compiled(found, Path(folder))

        def loop(name: str) -> float | None:
            if library is None:
                return None
            call, double = getattr(library, f"{name}_all"), ctypes.POINTER(ctypes.c_double)
            call.argtypes = [double, double, ctypes.c_long]
            pointers = x.ctypes.data_as(double), y.ctypes.data_as(double)
            return nanoseconds(lambda: call(*pointers, ELEMENTS), passes)

        library_row = {
            "function": "numpy.exp2, C exp2",
            "operations": None,
            "error": numpy_error,
            "numpy_ns": nanoseconds(lambda: np.exp2(x), passes),
            "c_ns": loop("exp2"),
        }
        rows = [library_row]
        for i, (name, one) in enumerate(found.items()):
            rows.append(
                {
                    "function": name,
                    "operations": one.operations,
                    "error": one.error,
                    "numpy_ns": nanoseconds(lambda one=one: one.values(x), passes),
                    "c_ns": loop(f"f{i}"),
                }
            )
    return rows


def main() -> None:
    """Print the table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draws", type=int, default=4000, help="programs of the short search")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ledger", default=None, help="a ledger with a recorded search")
    parser.add_argument("--run", default=None, help="the run of that ledger")
    parser.add_argument("--passes", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.ledger:
        with Ledger(options.ledger, create=False) as book:
            front = front_of([v.verdict for v in book.run(options.run).verdicts()])
    else:
        search = FunctionSearch(processes=options.processes)
        front = dict(search.search(Budget(draws=options.draws), seed=options.seed).front)
    rows = measure(front, options.passes)
    if options.json:
        print(json.dumps(rows))
        return
    for row in rows:
        numbers = [row["numpy_ns"], row["c_ns"]]
        times = " ".join("       -" if t is None else f"{t:8.3f}" for t in numbers)
        print(f"{row['function']:24} {row['operations'] or '-':>3} {row['error']:9.2e} {times}")


if __name__ == "__main__":
    main()
