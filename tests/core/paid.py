"""A generator, verifier and strategy whose every paid call leaves a line in a file on the disk.

Run as a program it is one attempt at a run: `python paid.py LEDGER PAID`.
"""

import os
import sys
import time
from dataclasses import dataclass

from genwright.core import Ledger, Outcome, Sample, Samples, Stop, Task, Verdict, child_seed, solve

TASKS = 6


def note(path, line):
    """Append a line that no kill can take back."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())
    os.fsync(file)
    os.close(file)


@dataclass(frozen=True)
class Paid:
    """Each draw is paid for, then handed over."""

    path: str
    pause: float = 0.0

    def sample(self, prompt, n, *, seed, first=0):
        return Samples.of(s for _, s in self.stream(prompt, n, seed=seed, first=first))

    def stream(self, prompt, n, *, seed, first=0):
        for k in range(first, first + n):
            number = child_seed(seed, k) % 97
            note(self.path, f"draw {prompt} {k} {number}")
            time.sleep(self.pause)
            yield k, Sample(f"{prompt}:{number}")


@dataclass(frozen=True)
class PaidCheck:
    path: str

    def check(self, samples):
        for value in samples.values:
            note(self.path, f"check {value}")
        return [Verdict.ok() if v.endswith("7") else Verdict.fail(v) for v in samples.values]


@dataclass(frozen=True)
class TwoRounds:
    """Four draws, a check, and four more if none passed."""

    def run(self, generator, task, budget, seed):
        drawn = Samples()
        for _ in range(2):
            drawn += generator.sample(task.prompt, 4, seed=seed, first=len(drawn))
            verdicts = task.verifier.check(drawn)
            passed = [s for s, v in zip(drawn, verdicts, strict=True) if v.passed]
            if passed:
                return Outcome(passed[0], drawn, Stop.PASSED)
        return Outcome(drawn[-1], drawn, Stop.COMPLETE)


def attempt(ledger, path, pause=0.0, **options):
    tasks = [Task(f"t{i}", PaidCheck(path)) for i in range(TASKS)]
    return solve(tasks, Paid(path, pause), TwoRounds(), ledger=ledger, run_id="run", **options)


if __name__ == "__main__":
    print("imported", flush=True)
    from paid import attempt as again  # so that classes are named as an importing test names them

    again(Ledger(sys.argv[1]), sys.argv[2], float(sys.argv[3]), seed=int(sys.argv[4]))
