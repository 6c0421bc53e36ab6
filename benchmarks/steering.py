"""What steering costs: compiling a schema, a mask per token, and its share of a decode step.

    python benchmarks/steering.py --json

Real JSON Schemas (two of each part of JSONSchemaBench where the data is there, four of our own
otherwise) on the embedded model's vocabulary. The model draws one document per schema; every way
then walks along that document's tokens: a mask before each token (what it costs to know what is
allowed), then the token. Compile times are of a second vocabulary use: what a vocabulary costs once
is not counted. A peer that refuses a schema, takes more than 30 s over it, or forbids a token of
the document (it allows other white space) is counted at what it did until then.

The share: 16 draws of 48 tokens each, steered by a schema that never lets them end, against the
same draws free; milliseconds of wall time per step of the engine. A free draw that does end makes
the share look larger, not smaller.
"""

import argparse
import gzip
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from schema_engines import Engine, ours, outlines, xgrammar
from written import add_options, write

from genwright.core import GenwrightError
from genwright.generators.language.local import LocalLM
from genwright.generators.language.request import Request
from genwright.generators.language.sampling import Sampling
from genwright.steering.json_schema import JsonSchema

OWN: list[Any] = [
    {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 8},
    {
        "type": "object",
        "properties": {"kind": {"enum": ["bug", "wish"]}, "votes": {"type": "number"}},
        "required": ["kind", "votes"],
    },
    {
        "type": "object",
        "properties": {"tags": {"type": "array", "items": {"type": "string", "maxLength": 20}}},
        "required": ["tags"],
    },
]
ENDLESS = {"type": "array", "items": {"type": "string", "minLength": 20}, "minItems": 50}


def schemas() -> list[Any]:
    """Two schemas of each part of the benchmark, in file order."""
    home = os.environ.get("GENWRIGHT_DATA") or Path(__file__).parents[2] / "shared" / "data"
    path = Path(home) / "json" / "jsonschemabench.jsonl.gz"
    if not path.is_file():
        return OWN
    parts: dict[str, list[Any]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if len(parts.setdefault(row["split"], [])) < 2:
                parts[row["split"]].append(row["schema"])
    return [schema for part in parts.values() for schema in part]


def walk(engine: Engine, schema: Any, tokens: list[int]) -> tuple[float, list[float], bool]:
    """Return (seconds to compile, seconds of each mask, whether all tokens passed)."""
    began = time.perf_counter()
    walker = engine(schema)()
    compiled = time.perf_counter() - began
    seconds: list[float] = []
    for token in tokens:
        began = time.perf_counter()
        walker.mask()
        seconds.append(time.perf_counter() - began)
        if not walker.accept(token):
            return compiled, seconds, False
    return compiled, seconds, True


def documents(lm: LocalLM, size: int) -> Iterator[tuple[Any, list[int]]]:
    """Yield (schema, the tokens of a document that the model drew under it)."""
    for i, schema in enumerate(schemas()):
        try:
            steered = lm.steered(JsonSchema(schema=schema))
            draw = steered.sample(f"Write a JSON document, number {i}.", 1, seed=i)[0]
        except GenwrightError as error:
            print(f"schema {i}: {error}"[:120], file=sys.stderr)
            continue
        yield schema, draw.info["tokens"][:size]


def share(lm: LocalLM, new: int = 48, n: int = 16) -> dict[str, float]:
    """Milliseconds of a step at a batch of 16, steered and free."""
    loaded = lm._load()
    compiled = JsonSchema(schema=ENDLESS).compile(loaded.vocabulary)
    ids = loaded.tokenizer("Once upon a time, in a village between two rivers, there lived")[
        "input_ids"
    ]

    def steps(seed: int, constraints: tuple[Any, ...]) -> float:
        request = Request(
            prompt=ids,
            n=n,
            seed=seed,
            sampling=Sampling(temperature=0.8, max_new_tokens=new),
            constraints=constraints,
        )
        began = time.perf_counter()
        draws = [draw for _, draw in loaded.engine.submit(request)]
        spent = time.perf_counter() - began
        return 1000 * spent / max(d.cost.network_evaluations for d in draws)

    steps(0, ())
    steps(0, (compiled,))
    free = [steps(seed, ()) for seed in range(5)]
    steered = [steps(seed, (compiled,)) for seed in range(5)]
    found = {"free_ms": statistics.median(free), "steered_ms": statistics.median(steered)}
    return found | {"share_percent": 100 * (found["steered_ms"] / found["free_ms"] - 1)}


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Walk all documents every way, then time steps."""
    lm = LocalLM(max_new_tokens=args.tokens, threads=args.threads)
    engines = {"genwright": ours, "xgrammar": xgrammar, "outlines-core": outlines}
    ready = {name: make(lm.vocabulary) for name, make in engines.items()}
    pairs = list(documents(lm, args.tokens))
    rows = []
    for name, engine in ready.items():
        compiled, masks, through, refused = [], [], 0, 0
        for schema, tokens in pairs:
            try:
                seconds, each, whole = bounded(engine, schema, tokens)
            except Exception as error:  # a peer may raise anything
                print(f"{name}: {type(error).__name__}: {error}"[:150], file=sys.stderr)
                refused += 1
                continue
            compiled.append(seconds)
            masks += each
            through += whole
        rows.append(
            {
                "way": name,
                "schemas": len(pairs),
                "refused": refused,
                "walked_through": through,
                "masks": len(masks),
                "compile_ms_p50": 1e3 * float(np.quantile(compiled, 0.5)),
                "compile_ms_p99": 1e3 * float(np.quantile(compiled, 0.99)),
                "mask_us_p50": 1e6 * float(np.quantile(masks, 0.5)),
                "mask_us_p99": 1e6 * float(np.quantile(masks, 0.99)),
            }
        )
    return {"date": time.strftime("%Y-%m-%d"), "rows": rows, "batch_16": share(lm)}


def bounded(engine: Engine, schema: Any, tokens: list[int]) -> tuple[float, list[float], bool]:
    """Walk once in a child process that may take 30 s: an index may never be finished."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(30)
        try:
            answer = json.dumps(walk(engine, schema, tokens))
        except BaseException as error:
            answer = json.dumps(f"{type(error).__name__}: {error}"[:300])
        with os.fdopen(writer, "w") as end:
            end.write(answer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as end:
        answer = end.read()
    os.waitpid(child, 0)
    found = json.loads(answer or '"took more than 30 s"')
    if isinstance(found, str):
        raise RuntimeError(found)
    return found


def table(result: dict[str, Any]) -> str:
    """Return Markdown."""
    lines = [
        "| | schemas refused | documents walked | compile ms p50 | p99 | mask us p50 | p99 |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r['way']} | {r['refused']} of {r['schemas']} | {r['walked_through']} "
        f"({r['masks']} masks) | {r['compile_ms_p50']:.1f} | {r['compile_ms_p99']:.1f} "
        f"| {r['mask_us_p50']:.1f} | {r['mask_us_p99']:.0f} |"
        for r in result["rows"]
    ]
    step = result["batch_16"]
    lines.append(
        f"\nA step of 16 draws: {step['free_ms']:.1f} ms free, {step['steered_ms']:.1f} ms "
        f"steered: {step['share_percent']:.1f}% more."
    )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tokens", type=int, default=96, help="the most tokens of a document")
    parser.add_argument("--threads", type=int, default=2)
    add_options(parser)
    args = parser.parse_args()
    result = measure(args)
    write(args, "steering", result, table(result))


if __name__ == "__main__":
    main()
