"""Which JSON Schemas an engine takes, and whether draws are then held to no more and no less.

    python benchmarks/schemas.py --schemas 25 --json

On the embedded model's vocabulary: llguidance, XGrammar and outlines-core as they are, and
genwright as it is used: `JsonSchema(on_unsupported="relax")` while drawing, `JsonSchemaValid` on
what was drawn. Every document is replayed token by token. *Over*: an invalid document goes
through. *Under*: a valid one does not. A schema is *right* if it compiles within the limits and is
neither.

Documents come from the JSON Schema Test Suite and from SchemaStore, which say what is valid. For
JSONSchemaBench, which has none, the library jsf draws some without any engine's help; those that a
validator accepts are the valid ones, and small changes of them that it rejects the invalid ones.
Keys stand in the schema's order, which llguidance wants; other orders are no fault of a document.

Every schema and engine has a process of its own, with limits of processor time and memory: native
code hears no alarm. Times are wall time, on a vocabulary that the engine knows already.
"""

import argparse
import gzip
import json
import os
import random
import re
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from schema_engines import Engine, ours, outlines, xgrammar
from transformers import AutoTokenizer
from written import add_options, write

from genwright.core import Samples
from genwright.generators.language.embedded import EMBEDDED, resolve
from genwright.generators.language.tokens import vocabulary
from genwright.verifiers.json_schema import JsonSchemaValid

GIBIBYTES = 4
LONGEST = 600
"""Longer documents, in tokens, are left out."""


class Case(NamedTuple):
    """A schema with documents, each with whether it is valid."""

    part: str
    schema: Any
    documents: list[tuple[Any, bool]]


