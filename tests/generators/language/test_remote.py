"""RemoteLM against real sockets: what it sends, what it makes of answers, and how it fails."""

import json
import logging
import socket
import time
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.core import (
    ConstraintError,
    Cost,
    EndpointError,
    Generator,
    InvalidArgument,
    ModelNotFound,
    Steerable,
    StreamingGenerator,
    UserError,
    build,
    child_seed,
    describe,
)
from genwright.generators.language.remote import RemoteLM
from genwright.testing import Fault, Reply, ScriptedEndpoint

KEY = "sk-0123456789abcdef"


def remote(url, **settings):
    return RemoteLM(base_url=url, model="scripted", **({"backoff": 0.001} | settings))


def by_seed(body):
    return f"draw {body['seed'] % 1000}"


def test_it_is_a_streaming_steerable_generator_that_a_task_file_can_name():
    model = remote("http://localhost:1/v1")
    for protocol in (Generator, StreamingGenerator, Steerable):
        assert isinstance(model, protocol)
    assert build("generator", describe(model)) == model
    assert describe(model)["method"] == "remote_lm"


def test_every_draw_is_a_request_with_its_own_seed():
    endpoint = ScriptedEndpoint(by_seed)
    with endpoint as url:
        model = remote(url, temperature=0.7, top_p=0.9, max_new_tokens=5, stop=("\n",))
        drawn = model.sample("hello", 3, seed=4, first=2)
    seeds = [child_seed(4, k) for k in (2, 3, 4)]
    assert drawn.values == [f"draw {seed % 1000}" for seed in seeds]
    assert sorted(body.pop("seed") for body in endpoint.bodies) == sorted(seeds)
    assert endpoint.bodies[0] == {
        "model": "scripted",
        "messages": [{"role": "user", "content": "hello"}],
        "n": 1,
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 5,
        "stop": ["\n"],
        "logprobs": True,
    }


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 99))
def test_the_draws_do_not_depend_on_how_they_are_asked_for(a, b, seed):
    with ScriptedEndpoint(by_seed) as url:
        model = remote(url)
        halves = model.sample("p", a, seed=seed) + model.sample("p", b, seed=seed, first=a)
        assert model.sample("p", a + b, seed=seed) == halves


def test_cost_comes_from_usage_and_prices_and_seconds_sum_to_the_wall_time():
    reply = Reply("a b c", logprobs=[-1.0, -2.0, -0.5], prompt_tokens=100)
    with ScriptedEndpoint(lambda body: reply) as url:
        model = remote(url, price_per_million_prompt=1.0, price_per_million_completion=10.0)
        begin = time.monotonic()
        drawn = model.sample("p", 4, seed=0)
        wall = time.monotonic() - begin
    assert drawn.logprobs == [-3.5] * 4
    assert replace(drawn.cost, seconds=0.0) == Cost(
        draws=4, prompt_tokens=400, new_tokens=12, money=pytest.approx((400 + 120) / 1e6)
    )
    assert 0 < drawn.cost.seconds <= wall
    assert all(info["seconds"] > 0 for info in drawn.info)
    assert drawn.info[0]["finish_reason"] == "stop"


def test_system_template_and_chat_messages_are_sent_and_left_as_they_were():
    endpoint = ScriptedEndpoint(by_seed)
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "{prompt}"}]
    with endpoint as url:
        model = remote(url, system="Be brief.", template="Q: {prompt} {x}\nA:")
        model.sample("what {prompt}?", 1, seed=0)
        model.sample(chat, 1, seed=0)
    system = {"role": "system", "content": "Be brief."}
    text = "Q: what {prompt}? {x}\nA:"
    assert endpoint.bodies[0]["messages"] == [system, {"role": "user", "content": text}]
    assert endpoint.bodies[1]["messages"] == [system, *chat]
    assert chat == [{"role": "user", "content": "a"}, {"role": "assistant", "content": "{prompt}"}]


def test_plain_completions_for_base_models():
    endpoint = ScriptedEndpoint(lambda body: Reply(body["prompt"] + "!", logprobs=[-0.25]))
    with endpoint as url:
        drawn = remote(url, chat=False, template="> {prompt}").sample("hey", 1, seed=0)
    assert (endpoint.requests[0].path, endpoint.bodies[0]["logprobs"]) == ("/v1/completions", 1)
    assert drawn.values == ["> hey!"]


