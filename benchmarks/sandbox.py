"""How many checks a core-second the sandbox makes, and how soon after its limit a check is dead.

Run `python benchmarks/sandbox.py` (a table) or `python benchmarks/sandbox.py --json`. A check is a
four-line function with two asserts, all limits on. Core-seconds are processor time, user and
system, of everything that took part: this process, warm parents, checks; so the figure stands on a
busy machine too. It counts no start of the pool. The yardstick is a fresh `python -I -S -c` for
every check, without any limits. Latency is wall time from the limit to the answer, and does suffer
from a busy machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from genwright.core import SandboxError
from genwright.verifiers.sandbox import Program, Sandbox

CODE = "def middle(a, b, c):\n    x, y, z = sorted((a, b, c))\n    del x, z\n    return y\n"
TESTS = "assert middle(3, 1, 2) == 2\nassert middle(1, 1, 5) == 1\n"


def core_seconds() -> float:
    """Processor time of this process, of those below it, and of all that these have collected."""
    ticks, todo = 0, [os.getpid()]
    while todo:
        pid = todo.pop()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))  # utime, stime, and both of collected children
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError):  # a thread that ended meanwhile
                todo += map(int, (task / "children").read_text().split())
    return ticks / os.sysconf("SC_CLK_TCK")


def fresh(checks: int) -> float:
    """Checks a core-second with a new interpreter each."""
    before = core_seconds()
    for _ in range(checks):
        subprocess.run([sys.executable, "-I", "-S", "-c", CODE + TESTS], check=True)
    return checks / (core_seconds() - before)


def pooled(level: str, checks: int, entry_point: str | None) -> float:
    """Checks a core-second in the sandbox, its start not counted."""
    program = Program(code=CODE, tests=(TESTS,), entry_point=entry_point)
    with Sandbox(2, level=level) as sandbox:  # pyright: ignore[reportArgumentType]
        sandbox.run_many([Program(code="")] * 4)
        before = core_seconds()
        for execution in sandbox.run_many([program] * checks):
            if execution.status != "ok":
                raise SystemExit(f"a right program was not passed: {execution}")
        return checks / (core_seconds() - before)


def latency(level: str, checks: int) -> list[float]:
    """Milliseconds from the limit of a busy loop to its answer, sorted."""
    with Sandbox(1, level=level) as sandbox:  # pyright: ignore[reportArgumentType]
        runs = [sandbox.run("while True: pass", seconds=0.2) for _ in range(checks)]
    return sorted(1000 * (run.seconds - 0.2) for run in runs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--checks", type=int, default=1000)
    args = parser.parse_args()
    yardstick = fresh(max(args.checks // 10, 10))
    rows = [{"way": "fresh python -I -S -c, no limits", "checks_per_core_second": yardstick}]
    for level in ("namespaces", "limits"):
        for name, entry_point in (("shared", None), ("own", "middle")):
            try:
                rate = pooled(level, args.checks, entry_point)
            except SandboxError as error:
                rows.append({"way": level, "refused": str(error)})
                break
            row = {"way": f"{level}, tests in {name} process", "checks_per_core_second": rate}
            rows.append(row)
        else:
            late = latency(level, 20)
            rows[-1] |= {"kill_ms_median": statistics.median(late), "kill_ms_worst": late[-1]}
            rows[-2] |= {"kill_ms_median": statistics.median(late), "kill_ms_worst": late[-1]}
    for row in rows:
        row["ratio"] = row.get("checks_per_core_second", 0.0) / yardstick
    if args.json:
        print(json.dumps({"checks": args.checks, "rows": rows}, indent=1))
        return
    print(f"{'way':40} {'checks/core-s':>13} {'ratio':>6} {'kill ms (median, worst)':>24}")
    for row in rows:
        if "refused" in row:
            print(f"{row['way']:40} {row['refused']}")
            continue
        kill = "kill_ms_median" in row
        late = f"{row['kill_ms_median']:.1f}, {row['kill_ms_worst']:.1f}" if kill else ""
        rate = row["checks_per_core_second"]
        print(f"{row['way']:40} {rate:13.0f} {row['ratio']:6.1f} {late:>24}")


if __name__ == "__main__":
    main()
