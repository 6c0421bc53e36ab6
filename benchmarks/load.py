"""The server under load: what clients of every kind get, and what it costs the server's memory.

    python benchmarks/load.py --minutes 20 --clients 200

Starts `genwright serve` on loopback and keeps so many requests in flight through the official
client: chats of mixed length, half of them steered (a schema, an expression, a choice), half
streamed, a tenth left in mid-stream. A sample of the answers is asked for again afterwards, alone,
with the same seed, and must be the same text. At the end, while requests are still coming, the
server gets SIGTERM: what it had begun is answered, later ones are refused; started again under
load, it answers again. Told are lost and mixed-up answers, time to the first token, and memory by
the minute.
"""

import argparse
import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import openai
from written import add_options, write

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"enum": [1, 2, 3]}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
STEERING: list[dict[str, Any]] = [
    {"response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": SCHEMA}}},
    {"extra_body": {"guided_regex": "(yes|no), because [a-z ]{5,40}\\."}},
    {"extra_body": {"guided_choice": ["red", "green", "blue"]}},
]
WORDS = [
    "river",
    "stone",
    "winter",
    "bread",
    "engine",
    "letter",
    "garden",
    "music",
    "harbour",
    "window",
]


def request(seed: int) -> tuple[dict[str, Any], bool, bool]:
    """Return (what is asked for, whether it is streamed, whether it is left in mid-stream)."""
    chance = random.Random(seed)
    said = " ".join(chance.choices(WORDS, k=chance.choice([3, 10, 40, 120])))
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": f"Say something of {said}."}],
        "seed": seed,
        "max_tokens": chance.choice([4, 8, 16, 48]),
        "temperature": chance.choice([0.0, 0.8, 1.0]),
    }
    if chance.random() < 0.5:
        body |= chance.choice(STEERING)
    left = chance.random() < 0.1
    return body, left or chance.random() < 0.5, left


async def ask(client: openai.AsyncOpenAI, model: str, seed: int, told: Counter[str]) -> Any:
    """Ask once; return (text, seconds to the first token, finish reason), or None for one left."""
    body, streamed, left = request(seed)
    start = time.perf_counter()
    if not streamed:
        answer = await client.chat.completions.create(model=model, **body)
        told["answered"] += 1
        (choice,) = answer.choices
        return choice.message.content, None, choice.finish_reason
    text, first, reason = "", None, None
    stream = await client.chat.completions.create(model=model, stream=True, **body)
    async with stream:
        async for chunk in stream:
            for choice in chunk.choices:
                if choice.delta.content:
                    first = first or time.perf_counter() - start
                    text += choice.delta.content
                reason = choice.finish_reason or reason
            if left and text:
                told["left"] += 1
                return None
    told["answered"] += 1
    return text, first, reason


class Server:
    """`genwright serve` in a process of its own."""

    def __init__(self, dtype: str, port: int = 0) -> None:
        self.dtype = dtype
        line = [sys.executable, "-m", "genwright", "serve", "--port", str(port), "--dtype", dtype]
        environment = {k: v for k, v in os.environ.items() if k != "GENWRIGHT_API_KEY"}
        self.process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if " at http://" not in said:
            raise SystemExit(said + self.process.stdout.read())
        self.url = said.split(" at ")[1].strip()
        self.port = int(self.url.split(":")[2].split("/")[0])

    def memory(self) -> float:
        """Return the resident memory in MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def load(server: Server, minutes: float, clients: int) -> dict[str, Any]:
    """Keep so many requests in flight for so long; then compare, stop and start again."""
    told: Counter[str] = Counter()
    answers: dict[int, Any] = {}
    firsts: list[float] = []
    memory: list[float] = []
    seeds = iter(range(10**9))
    limits = httpx.Limits(max_connections=clients + 10)
    http = httpx.AsyncClient(limits=limits, timeout=600)
    client = openai.AsyncOpenAI(
        base_url=server.url, api_key="none", http_client=http, max_retries=0, timeout=600
    )
    model = (await client.models.list()).data[0].id
    ending = asyncio.Event()

    async def worker() -> None:
        while not ending.is_set():
            seed = next(seeds)
            try:
                answer = await ask(client, model, seed, told)
            except openai.RateLimitError:
                told["429"] += 1
                await asyncio.sleep(1)
                continue
            except openai.APIError as error:
                told[f"{type(error).__name__} {'after SIGTERM' if ending.is_set() else ''}"] += 1
                continue
            if answer is not None:
                answers[seed] = answer
                if answer[1] is not None:
                    firsts.append(answer[1])

    begun = time.monotonic()
    workers = [asyncio.create_task(worker()) for _ in range(clients)]
    while time.monotonic() - begun < 60 * minutes:
        await asyncio.sleep(min(60, 60 * minutes / 4))
        memory.append(server.memory())
        print(
            f"{time.monotonic() - begun:.0f} s: {dict(told)}, {memory[-1]:.0f} MB", file=sys.stderr
        )
    served = len(answers)
    ending.set()
    await asyncio.gather(*workers)
    sample = random.Random(0).sample(sorted(answers), min(100, len(answers)))
    mixed = 0
    for seed in sample:
        again = await ask(client, model, seed, Counter())
        mixed += (again[0], again[2]) != (answers[seed][0], answers[seed][2])
    drained = await drain(server, client, model)
    await http.aclose()
    cut = statistics.quantiles(firsts, n=100) if len(firsts) > 1 else [0.0] * 99
    return {
        "minutes": minutes, "clients": clients, "dtype": server.dtype, "answers": served,
        "told": dict(told),
        "compared": len(sample), "mixed_up": mixed,
        "first_token_s": {"p50": cut[49], "p90": cut[89], "p99": cut[98]},
        "memory_mb": [round(m) for m in memory], **drained,
    }  # fmt: skip


async def drain(server: Server, client: openai.AsyncOpenAI, model: str) -> dict[str, Any]:
    """Stop the server with requests in flight, start it again, and ask once more."""
    told: Counter[str] = Counter()

    async def one(seed: int) -> str:
        try:
            await ask(client, model, seed, told)
        except openai.APIError as error:
            return type(error).__name__
        return "answered"

    asked = [asyncio.create_task(one(10**8 + i)) for i in range(24)]
    await asyncio.sleep(2)
    server.process.send_signal(signal.SIGTERM)
    late = [asyncio.create_task(one(2 * 10**8 + i)) for i in range(4)]
    first, then = await asyncio.gather(*asked), await asyncio.gather(*late)
    code = server.process.wait(600)
    again = Server(server.dtype, server.port)
    after = await asyncio.gather(*(one(3 * 10**8 + i) for i in range(8)))
    again.process.send_signal(signal.SIGTERM)
    again.process.wait(600)
    return {
        "in_flight_at_sigterm": dict(Counter(first)), "after_sigterm": dict(Counter(then)),
        "exit_code": code, "after_restart": dict(Counter(after)),
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """Return the results as lines of a Markdown table."""
    rows = {name: value for name, value in result.items() if name not in ("told",)}
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    return "\n".join([*lines, f"| events | {result['told']} |"]) + "\n"


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument(
        "--dtype", default="float32", help="lower ones round otherwise in other company"
    )
    add_options(parser)
    args = parser.parse_args()
    server = Server(args.dtype)
    try:
        result = asyncio.run(load(server, args.minutes, args.clients))
    finally:
        server.process.kill()
    write(args, "load", result, table(result))


if __name__ == "__main__":
    main()