def test_logprobs_of_plain_completions_are_summed():
    with ScriptedEndpoint(lambda body: Reply("a b", logprobs=[-0.25, -1.0])) as url:
        drawn = remote(url, chat=False).sample("p", 2, seed=0)
    assert drawn.logprobs == [-1.25, -1.25]


def test_no_more_requests_are_in_progress_than_allowed():
    slow = ScriptedEndpoint(by_seed, faults=lambda number: Fault("slow", seconds=0.3))
    with slow as url:
        drawn = remote(url, concurrency=3).sample("p", 9, seed=0)
    assert len(drawn) == 9
    assert slow.most_at_once == 3


def test_draws_are_streamed_as_they_finish():
    faults = {0: Fault("slow", seconds=2)}
    with ScriptedEndpoint(by_seed, faults=faults) as url:
        order = [k for k, _ in remote(url, concurrency=2).stream("p", 4, seed=0, first=10)]
    assert sorted(order) == [10, 11, 12, 13]
    assert order[-1] in (10, 11)  # whichever of the first two was request 0


def test_a_stream_that_is_left_cancels_what_still_runs():
    hanging = ScriptedEndpoint(by_seed, faults=lambda k: Fault("hang") if k else None)
    with hanging as url:
        stream = remote(url, concurrency=1, timeout=300).stream("p", 5, seed=0)
        assert next(stream)[0] == 0
        begin = time.monotonic()
        stream.close()
        assert time.monotonic() - begin < 30  # the answers hang for 60 s
        assert len(hanging.bodies) <= 2


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", 429),
        Fault("status", 500),
        Fault("status", 503, retry_after="nonsense"),
        Fault("malformed"),
        Fault("truncated"),
        Fault("wrong_schema"),
        Fault("reset"),
        Fault("hang"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_a_fault_that_passes_is_retried(fault):
    endpoint = ScriptedEndpoint(by_seed, faults={0: fault, 1: fault})
    with endpoint as url:
        drawn = remote(url, retries=2, timeout=1 if fault.kind == "hang" else 30).sample(
            "p", 1, seed=0
        )
    assert drawn.info[0]["attempts"] == 3
    assert drawn.values == [f"draw {child_seed(0, 0) % 1000}"]
    assert endpoint.bodies[0] == endpoint.bodies[2]  # the same seed: the same draw


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("status", 429, message="busy"), ["429 busy", "3 tries", "lower concurrency"]),
        (Fault("malformed"), ["not JSON", '{"id"', "/v1"]),
        (Fault("wrong_schema"), ["not a completion", "result", "/v1"]),
        (Fault("hang"), ["no answer within 0.1 s", "raise timeout"]),
        (Fault("reset"), ["the connection broke", "server's own log"]),
    ],
    ids=lambda part: getattr(part, "kind", ""),
)
def test_a_fault_that_stays_is_an_error_that_says_what_to_do(fault, words):
    endpoint = ScriptedEndpoint(by_seed, faults=lambda number: fault)
    with endpoint as url, pytest.raises(EndpointError) as caught:
        remote(url, retries=2, timeout=0.1 if fault.kind == "hang" else 30).sample("p", 1, seed=0)
    assert len(endpoint.bodies) == 3
    for word in [url, *words]:
        assert word in str(caught.value)


def test_waits_double_and_retry_after_is_honoured():
    busy = Fault("status", 429)
    endpoint = ScriptedEndpoint(
        by_seed, faults={0: busy, 1: busy, 2: replace(busy, retry_after="0.5")}
    )
    with endpoint as url:
        remote(url, backoff=0.1, retries=3).sample("p", 1, seed=0)
    at = [request.at for request in endpoint.requests]
    first, second, third = (b - a for a, b in pairwise(at))
    assert first >= 0.05
    assert second >= 0.1  # no upper bounds: a busy machine adds to every wait
    assert third >= 0.5


def test_an_endpoint_that_asks_for_an_hour_is_not_waited_for():
    faults = {0: Fault("status", 429, retry_after="3600")}
    endpoint = ScriptedEndpoint(by_seed, faults=faults)
    with endpoint as url, pytest.raises(EndpointError, match="asks to wait 3600 s"):
        remote(url).sample("p", 1, seed=0)


def test_no_credit_is_final():
    faults = {0: Fault("status", 429, message="You exceeded your quota")}
    endpoint = ScriptedEndpoint(by_seed, faults=faults)
    with endpoint as url, pytest.raises(EndpointError, match="no credit left"):
        remote(url).sample("p", 1, seed=0)
    assert len(endpoint.bodies) == 1


