"""Every bad request gets the API's own error shape, with what is allowed."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from waiting import until

from genwright.serving.service import Limits

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}


def refused(http, path="/v1/chat/completions", status=400, **body):
    headers = {"Content-Type": "application/json"}
    answer = http.post(path, content=json.dumps(CHAT | body), headers=headers)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        ({"n": 10_000}, "n", "1 to 128"),
        ({"n": 0}, "n", "1 to 128"),
        ({"seed": "five"}, "seed", "integer"),
        ({"seed": 1.5}, "seed", "integer"),
        ({"seed": "5"}, "seed", "integer"),
        ({"seed": 2**63}, "seed", "2^63"),
        ({"temperature": 2.1}, "temperature", "0 to 2"),
        ({"temperature": True}, "temperature", "number"),
        ({"top_p": 0}, "top_p", "above 0"),
        ({"max_tokens": 0}, "max_tokens", "greater"),
        ({"max_tokens": "4"}, "max_tokens", "integer"),
        ({"stop": 5}, "stop", "string"),
        ({"steering_mode": "gcd"}, "steering_mode", "exact"),
        ({"steering_mode": "exact", "top_p": 0.5}, None, "top_p must be 1.0"),
        ({"stop": [""]}, "stop", "empty"),
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": "Hi"}, "messages", "list"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages", "'assistant'"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages", "surrogate"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages",
            "'text'",
        ),
        ({"model": None}, "model", "string"),
        ({"top_logprobs": 2}, "top_logprobs", "logprobs: true"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "0 to 20"),
        ({"tools": [{"type": "function"}]}, "tools", "leave it out"),
        ({"logit_bias": {"5": 1.0}}, "logit_bias", "leave it out"),
        ({"presence_penalty": 0.5}, "presence_penalty", "leave it out"),
        ({"response_format": {"type": "xml"}}, "response_format", "'json_schema'"),
        ({"response_format": {"type": "json_schema"}}, "response_format", "needs the field"),
        ({"guided_regex": "(("}, "guided_regex", "unclosed"),
        ({"guided_grammar": "start: nothing"}, "guided_grammar", "nothing"),
        ({"guided_regex": "a", "guided_grammar": 'start: "b"'}, "guided_grammar", "give one"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(http, body, param, said):
    error = refused(http, **body)
    assert error["param"] == param
    assert said in error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "objec"}, "#/type"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}}, "none"),
        (False, "nothing satisfies"),
    ],
)
def test_a_schema_that_cannot_be_compiled_names_the_culprit(http, schema, said):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    error = refused(http, response_format=form)
    assert said in error["message"]
    assert (error["param"], error["code"]) == ("response_format", "invalid_constraint")


def test_a_schema_nested_past_all_limits_is_refused(http):
    schema = {"type": "string"}
    for _ in range(200):
        schema = {"anyOf": [{"type": "object", "properties": {"a": schema}}]}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert refused(http, response_format=form)["param"] == "response_format"


def test_what_the_api_knows_and_null_and_what_nobody_knows_are_fine(http):
    body = CHAT | {"user": "me", "nobody_knows": 1, "stop": None, "n": None, "seed": None}
    body |= {"frequency_penalty": 0, "logit_bias": {}, "tools": [], "stream": False}
    assert http.post("/v1/chat/completions", json=body).status_code == 200


def test_too_long_for_the_context_names_both_numbers(http, tiny):
    size = len(tiny.encode(CHAT["messages"]))
    error = refused(http, max_tokens=512 - size + 1)
    assert "512" in error["message"]
    assert str(size) in error["message"]
    assert error["code"] == "context_length_exceeded"
    assert (
        http.post(
            "/v1/completions", json={"model": "tiny", "prompt": [5] * 508, "max_tokens": 4}
        ).json()["usage"]["total_tokens"]
        <= 512
    )
    long = [{"role": "user", "content": "word " * 600}]
    assert "512" in refused(http, messages=long, max_tokens=None)["message"]
    began = time.perf_counter()
    huge = [{"role": "user", "content": "word " * 1_000_000}]
    assert "at least" in refused(http, messages=huge)["message"]
    assert time.perf_counter() - began < 60  # read whole, it takes minutes


def test_token_ids_must_be_the_models_own(http):
    body = {"model": "tiny", "prompt": [49152]}
    answer = http.post("/v1/completions", json=body)
    assert answer.status_code == 400
    assert "0 to 49151" in answer.json()["error"]["message"]
    for prompt in ([], [-1], [[]], ["a", 1]):
        assert http.post("/v1/completions", json=body | {"prompt": prompt}).status_code == 400


@pytest.mark.parametrize(
    ("path", "field", "value", "said"),
    [
        ("completions", "prompt", ["a"] * 4097, "4096"),
        ("completions", "prompt", ["a"] * 273, "272 draws"),  # 16 slots and a queue of 256
        ("completions", "prompt", [1] * 400_000, "400000"),
        ("completions", "prompt", ["a", *[1] * 400_000], "valid"),
        ("chat/completions", "stop", ["x"] * 17, "at most 16"),
        ("chat/completions", "messages", [{}] * 200_000, "messages.0.role is required"),
        ("chat/completions", "messages", CHAT["messages"] * 4097, "4096"),
        ("chat/completions", "guided_choice", ["a"] * 4097, "4096"),
    ],
)
def test_a_flood_of_items_is_answered_at_once(http, path, field, value, said):
    began = time.perf_counter()
    error = refused(http, f"/v1/{path}", **{"prompt": "a", field: value})
    assert said in error["message"]
    assert len(error["message"]) < 600
    assert time.perf_counter() - began < 30


def test_an_unknown_model_is_404(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(**CHAT | {"model": "tinny"})
    assert caught.value.code == "model_not_found"
    assert "Did you mean 'tiny'" in caught.value.body["message"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("tinny")


@pytest.mark.parametrize("body", ["{", "", "[1]", '"x"', "{" * 5000, '{"a":' * 100_000])
def test_a_body_that_is_no_object_is_400(http, body):
    answer = http.post(
        "/v1/chat/completions", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_form_is_told_to_send_json(http):
    error = http.post("/v1/chat/completions", data={"model": "tiny"}).json()["error"]
    assert "Content-Type: application/json" in error["message"]


def test_unknown_paths_and_methods_have_the_shape_too(http):
    missing, wrong = http.get("/v1/nothing"), http.get("/v1/chat/completions")
    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert "message" in missing.json()["error"]
    assert "message" in wrong.json()["error"]


@pytest.fixture(scope="module")
def strict(tiny, serving):
    limits = Limits(body=20_000, compile_seconds=2.0, queue=0)
    with (
        serving(tiny, name="tiny", key="sesame", limits=limits) as url,
        httpx.Client(base_url=url, timeout=300, headers={"Authorization": "Bearer sesame"}) as made,
    ):
        yield made


@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "Bearer", "sesame", "Basic sesame", "Bearer sesame2"]
)
def test_without_the_key_nothing_but_health_is_open(strict, header):
    headers = {} if header is None else {"Authorization": header}
    for path in ("/v1/models", "/metrics", "/openapi.json", "/nothing"):
        answer = httpx.get(f"{strict.base_url}{path}", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert "sesame" not in answer.text
    assert httpx.get(f"{strict.base_url}/health", headers=headers).status_code == 200


def test_with_the_key_it_opens(strict):
    assert strict.get("/v1/models").status_code == 200


def test_a_body_over_the_limit_is_413_declared_or_not(strict):
    def pieces():
        for _ in range(30):
            yield b" " * 1000

    for content in (b" " * 20_001, pieces()):
        answer = strict.post("/v1/chat/completions", content=content)
        assert answer.status_code == 413
        assert "20,000" in answer.json()["error"]["message"]
    assert strict.post("/v1/chat/completions", content=b" " * 20_000).status_code == 400


def test_a_body_that_does_not_come_is_408(tiny, serving):
    def slow():
        yield b"{"
        time.sleep(3)
        yield b"}"

    with serving(tiny, name="tiny", limits=Limits(body_seconds=0.2)) as url:
        assert httpx.post(f"{url}/v1/chat/completions", content=slow()).status_code == 408


def test_a_compilation_is_bounded_in_time_and_others_are_served(strict, monkeypatch):
    """That the pattern outlasts its limit is made sure of by waiting for `over`."""
    from genwright.steering.grammar import Regex

    compile, began, over = Regex.compile, threading.Event(), threading.Event()

    def slow(self, vocabulary):
        if self.pattern == "slow":
            began.set()
            over.wait(300)
        return compile(self, vocabulary)

    monkeypatch.setattr(Regex, "compile", slow)
    try:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(
                strict.post, "/v1/chat/completions", json=CHAT | {"guided_regex": "slow"}
            )
            assert began.wait(300)
            assert strict.post("/v1/chat/completions", json=CHAT).status_code == 200
            answer = asked.result(timeout=300)
            assert answer.status_code == 400
            assert "2 s" in answer.json()["error"]["message"]
    finally:
        over.set()
    until(lambda: strict.get("/health").json()["slots_used"] == 0)


def test_more_constraints_than_places_to_compile_them_wait_their_turn(http, monkeypatch):
    from genwright.steering.grammar import Regex

    compile = Regex.compile

    def slow(self, vocabulary):
        time.sleep(0.1)
        return compile(self, vocabulary)

    monkeypatch.setattr(Regex, "compile", slow)
    bodies = [CHAT | {"guided_regex": f"[ab]{{1,{k}}}"} for k in range(1, 11)]
    with ThreadPoolExecutor(10) as pool:
        answers = pool.map(lambda body: http.post("/v1/chat/completions", json=body), bodies)
        assert [answer.status_code for answer in answers] == [200] * 10


def test_more_draws_than_the_server_ever_takes_are_no_matter_of_waiting(strict):
    error = refused(strict, n=17)
    assert error["param"] == "n"
    assert "16 draws" in error["message"]


def test_an_answer_that_takes_too_long_is_ended(tiny, serving):
    long = CHAT | {"max_tokens": 450, "n": 16, "seed": 0}
    with (
        serving(tiny, name="tiny", limits=Limits(seconds=0.3)) as url,
        httpx.Client(base_url=url, timeout=300) as hurried,
    ):
        answer = hurried.post("/v1/chat/completions", json=long)
        assert answer.status_code == 504
        assert answer.json()["error"]["code"] == "timeout"
        until(lambda: hurried.get("/health").json()["slots_used"] == 0)
        streamed = hurried.post("/v1/chat/completions", json=long | {"stream": True})
    assert streamed.status_code == 200
    assert '"code": "timeout"' in streamed.text
    assert "[DONE]" not in streamed.text