def rows(name: str) -> list[dict[str, Any]]:
    """Read one of the data files."""
    home = os.environ.get("GENWRIGHT_DATA") or Path(__file__).parents[2] / "shared" / "data"
    with gzip.open(Path(home) / "json" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def cases(most: int, seconds: float) -> list[Case]:
    """Return at most so many schemas of each part, spread evenly over it."""
    found: dict[str, list[Case]] = {}
    for row in rows("schemastore_instances"):
        kinds = (("valid", True), ("invalid", False))
        judged = [(told["document"], valid) for name, valid in kinds for told in row[name]]
        found.setdefault("SchemaStore", []).append(Case("SchemaStore", row["schema"], judged))
    for draft in ("draft2020-12", "draft7"):
        for row in rows(f"test_suite_{draft}"):
            judged = [(test["data"], test["valid"]) for test in row["tests"]]
            found.setdefault(draft, []).append(Case(draft, row["schema"], judged))
    bench: dict[str, list[Any]] = {}
    for row in rows("jsonschemabench"):
        bench.setdefault(row["split"], []).append(row["schema"])
    chosen = [case for part in found.values() for case in spread(part, most)]
    for part, schemas in bench.items():
        for number, schema in enumerate(spread(schemas, most)):
            made = apart(lambda s=schema, n=number: documents(s, n), seconds)
            if isinstance(made, list):
                chosen.append(Case(part, schema, [(d, bool(v)) for d, v in made]))
            else:
                print(f"{part} {number}: no documents: {made}", file=sys.stderr)
                chosen.append(Case(part, schema, []))
    return chosen


def spread(items: Sequence[Any], most: int) -> list[Any]:
    """Return at most so many items, at equal distances."""
    if len(items) <= most:
        return list(items)
    return [items[i * len(items) // most] for i in range(most)]


def documents(schema: Any, seed: int) -> list[tuple[Any, bool]]:
    """Draw valid documents of a schema, and break them until a validator says so."""
    from jsf import JSF

    warnings.simplefilter("ignore")
    random.seed(seed)
    rng, valid = random.Random(seed), list[Any]()
    maker = JSF(schema)
    for _ in range(12):
        document = maker.generate()
        short = len(json.dumps(document)) < 1500
        if short and document not in valid and passes(schema, document):
            valid.append(document)
    valid = sorted(valid, key=lambda d: len(json.dumps(d)))[-3:]
    broken = [changed(document, rng) for document in valid for _ in range(8)]
    invalid = [d for d in broken if not passes(schema, d)]
    return [(d, True) for d in valid] + [(d, False) for d in spread(invalid, 3)]


def passes(schema: Any, document: Any) -> bool:
    """Ask genwright's verifier."""
    text = json.dumps(document, ensure_ascii=False)
    return JsonSchemaValid(schema=schema).check(Samples([text]))[0].passed is True


def changed(document: Any, rng: random.Random) -> Any:
    """Change one place: drop or add a key, or put something else there."""
    if isinstance(document, dict) and document and rng.random() < 0.8:
        copy = dict(document)
        key = rng.choice(list(copy))
        if rng.random() < 0.3:
            del copy[key]
        else:
            copy[key] = changed(copy[key], rng)
        return copy
    if isinstance(document, list) and document and rng.random() < 0.8:
        place = rng.randrange(len(document))
        return [changed(d, rng) if i == place else d for i, d in enumerate(document)]
    if isinstance(document, dict) and rng.random() < 0.5:
        return {**document, "unheard of": 1}
    others: list[Any] = [None, True, -1, 1.5, 10**9, "", "x" * 40, [], [[]], {}, {"a": None}]
    return rng.choice(others)


def ordered(document: Any, schemas: Sequence[Any], root: Any) -> Any:
    """Put keys into the order in which the schemas that hold for a document declare them."""
    views = [view for schema in schemas for view in holding(document, schema, root)]
    if isinstance(document, dict):
        declared = [key for view in views for key in mapping(view, "properties")]
        keys = [key for key in dict.fromkeys([*declared, *document]) if key in document]
        return {
            k: ordered(document[k], [s for v in views for s in under(v, k)], root) for k in keys
        }
    if isinstance(document, list):
        return [
            ordered(item, [s for v in views for s in at(v, i)], root)
            for i, item in enumerate(document)
        ]
    return document


def holding(document: Any, schema: Any, root: Any, seen: int = 0) -> list[dict[str, Any]]:
    """Return what a schema says of a document: itself, what it refers to, and branches that fit."""
    if not isinstance(schema, dict) or seen > 12:
        return []
    found, further = [schema], list[Any]()
    if isinstance(reference := schema.get("$ref"), str):
        further.append(pointed(root, reference))
    further += schema["allOf"] if isinstance(schema.get("allOf"), list) else []
    for name in ("anyOf", "oneOf"):
        branches = schema[name] if isinstance(schema.get(name), list) else []
        further += [branch for branch in branches if fits(branch, document, root)][:1]
    if "if" in schema:
        further.append(schema.get("then" if fits(schema["if"], document, root) else "else"))
    return found + [view for s in further for view in holding(document, s, root, seen + 1)]


def fits(branch: Any, document: Any, root: Any) -> bool:
    """Whether one branch of a schema takes a document."""
    around = root if isinstance(root, dict) else {}
    known = {name: around[name] for name in ("$schema", "$defs", "definitions") if name in around}
    return not isinstance(branch, dict) or passes({**known, **branch}, document)


def under(view: dict[str, Any], key: str) -> list[Any]:
    """Return what a schema says of the value of a key."""
    found = [mapping(view, "properties")[key]] if key in mapping(view, "properties") else []
    found += [s for p, s in mapping(view, "patternProperties").items() if matches(p, key)]
    return found or [view.get("additionalProperties")]


def at(view: dict[str, Any], place: int) -> list[Any]:
    """Return what a schema says of an item of a list."""
    first = view.get("prefixItems", view["items"] if isinstance(view.get("items"), list) else [])
    if place < len(first):
        return [first[place]]
    return [view.get("additionalItems" if isinstance(view.get("items"), list) else "items")]


def mapping(view: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a keyword whose value maps names to schemas."""
    found = view.get(name)
    return found if isinstance(found, dict) else {}


def matches(pattern: str, key: str) -> bool:
    """Whether a pattern occurs in a key; one that Python cannot read does not."""
    try:
        return re.search(pattern, key) is not None
    except re.error:
        return False


def pointed(root: Any, reference: str) -> Any:
    """Follow a pointer within the document; None where it leads elsewhere."""
    place = root if reference.startswith("#") else None
    for part in reference.lstrip("#").split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        place = place.get(part) if isinstance(place, dict) else None
    return place


def judged(
    engine: Engine, schema: Any, texts: list[tuple[Any, list[int], bool]], *, checked: bool
) -> dict[str, Any]:
    """Compile and replay (document, its tokens, whether it is valid).

    Args:
        engine: compiles the schema.
        schema: of the documents.
        texts: what to replay.
        checked: whether a verifier has the last word.
    """
    began = time.perf_counter()
    start = engine(schema)
    start().mask()
    found: dict[str, Any] = {"compile_s": time.perf_counter() - began, "over": 0, "under": 0}
    masks: list[float] = []
    for document, tokens, valid in texts:
        walker, through = start(), True
        for token in tokens:
            began = time.perf_counter()
            walker.mask()
            masks.append(time.perf_counter() - began)
            if not (through := walker.accept(token)):
                break
        through = through and walker.finished() and (not checked or passes(schema, document))
        found["over"] += through and not valid
        found["under"] += valid and not through
    return found | {"masks": masks}


def apart(work: Callable[[], Any], seconds: float) -> Any:
    """Return what `work` returns, by JSON, from a child with limits; a string says what failed."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        here = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (here + (GIBIBYTES << 30),) * 2)
        used = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (round(used + seconds),) * 2)
        os.close(reader)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            answer = json.dumps(work())
        except BaseException as error:
            answer = json.dumps(f"{type(error).__name__}: {error}"[:300])
        with os.fdopen(writer, "w") as end:
            end.write(answer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as end:
        answer = end.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
        return "too late"
    return json.loads(answer) if answer else "it died"


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Judge every engine on every case."""
    folder = resolve(EMBEDDED)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = vocabulary(tokenizer, len(tokenizer), frozenset({tokenizer.eos_token_id}), folder)
    engines: dict[str, Engine] = {
        "genwright": ours(words, on_unsupported="relax", whitespace="flexible"),
        "llguidance": ours(words, engine="llguidance", whitespace="flexible"),
        "xgrammar": xgrammar(words),
        "outlines-core": outlines(words),
    }
    for engine in engines.values():
        engine({"type": "integer"})
    table: list[dict[str, Any]] = []
    every = cases(args.schemas, args.seconds)
    for number, case in enumerate(every):
        texts = []
        for document, valid in case.documents:
            own = ordered(document, [case.schema], case.schema)
            text = json.dumps(own, ensure_ascii=False, separators=(",", ":"))
            tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
            if len(tokens) <= LONGEST:
                texts.append((document, tokens, valid))
        for name, engine in engines.items():
            replay = partial(judged, engine, case.schema, texts, checked=name == "genwright")
            found = apart(replay, args.seconds)
            row = {"engine": name, "part": case.part}
            if isinstance(found, str):
                late = found == "too late"
                row |= {"late": late, "refused": not late}
            else:
                row |= found
            table.append(row)
        if number % 20 == 19:
            print(f"{number + 1} of {len(every)} schemas", file=sys.stderr)
    packages = ("llguidance", "xgrammar", "outlines-core", "jsf")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "seconds": args.seconds,
        "versions": {name: version(name) for name in packages},
        "rows": [summary(table, name, part) for part, name in groups(table)],
        "times": [times(table, name) for name in engines],
    }


def groups(table: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return every (part, engine), and `all` of each engine."""
    return [*dict.fromkeys((r["part"], r["engine"]) for r in table)] + [
        ("all", name) for name in dict.fromkeys(r["engine"] for r in table)
    ]


def summary(table: list[dict[str, Any]], engine: str, part: str) -> dict[str, Any]:
    """Count the schemas of one part for one engine."""
    mine = [r for r in table if r["engine"] == engine and part in ("all", r["part"])]
    taken = [r for r in mine if "over" in r]
    return {
        "part": part,
        "engine": engine,
        "schemas": len(mine),
        "right": sum(not r["over"] and not r["under"] for r in taken),
        "refused": sum(r.get("refused", False) for r in mine),
        "late": sum(r.get("late", False) for r in mine),
        "over": sum(r["over"] > 0 for r in taken),
        "under": sum(r["under"] > 0 for r in taken),
    }


def times(table: list[dict[str, Any]], engine: str) -> dict[str, Any]:
    """Return quantiles of compile times (with the first mask) and of masks."""
    taken = [r for r in table if r["engine"] == engine and "over" in r]
    compiled = [r["compile_s"] for r in taken]
    masks = [m for r in taken for m in r["masks"]]
    return {
        "engine": engine,
        **{f"compile_ms_p{q}": 1e3 * float(np.quantile(compiled, q / 100)) for q in (50, 90, 99)},
        **{f"mask_us_p{q}": 1e6 * float(np.quantile(masks, q / 100)) for q in (50, 99)},
    }


def markdown(result: dict[str, Any]) -> str:
    """Return two tables."""
    engines = [row["engine"] for row in result["times"]]
    share = {(r["part"], r["engine"]): r for r in result["rows"]}
    parts = list(dict.fromkeys(r["part"] for r in result["rows"]))
    lines = [f"| right | schemas | {' | '.join(engines)} |", "|---|---:|" + "---:|" * len(engines)]
    for part in parts:
        size = share[part, engines[0]]["schemas"]
        cells = [f"{share[part, e]['right'] / size:.1%}" for e in engines]
        lines.append(f"| {part} | {size} | {' | '.join(cells)} |")
    heads = ("refused", "late", "over", "under")
    lines += [
        "",
        f"| all parts | {' | '.join(heads)} | compile ms p50, p90, p99 | mask us p50, p99 |",
    ]
    lines.append("|---|" + "---:|" * (len(heads) + 2))
    for row in result["times"]:
        counts = " | ".join(str(share["all", row["engine"]][head]) for head in heads)
        compiled = ", ".join(f"{row[f'compile_ms_p{q}']:,.1f}" for q in (50, 90, 99))
        masks = ", ".join(f"{row[f'mask_us_p{q}']:,.1f}" for q in (50, 99))
        lines.append(f"| {row['engine']} | {counts} | {compiled} | {masks} |")
    known = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    lines += ["", f"Versions: {known}. Limits: {result['seconds']:g} s, {GIBIBYTES} GiB."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--schemas", type=int, default=10_000, help="the most of each part")
    parser.add_argument("--seconds", type=float, default=15.0, help="processor time for one schema")
    add_options(parser)
    args = parser.parse_args()
    result = measure(args)
    write(args, "schemas", result, markdown(result))


if __name__ == "__main__":
    main()