def test_what_was_paid_for_comes_before_the_error_and_nothing_is_begun_after_it():
    bad = Fault("status", 400, message="context too long")
    endpoint = ScriptedEndpoint(
        by_seed, faults=lambda k: bad if k == 2 else Fault("slow", seconds=1)
    )
    finished = []
    with endpoint as url, pytest.raises(EndpointError, match="context too long"):
        finished.extend(remote(url, concurrency=4).stream("p", 50, seed=0))
    assert len(finished) == 3
    assert len(endpoint.bodies) == 4


def test_after_a_failure_no_draw_in_progress_is_tried_on_and_on():
    endpoint = ScriptedEndpoint(by_seed, faults=lambda k: Fault("status", 400 if k == 0 else 500))
    with endpoint as url, pytest.raises(EndpointError):
        remote(url, concurrency=2, retries=5, backoff=1).sample("p", 2, seed=0)
    assert len(endpoint.bodies) <= 3


def test_a_server_that_goes_away_in_the_middle_is_waited_for():
    endpoint = ScriptedEndpoint(by_seed, faults={1: Fault("hang")})
    stream = remote(endpoint.__enter__(), concurrency=1, retries=2).stream("p", 2, seed=0)
    assert next(stream)[0] == 0
    endpoint.__exit__(None, None, None)
    with pytest.raises(EndpointError, match=r"no connection .*\(3 tries\)"):
        next(stream)


def test_a_field_that_is_refused_though_it_was_left_out_is_an_error():
    stubborn = Fault("status", 400, message="logprobs are not supported")
    endpoint = ScriptedEndpoint(by_seed, faults=lambda number: stubborn)
    with endpoint as url, pytest.raises(EndpointError, match="logprobs are not supported"):
        remote(url).sample("p", 1, seed=0)
    assert len(endpoint.bodies) == 2


def test_nobody_listens():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        begin = time.monotonic()
        with pytest.raises(EndpointError, match="check that the server runs") as caught:
            remote(url, backoff=30).sample("p", 4, seed=0)
    assert url in str(caught.value)
    assert time.monotonic() - begin < 25  # not retried: nothing has answered yet


def test_a_wrong_model_is_answered_with_the_right_names():
    with ScriptedEndpoint(by_seed, models=["llama-3-8b", "qwen-2"]) as url:
        model = RemoteLM(base_url=url, model="llama-3-8")
        with pytest.raises(ModelNotFound, match=r"it has: llama-3-8b, qwen-2\. Did you mean"):
            model.sample("p", 1, seed=0)


def test_a_wrong_path_is_answered_with_the_usual_one():
    endpoint = ScriptedEndpoint(by_seed)
    with endpoint as url, pytest.raises(EndpointError, match="mostly ends in /v1"):
        remote(url.removesuffix("/v1")).sample("p", 1, seed=0)


def test_the_key_is_sent_and_is_found_nowhere_else(monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SECRET", f" {KEY}\n")
    echo = Fault("status", 400, message=f"no such thing for Bearer {KEY}")
    endpoint = ScriptedEndpoint(by_seed, faults={1: echo}, api_key=KEY)
    with endpoint as url:
        model = remote(url, api_key_env="SECRET")
        drawn = model.sample("p", 1, seed=0)
        with pytest.raises(EndpointError) as caught:
            model.sample("p", 1, seed=0)
    assert endpoint.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "[key]" in str(caught.value)
    everything = [repr(model), json.dumps(describe(model)), repr(drawn), caplog.text]
    everything += [repr(list(drawn)), repr(caught.value), repr(vars(model)), repr(endpoint.bodies)]
    frames = [entry for entry in caught.traceback if "genwright" in str(entry.path)]
    assert len(frames) >= 4
    everything += [repr(f.locals) for f in frames if "tests" not in str(f.path)]
    assert KEY not in "".join(everything)


def test_a_key_that_an_endpoint_quotes_in_a_draw_is_struck_out(monkeypatch):
    monkeypatch.setenv("SECRET", KEY)
    with ScriptedEndpoint(lambda body: f"you are {KEY}") as url:
        drawn = remote(url, api_key_env="SECRET").sample("p", 1, seed=0)
    assert drawn.values == ["you are [key]"]


@pytest.mark.parametrize(("held", "says"), [("", "SECRET is not set"), ("sk-x", "holds a key")])
def test_a_refused_key_is_the_users_to_mend(monkeypatch, held, says):
    monkeypatch.setenv("SECRET", held)
    endpoint = ScriptedEndpoint(by_seed, api_key=KEY)
    with endpoint as url, pytest.raises(UserError, match=says) as caught:
        remote(url, api_key_env="SECRET").sample("p", 1, seed=0)
    assert caught.value.exit_code == 2
    assert ("authorization" in endpoint.requests[0].headers) == bool(held)


def test_a_key_that_no_header_can_carry_is_not_shown(monkeypatch):
    monkeypatch.setenv("SECRET", "sk-ä\nb")
    with pytest.raises(UserError, match="SECRET holds blanks") as caught:
        remote("http://localhost:1/v1", api_key_env="SECRET").sample("p", 1, seed=0)
    assert "sk-ä" not in str(caught.value)


@pytest.mark.parametrize(
    ("complaint", "gone", "there"),
    [
        ("logprobs are not supported by this model", "logprobs", "max_tokens"),
        ("Use 'max_completion_tokens' instead", "max_tokens", "max_completion_tokens"),
    ],
)
def test_an_optional_field_that_is_refused_is_left_out(complaint, gone, there):
    endpoint = ScriptedEndpoint(by_seed, faults={0: Fault("status", 400, message=complaint)})
    with endpoint as url:
        drawn = remote(url, concurrency=1).sample("p", 3, seed=0)
    assert (len(drawn), len(endpoint.bodies)) == (3, 4)  # learned once, for all draws
    assert gone in endpoint.bodies[0]
    for body in endpoint.bodies[1:]:
        assert gone not in body
        assert there in body


class Schema:
    def response_format(self):
        return {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "integer"}}}


