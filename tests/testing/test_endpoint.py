"""The official client understands the endpoint, and meets every fault as a real one."""

import time

import httpx
import openai
import pytest

from genwright.testing import Fault, Reply, ScriptedEndpoint

HELLO = [{"role": "user", "content": "hello"}]


def client(url, **settings):
    return openai.OpenAI(base_url=url, api_key="sk-test", max_retries=0, **settings)


def ask(url, **settings):
    return client(url).chat.completions.create(model="scripted", messages=HELLO, **settings)


def test_chat_answers_n_choices_with_usage_and_logprobs():
    replies = [Reply("a b", logprobs=[-1.0, -2.0]), Reply("c", "length", logprobs=[-3.0])]
    with ScriptedEndpoint(replies) as url:
        answer = ask(url, n=2, logprobs=True)
    assert [c.message.content for c in answer.choices] == ["a b", "c"]
    assert [c.finish_reason for c in answer.choices] == ["stop", "length"]
    assert [t.logprob for t in answer.choices[0].logprobs.content] == [-1.0, -2.0]
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 3)


def test_logprobs_are_sent_only_where_they_were_asked_for():
    with ScriptedEndpoint(lambda body: Reply("a", logprobs=[-1.0])) as url:
        assert ask(url).choices[0].logprobs is None
        assert ask(url, logprobs=True).choices[0].logprobs.content[0].token == "a"


def test_chat_streams_the_same_text_choice_by_choice():
    with ScriptedEndpoint(["one two", "three"]) as url:
        stream = ask(url, n=2, stream=True, stream_options={"include_usage": True})
        texts, ends, usage = ["", ""], {}, None
        for event in stream:
            usage = event.usage or usage
            for choice in event.choices:
                texts[choice.index] += choice.delta.content or ""
                ends[choice.index] = choice.finish_reason
    assert texts == ["one two", "three"]
    assert (ends, usage.completion_tokens) == ({0: "stop", 1: "stop"}, 3)


def test_plain_completions_whole_and_streamed():
    with ScriptedEndpoint(lambda body: Reply(body["prompt"] + "!", logprobs=[-0.5])) as url:
        plain = client(url).completions
        whole = plain.create(model="scripted", prompt="hey", logprobs=1)
        pieces = plain.create(model="scripted", prompt="hey", stream=True)
        assert "".join(event.choices[0].text for event in pieces) == "hey!"
    assert whole.choices[0].text == "hey!"
    assert whole.choices[0].logprobs.token_logprobs == [-0.5]


def test_models_keys_and_unknown_names_are_answered_as_the_protocol_says():
    with ScriptedEndpoint(["x"], models=["small", "large"], api_key="sk-test") as url:
        assert [model.id for model in client(url).models.list()] == ["small", "large"]
        with pytest.raises(openai.NotFoundError, match="'scripted' does not exist"):
            ask(url)
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=url, api_key="sk-wrong").models.list()
        with pytest.raises(openai.NotFoundError):
            client(url).get("/nowhere", cast_to=object)


@pytest.mark.parametrize(
    "change",
    [{"messages": []}, {"n": 0}, {"temperature": 3}, {"seed": "one"}, {"logprobs": 2}],
)
def test_a_bad_request_is_refused(change):
    with ScriptedEndpoint(["x"]) as url:
        body = {"model": "scripted", "messages": HELLO} | change
        answer = httpx.post(f"{url}/chat/completions", json=body)
    assert answer.status_code == 400
    assert next(iter(change)) in answer.json()["error"]["message"]


def test_requests_are_recorded_with_headers_and_body():
    endpoint = ScriptedEndpoint(["x"])
    with endpoint as url:
        ask(url, seed=3, response_format={"type": "json_object"})
    (request,) = endpoint.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-test"
    assert request.body["response_format"] == {"type": "json_object"}
    assert endpoint.bodies == [request.body]


def test_a_script_that_ends_too_early_fails_the_test():
    endpoint = ScriptedEndpoint(["x", "y"])
    with pytest.raises(openai.InternalServerError, match="at its end"):
        ask(endpoint.__enter__(), n=3)
    with pytest.raises(AssertionError, match="1 replies were asked for beyond the 2"):
        endpoint.__exit__(None, None, None)


def test_status_faults_carry_their_headers():
    with ScriptedEndpoint(["x"], faults={0: Fault("status", 429, retry_after="7")}) as url:
        with pytest.raises(openai.RateLimitError) as caught:
            ask(url)
        assert caught.value.response.headers["Retry-After"] == "7"
        assert ask(url).choices[0].message.content == "x"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("hang", httpx.ReadTimeout),
        ("truncated", httpx.RemoteProtocolError),
        ("reset", httpx.ReadError),
    ],
)
def test_connection_faults_look_real_to_a_client(kind, error):
    with ScriptedEndpoint(lambda body: "x", faults={0: Fault(kind)}) as url:
        body = {"model": "scripted", "messages": HELLO}
        with pytest.raises(error):
            httpx.post(f"{url}/chat/completions", json=body, timeout=0.2)
        assert httpx.post(f"{url}/chat/completions", json=body).status_code == 200


def test_a_truncated_stream_ends_without_its_last_event():
    with ScriptedEndpoint(["a b c d"], faults={0: Fault("truncated")}) as url:
        body = {"model": "scripted", "messages": HELLO, "stream": True}
        answer = httpx.post(f"{url}/chat/completions", json=body)
    assert "data: " in answer.text
    assert "[DONE]" not in answer.text


def test_broken_bodies_are_broken_and_slow_ones_are_late():
    faults = {0: Fault("malformed"), 1: Fault("wrong_schema"), 2: Fault("slow", seconds=0.2)}
    with ScriptedEndpoint(lambda body: "x", faults=faults) as url:
        body = {"model": "scripted", "messages": HELLO}
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            httpx.post(f"{url}/chat/completions", json=body).json()
        assert "choices" not in httpx.post(f"{url}/chat/completions", json=body).json()
        start = time.monotonic()
        assert httpx.post(f"{url}/chat/completions", json=body).status_code == 200
        assert time.monotonic() - start >= 0.2
