"""Our selectors of programs beside the published code, on the same random pass matrices.

`--peer` is a checkout of ZJU-CTAG/B4, whose `strategy.py` is run as it is. Scores are compared
relative to their size, and the groups that share the top.
"""

import argparse
import json
import runpy
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from genwright.search.b4 import B4, CodeT, MaxPass, MBRExec

PRIORS = ((2.0, 10.0), (10.0, 10.0), (1e3, 1e4), (1e3, 1e6))
"""alpha_xy and beta_0."""


def best(scored: Iterable[tuple[Iterable[int], float]]) -> set[int]:
    """Return the programs that share the highest score."""
    found = list(scored)
    top = max(score for _, score in found)
    return {program for programs, score in found if score == top for program in programs}


def main() -> None:
    """Compare, and print one object."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", type=Path, required=True, help="a checkout of ZJU-CTAG/B4")
    parser.add_argument("--matrices", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not (args.peer / "strategy.py").is_file():
        raise SystemExit(f"{args.peer} holds no strategy.py: give a checkout of ZJU-CTAG/B4.")
    theirs = runpy.run_path(str(args.peer / "strategy.py"))
    rng = np.random.default_rng(args.seed)
    same = dict.fromkeys(("b4", "codet", "mbr_exec", "max_pass"), 0)
    difference = 0.0
    for number in range(args.matrices):
        shape = int(rng.integers(1, 12)), int(rng.integers(1, 31))
        passes = (rng.random(shape) < rng.random()).astype(int)
        alpha, beta = PRIORS[number % len(PRIORS)]
        pairs = {
            "b4": (theirs["B4"](passes, beta, alpha), B4(alpha_xy=alpha, beta_0=beta)),
            "codet": (theirs["CodeT"](passes), CodeT()),
            "mbr_exec": (theirs["MBR_exec"](passes), MBRExec()),
            "max_pass": (theirs["MaxPass"](passes), MaxPass()),
        }
        for name, (known, selector) in pairs.items():
            groups = selector.select(passes)
            same[name] += best(known) == best((g.programs, g.score) for g in groups)
            if name == "b4":
                scores = {tuple(sorted(g.programs)): g.score for g in groups}
                for programs, score in known:
                    off = abs(scores[tuple(programs)] - score) / max(1.0, abs(score))
                    difference = max(difference, float(off))
    print(json.dumps({"matrices": args.matrices, "same_choice": same, "b4_off": difference}))


if __name__ == "__main__":
    main()
