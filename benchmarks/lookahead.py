"""Speed of lookahead over plain decoding, beside the prompt lookup of `transformers`.

    python benchmarks/lookahead.py --work quote,chat,json,free --groups 3 --threads 1

SmolLM2 quotes a text, answers in a chat, answers as JSON under a schema (ours alone), and continues
WikiText. For each contender the ratio is tokens a second with its guesses over tokens a second of
the same code without, after a warm-up on other prompts, draw by draw in alternating order: the
median over groups of eight prompts. Reading the prompt does not count: ours finds it read, and
`generate` is timed with one new token, which is taken off. `--clock cpu` counts processor seconds,
for a machine that others use. With `--batch 8` eight draws run together (ours alone).

Results go to `benchmarks/results/lookahead.json`.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
GROUP = 8
Decode = Callable[[list[str]], tuple[int, float, int]]
"""Draws for some prompts -> (tokens made, seconds, evaluations of the network)."""


def compare(prompts: list[str], plain: Decode, fast: Decode, together: int) -> dict[str, Any]:
    """Return the ratio of speeds, group by group, both speeds, and tokens for each evaluation."""
    ratios: list[float] = []
    speeds: list[list[float]] = []
    tokens = evaluations = 0
    for group in range(0, len(prompts), GROUP):
        sums = {plain: [0, 0.0], fast: [0, 0.0]}
        for i in range(group, group + GROUP, together):
            for way in (plain, fast) if i // together % 2 else (fast, plain):
                made, seconds, steps = way(prompts[i : i + together])
                sums[way][0] += made
                sums[way][1] += seconds
                if way is fast:
                    tokens, evaluations = tokens + made, evaluations + steps
        rates = [sums[way][0] / sums[way][1] for way in (plain, fast)]
        ratios.append(rates[1] / rates[0])
        speeds.append(rates)
    return {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "plain_tokens_per_s": statistics.median(rates[0] for rates in speeds),
        "tokens_per_s": statistics.median(rates[1] for rates in speeds),
        "edls": tokens / evaluations if evaluations else None,
    }


def ours(name: str, args: argparse.Namespace, clock: Callable[[], float]) -> dict[str, Any]:
    """Lookahead on the engine."""
    from genwright.claims.lookahead import NEW, draw_together, work
    from genwright.generators.language.local import LocalLM
    from genwright.generators.language.lookahead import Lookahead

    made = work(name, 0)
    settings = {"temperature": args.temperature, "dtype": args.dtype, "max_new_tokens": NEW}
    plain = LocalLM(**settings, **made.settings)
    fast = replace(plain, drafts=Lookahead())
    read = replace(plain, max_new_tokens=1, constraints=())

    def decode(lm: LocalLM, prompts: list[str]) -> tuple[int, float, int]:
        draw_together(read, prompts, 0)
        began = clock()
        draws = draw_together(lm, prompts, 0)
        seconds = clock() - began
        steps = sum(draw.cost.network_evaluations for draw in draws)
        return sum(len(draw.info["tokens"]) for draw in draws), seconds, steps

    test = list(made.prompts[: args.groups * GROUP])
    draw_together(fast, list(made.prompts[len(test) : len(test) + args.warm]), 0)
    ways = [lambda prompts, lm=lm: decode(lm, prompts) for lm in (plain, fast)]
    return compare(test, *ways, args.batch)


def lookup(name: str, args: argparse.Namespace, clock: Callable[[], float]) -> dict[str, Any]:
    """Prompt lookup of `transformers`, at the better of 5 and 10 tokens."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from genwright.claims.lookahead import NEW, work
    from genwright.generators.language.embedded import EMBEDDED, resolve
    from genwright.generators.language.loading import best_dtype
    from genwright.generators.language.local import LocalLM

    made = work(name, 0)
    read = LocalLM(chat=made.settings.get("chat", True))
    folder = resolve(EMBEDDED)
    dtype = best_dtype() if args.dtype == "auto" else args.dtype
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    sampled = {"do_sample": args.temperature > 0, "temperature": args.temperature or None}
    stop = list(made.settings.get("stop", ()))
    if stop:
        sampled |= {"stop_strings": stop, "tokenizer": AutoTokenizer.from_pretrained(folder)}
    torch.manual_seed(0)

    def timed(ids: Any, **more: Any) -> tuple[int, float]:
        began = clock()
        found = model.generate(
            ids, attention_mask=torch.ones_like(ids), pad_token_id=0, top_p=None, **sampled, **more
        )
        return found.shape[1] - ids.shape[1], clock() - began

    def decode(prompts: list[str], **more: Any) -> tuple[int, float, int]:
        ids = torch.tensor([read.encode(prompts[0])])
        reading = timed(ids, max_new_tokens=1)[1]
        tokens, seconds = timed(ids, max_new_tokens=NEW, **more)
        return tokens, max(seconds - reading, 1e-6), 0

    test = list(made.prompts[: args.groups * GROUP])
    decode(test)  # warm-up
    best: dict[str, Any] = {}
    for size in (5, 10):
        found = compare(
            test, decode, lambda p, n=size: decode(p, prompt_lookup_num_tokens=n), together=1
        )
        best = max(best, found | {"setting": f"{size} tokens"}, key=lambda f: f.get("ratio", 0.0))
    return best


def measure(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one row for each work and contender."""
    clock = time.process_time if args.clock == "cpu" else time.perf_counter
    for name in args.work.split(","):
        for contender in (ours, lookup):
            if contender is lookup and (name == "json" or args.batch > 1 or not args.peer):
                continue
            found = contender(name, args, clock)
            yield {"work": name, "contender": contender.__name__, **found}


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", default="quote,chat,json,free", help="by commas")
    parser.add_argument("--groups", type=int, default=3, help="of eight prompts")
    parser.add_argument("--warm", type=int, default=100, help="answers that the trie holds before")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, choices=(1, 2, 4, 8), default=1)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where results go")
    parser.add_argument("--peer", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != str(args.threads):  # read when torch is first loaded
        os.environ["OMP_NUM_THREADS"] = str(args.threads)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    rows = []
    for row in measure(args):
        rows.append(row)
        print(json.dumps(row), flush=True)
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "lookahead.json").write_text(
        json.dumps([vars(args), *rows], indent=1, default=str) + "\n"
    )


if __name__ == "__main__":
    main()
