"""Many requests at once: none lost, none mixed up, slots freed, over-long queues refused.

Answers are compared with the same requests made alone, in float32 and with fixed seeds. With 20
tokens kept, rounding changes a draw only where its number lies within about 1e-6 of a border.
"""

import json
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families
from waiting import until

from genwright.serving.service import Limits

LONG = {"model": "tiny", "messages": [{"role": "user", "content": "Go on."}], "max_tokens": 450}


def metric(http, name, **labels):
    """Return the sum of the samples of a metric."""
    families = text_string_to_metric_families(http.get("/metrics").text)
    samples = [s for family in families for s in family.samples if s.name == name]
    return sum(s.value for s in samples if labels.items() <= s.labels.items())


def send(url, body):
    """Send a request on a socket of our own, which can be dropped at any time."""
    where = urlsplit(url)
    data = json.dumps(body).encode()
    made = socket.create_connection((where.hostname, where.port), timeout=300)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n"
    made.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + data)
    return made


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_frees_its_slots(server, http, stream):
    until(lambda: http.get("/health").json()["slots_used"] == 0)
    before = metric(http, "genwright_cancelled_total")
    written = metric(http, "genwright_tokens_total", kind="completion")
    with closing(send(server, LONG | {"stream": stream, "n": 12})) as connection:
        until(lambda: metric(http, "genwright_slots_used") == 12)
        if stream:
            assert b"200 OK" in connection.recv(100)
    until(lambda: metric(http, "genwright_slots_used") == 0)
    until(lambda: metric(http, "genwright_cancelled_total") == before + 1)
    assert metric(http, "genwright_tokens_total", kind="completion") == written


def test_the_official_client_frees_its_slot_by_closing_a_stream(client, http):
    with client.chat.completions.create(**LONG, stream=True) as stream:
        next(iter(stream))
        assert metric(http, "genwright_slots_used") == 1
    until(lambda: metric(http, "genwright_slots_used") == 0)


def test_a_client_that_does_not_read_holds_nobody_up(server, client):
    """Its small receive buffer fills; the server's own memory of it is bounded by max_tokens."""
    with closing(send(server, LONG | {"stream": True, "n": 8})):
        began = time.monotonic()
        client.chat.completions.create(**LONG | {"max_tokens": 5})
        assert time.monotonic() - began < 60


def test_an_over_long_queue_is_429_with_the_time_to_wait(tiny, serving):
    with (
        serving(tiny, name="tiny", limits=Limits(queue=4)) as url,
        httpx.Client(base_url=url, timeout=300) as http,
        openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client,
    ):
        with closing(send(url, LONG | {"n": 16})), closing(send(url, LONG | {"n": 3})):
            until(lambda: http.get("/health").json()["queue"] == 3)
            assert metric(http, "genwright_queue_length") == 3
            with pytest.raises(openai.RateLimitError) as caught:
                client.chat.completions.create(**LONG | {"n": 2})
            assert int(caught.value.response.headers["Retry-After"]) >= 1
            assert caught.value.code == "queue_full"
            assert "at most 4" in caught.value.body["message"]
            assert metric(http, "genwright_errors_total", status="429") == 1
        until(lambda: metric(http, "genwright_slots_used") == 0)
        patient = client.with_options(max_retries=2)
        assert len(patient.chat.completions.create(**LONG | {"n": 2, "max_tokens": 3}).choices) == 2


def mixed(seed):
    """Return a request of some kind: short, long, many draws, streamed, steered, with a stop."""
    chance = random.Random(seed)
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": f"Say {chance.randrange(4)}"}],
        "seed": seed,
        "max_tokens": chance.randrange(1, 20),
        "n": chance.choice([1, 1, 2]),
        "temperature": chance.choice([0.0, 0.7, 1.0]),
    }
    steering = [{"guided_regex": "[a-c]{4,9}"}, {"guided_choice": ["red", "green"]}]
    if chance.random() < 0.5:
        body |= chance.choice(steering)
    return body, chance.random() < 0.5


def texts(http, body, stream):
    """Return the choices' texts, put together from a stream or not."""
    if not stream:
        answer = http.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text
        return [c["message"]["content"] for c in answer.json()["choices"]]
    found, ended = [""] * body["n"], False
    with http.stream("POST", "/v1/chat/completions", json=body | {"stream": True}) as answer:
        for line in answer.iter_lines():
            ended = ended or line == "data: [DONE]"
            if line.startswith("data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    found[choice["index"]] += choice["delta"].get("content", "")
    assert ended
    return found


def test_forty_mixed_requests_at_once_are_answered_as_if_alone(server):
    with httpx.Client(
        base_url=server, timeout=300, limits=httpx.Limits(max_connections=60)
    ) as http:
        alone = {seed: texts(http, mixed(seed)[0], False) for seed in range(36)}
        barrier = threading.Barrier(40)

        def one(seed):
            barrier.wait()
            if seed >= 36:  # a tenth goes away in mid-stream
                with closing(send(server, LONG | {"stream": True, "seed": seed})) as connection:
                    connection.recv(2000)
                return None
            return texts(http, *mixed(seed))

        with ThreadPoolExecutor(40) as pool:
            together = list(pool.map(one, range(40)))
        assert together[:36] == [alone[seed] for seed in range(36)]
        assert len({str(answer) for answer in together[:36]}) > 20
        until(lambda: http.get("/health").json()["slots_used"] == 0)


def test_metrics_count_what_happened(tiny, serving):
    with serving(tiny, name="tiny") as url, httpx.Client(base_url=url, timeout=300) as http:
        body = LONG | {"max_tokens": 6, "seed": 1, "n": 2}
        usage = http.post("/v1/chat/completions", json=body).json()["usage"]
        http.post("/v1/chat/completions", json=body | {"n": 0})
        http.get("/somewhere/else")
        chat = {"path": "/v1/chat/completions"}
        assert metric(http, "genwright_requests_total", **chat, status="200") == 1
        assert metric(http, "genwright_requests_total", **chat, status="400") == 1
        assert metric(http, "genwright_requests_total", path="other", status="404") == 1
        assert metric(http, "genwright_errors_total") == 2
        assert metric(http, "genwright_tokens_total", kind="prompt") == usage["prompt_tokens"]
        written = usage["completion_tokens"]
        assert metric(http, "genwright_tokens_total", kind="completion") == written
        assert metric(http, "genwright_time_to_first_token_seconds_count") == 1
        assert metric(http, "genwright_time_between_tokens_seconds_count") == written - 2
        assert metric(http, "genwright_slots") == 16
        assert metric(http, "genwright_cancelled_total") == 0