class Regex:
    def response_format(self):
        return None

    def extra_body(self):
        return {"guided_regex": "[0-9]+"}


def test_constraints_are_sent_as_the_endpoint_wants_them():
    endpoint = ScriptedEndpoint(by_seed)
    with endpoint as url:
        free = remote(url)
        free.steered(Schema()).steered(Regex()).sample("p", 1, seed=0)
        free.sample("p", 1, seed=0)
    steered, plain = endpoint.bodies
    assert steered["response_format"]["type"] == "json_schema"
    assert steered["guided_regex"] == "[0-9]+"
    assert not {"response_format", "guided_regex"} & plain.keys()


def test_constraints_that_cannot_be_sent_are_refused():
    class Mute:
        def response_format(self):
            return None

    class Greedy:
        def extra_body(self):
            return {"seed": 1}

    model = remote("http://localhost:1/v1")
    with pytest.raises(ConstraintError, match=r"cannot be told of Mute; .*response_format\(\)"):
        model.steered(Mute())
    with pytest.raises(ConstraintError, match="cannot be told of object"):
        model.steered(object())
    with pytest.raises(ConstraintError, match="Greedy sets seed"):
        model.steered(Greedy())
    with pytest.raises(ConstraintError, match="sets response_format"):
        model.steered(Schema(), Schema())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"base_url": "localhost:8000"}, "must look like"),
        ({"base_url": f"https://me:{KEY}@host/v1"}, "holds a user name or password"),
        ({"top_p": 0.0}, "top_p must be in"),
        ({"top_p": 1.1}, "top_p must be in"),
        ({"temperature": -0.1}, "temperature must be 0 or more"),
        ({"concurrency": 0}, "concurrency must be 1 or more"),
        ({"retries": -1}, "retries must be 0 or more"),
        ({"timeout": float("nan")}, "timeout must be"),
        ({"price_per_million_prompt": -1.0}, "must be 0 or more"),
        ({"template": "Q:"}, "template needs {prompt}"),
        ({"stop": "end"}, "stop must be a tuple"),
        ({"system": "x", "chat": False}, "system needs chat=True"),
    ],
)
def test_settings_out_of_range_are_refused(change, says):
    with pytest.raises(InvalidArgument, match=says) as caught:
        RemoteLM(**({"base_url": "http://localhost/v1", "model": "m"} | change))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("prompt", [7, [], ["a"], {"role": "user", "content": "a"}])
def test_a_prompt_that_cannot_be_sent_is_refused(prompt):
    with pytest.raises(InvalidArgument, match="a prompt must be a text or a list"):
        remote("http://localhost:1/v1").sample(prompt, 1, seed=0)


def test_no_draws_need_no_endpoint():
    assert len(remote("http://localhost:1/v1").sample("p", 0, seed=0)) == 0
    with pytest.raises(InvalidArgument, match="0 or more"):
        remote("http://localhost:1/v1").sample("p", -1, seed=0)
