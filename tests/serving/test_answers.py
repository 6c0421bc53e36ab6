"""Through the official client and over HTTP, an answer is what `LocalLM` draws.

Draws are compared token by token, in float32 and with fixed seeds. With 20 tokens kept, rounding
changes one only where its number lies within about 1e-6 of a border, which these seeds do not.
"""

import json
from dataclasses import replace

import jsonschema_rs
import pytest

from genwright.core import child_seed
from genwright.generators.language.remote import RemoteLM
from genwright.steering.grammar import Grammar, Regex
from genwright.steering.json_schema import JsonSchema

HELLO = [{"role": "user", "content": "Say hello."}]
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "size": {"enum": [1, 2, 3]},
    },
    "required": ["name", "size"],
    "additionalProperties": False,
}


def chat(client, **settings):
    return client.chat.completions.create(
        **{"model": "tiny", "messages": HELLO, "max_tokens": 8, "seed": 5} | settings
    )


def direct(tiny, n=1, seed=5, **settings):
    return replace(tiny, **{"max_new_tokens": 8} | settings).sample(HELLO, n, seed=seed)


def test_n_choices_are_the_engines_own_draws(client, tiny):
    answer = chat(client, n=4, seed=11)
    drawn = direct(tiny, 4, seed=11)
    assert [c.message.content for c in answer.choices] == drawn.values
    assert [c.index for c in answer.choices] == [0, 1, 2, 3]
    assert answer.usage.completion_tokens == drawn.cost.new_tokens
    assert answer.usage.prompt_tokens == len(tiny.encode(HELLO))
    assert answer.usage.total_tokens == drawn.cost.new_tokens + len(tiny.encode(HELLO))


def test_a_form_can_be_held_exactly(client, tiny):
    words = {"structured_outputs": {"choice": ["red car", "tan cat"]}}
    choice = words | {"steering_mode": "exact", "top_k": 0}
    answer = chat(client, n=6, temperature=1.0, extra_body=choice)
    form = Grammar(text='start: "red car" | "tan cat"')
    drawn = direct(tiny, 6, temperature=1.0, top_k=0, mode="exact", constraints=(form,))
    assert [c.message.content for c in answer.choices] == drawn.values
    assert {c.finish_reason for c in answer.choices} == {"stop"}


def test_every_setting_reaches_the_engine(client, tiny):
    settings = {"temperature": 0.5, "top_p": 0.8}
    extra = {"top_k": 3, "min_p": 0.05}
    answer = chat(client, **settings, extra_body=extra)
    assert answer.choices[0].message.content == direct(tiny, **settings, **extra)[0].value
    for name, value in {**settings, **extra}.items():
        changed = {"temperature": 1.0, "top_p": 1.0, "top_k": 20, "min_p": 0.0} | {name: value}
        sent = {k: changed[k] for k in ("temperature", "top_p")}
        got = chat(client, **sent, extra_body={k: changed[k] for k in ("top_k", "min_p")})
        assert got.choices[0].message.content == direct(tiny, **changed)[0].value


def test_messages_in_parts_and_from_developers_are_read(client, tiny):
    parts = [{"type": "text", "text": "Say "}, {"type": "text", "text": "hello."}]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    plain = [{"role": "system", "content": "Be brief."}, *HELLO]
    answer = chat(client, messages=messages)
    drawn = replace(tiny, max_new_tokens=8).sample(plain, 1, seed=5)
    assert answer.choices[0].message.content == drawn[0].value
    assert answer.usage.prompt_tokens == len(tiny.encode(plain))


def test_max_completion_tokens_stands_for_max_tokens(client):
    answer = chat(client, max_tokens=8, extra_body={"max_completion_tokens": 3})
    assert answer.usage.completion_tokens == 3
    assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize("seed", [0, -3, 2**63 - 1])
def test_the_seed_alone_decides(client, tiny, seed):
    once, twice = (chat(client, seed=seed).choices[0].message.content for _ in range(2))
    assert once == twice == direct(tiny, seed=seed)[0].value
    assert chat(client, seed=seed ^ 1).choices[0].message.content != once


def test_a_request_without_a_seed_is_told_which_it_got(client):
    raw = client.chat.completions.with_raw_response.create(
        model="tiny", messages=HELLO, max_tokens=8
    )
    seed = int(raw.headers["X-Genwright-Seed"])
    assert chat(client, seed=seed).choices[0].message == raw.parse().choices[0].message
    again = client.chat.completions.with_raw_response.create(
        model="tiny", messages=HELLO, max_tokens=8
    )
    assert int(again.headers["X-Genwright-Seed"]) != seed


def test_a_stream_is_the_answer_in_pieces(client):
    settings = {"n": 3, "seed": 2, "logprobs": True, "top_logprobs": 2, "max_tokens": 10}
    whole = chat(client, **settings)
    texts, reasons, scored, usages = [""] * 3, [None] * 3, [[], [], []], []
    for chunk in chat(client, **settings, stream=True, stream_options={"include_usage": True}):
        usages += [chunk.usage] if chunk.usage else []
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason or reasons[choice.index]
            scored[choice.index] += choice.logprobs.content if choice.logprobs else []
    assert texts == [c.message.content for c in whole.choices]
    assert reasons == [c.finish_reason for c in whole.choices] == ["length"] * 3
    for mine, choice in zip(scored, whole.choices, strict=True):
        theirs = choice.logprobs.content
        assert [t.token for t in mine] == [t.token for t in theirs]
        assert [t.logprob for t in mine] == pytest.approx([t.logprob for t in theirs], abs=1e-4)
    assert [u.completion_tokens for u in usages] == [whole.usage.completion_tokens]


def test_a_stream_comes_in_more_than_one_piece_and_ends_as_the_protocol_says(http):
    body = {"model": "tiny", "messages": HELLO, "max_tokens": 8, "seed": 5, "stream": True}
    with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert len({c["id"] for c in chunks}) == 1
    assert sum(bool(c["choices"][0]["delta"].get("content")) for c in chunks) > 3


def test_logprobs_are_those_of_the_model(client, tiny):
    answer = chat(client, logprobs=True, top_logprobs=3)
    drawn = direct(tiny, logprobs=3)[0]
    content = answer.choices[0].logprobs.content
    tokens = tiny.vocabulary.tokens
    assert [t.logprob for t in content] == pytest.approx(drawn.info["token_logprobs"], abs=1e-4)
    assert [bytes(t.bytes) for t in content] == [tokens[i] for i in drawn.info["tokens"]]
    for token, top in zip(content, drawn.info["top_logprobs"], strict=True):
        assert [bytes(t.bytes) for t in token.top_logprobs] == [tokens[i] for i in top]
        assert [t.logprob for t in token.top_logprobs] == pytest.approx(
            list(top.values()), abs=1e-4
        )


def test_completions_continue_texts_and_tokens(client, tiny):
    lm = replace(tiny, chat=False, max_new_tokens=6, logprobs=2)
    prompts = ["Once upon", "A list:"]
    answer = client.completions.create(
        model="tiny", prompt=prompts, n=2, seed=4, max_tokens=6, logprobs=2
    )
    drawn = [draw for text in prompts for draw in lm.sample(text, 2, seed=4)]
    assert [c.text for c in answer.choices] == [d.value for d in drawn]
    for choice, draw in zip(answer.choices, drawn, strict=True):
        said = choice.logprobs
        assert said.token_logprobs == pytest.approx(draw.info["token_logprobs"], abs=1e-4)
        assert "".join(said.tokens) == choice.text
        joined = ["".join(said.tokens[:i]) for i in range(len(said.tokens))]
        assert said.text_offset == [len(text) for text in joined]
        assert all(len(top) == 2 for top in said.top_logprobs)
    ids = lm.encode(prompts[0])
    same = client.completions.create(model="tiny", prompt=ids, n=2, seed=4, max_tokens=6)
    assert [c.text for c in same.choices] == [d.value for d in drawn[:2]]
    short = client.completions.create(model="tiny", prompt="Once upon", seed=4)
    assert short.usage.completion_tokens <= 16


def test_completions_stream_too(client):
    settings = {"model": "tiny", "prompt": "Once upon", "seed": 4, "max_tokens": 6}
    whole = client.completions.create(**settings)
    pieces = client.completions.create(**settings, stream=True)
    assert "".join(p.choices[0].text for p in pieces) == whole.choices[0].text


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_text_is_left_out_and_so_are_its_scores(client, stream):
    whole = chat(client, logprobs=True, max_tokens=12)
    tokens = [t.token for t in whole.choices[0].logprobs.content]
    stop = whole.choices[0].message.content[len("".join(tokens[:4])) :][:3]
    before = whole.choices[0].message.content.partition(stop)[0]
    answer = chat(client, logprobs=True, max_tokens=12, stop=stop, stream=stream)
    if stream:
        chunks = [chunk.choices[0] for chunk in answer]
        text = "".join(c.delta.content or "" for c in chunks)
        reason, content = chunks[-1].finish_reason, chunks[-1].logprobs.content
    else:
        (choice,) = answer.choices
        text, reason, content = (
            choice.message.content,
            choice.finish_reason,
            choice.logprobs.content,
        )
    assert (text, reason) == (before, "stop")
    assert "".join(t.token for t in content[:-1]) < before <= "".join(t.token for t in content)


def test_a_json_schema_is_obeyed(client, tiny):
    form = {"type": "json_schema", "json_schema": {"name": "thing", "schema": SCHEMA}}
    answer = chat(client, n=4, response_format=form, max_tokens=60)
    steered = tiny.steered(JsonSchema(schema=json.dumps(SCHEMA)))
    drawn = replace(steered, max_new_tokens=60).sample(HELLO, 4, seed=5)
    assert [c.message.content for c in answer.choices] == drawn.values
    for choice in answer.choices:
        assert choice.finish_reason == "stop"
        jsonschema_rs.validate(SCHEMA, json.loads(choice.message.content))


@pytest.mark.parametrize("stream", [False, True])
def test_a_steered_answer_has_scores_for_every_token_forced_ones_too(client, tiny, stream):
    asked = {"guided_regex": "The colour is (red|blue)\\."}
    settings = {"logprobs": True, "top_logprobs": 2, "max_tokens": 20, "extra_body": asked}
    if stream:
        *_, last = chat(client, **settings, stream=True)
        content = last.choices[0].logprobs.content
    else:
        content = chat(client, **settings).choices[0].logprobs.content
    steered = replace(tiny, max_new_tokens=20, logprobs=2).steered(
        Regex(pattern=asked["guided_regex"])
    )
    draw = steered.sample(HELLO, 1, seed=5)[0]
    assert draw.info["forced_tokens"] > 2
    assert "".join(t.token for t in content) == draw.value
    assert [t.logprob for t in content] == pytest.approx(draw.info["token_logprobs"], abs=1e-4)
    assert all(len(t.top_logprobs) == 2 for t in content)


def test_an_object_of_any_kind_begins_as_one_and_is_cut_by_its_length(client):
    answer = chat(client, response_format={"type": "json_object"}, max_tokens=5)
    assert answer.choices[0].message.content.startswith("{")
    assert answer.choices[0].finish_reason == "length"
    plain = chat(client, response_format={"type": "text"})
    assert plain.choices[0].message.content == chat(client).choices[0].message.content


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ({"guided_regex": "[ab]{3}"}, "aab"),
        ({"structured_outputs": {"regex": "[ab]{3}"}}, "bab"),
        ({"guided_grammar": 'start: "x" | "(" start ")"'}, "(x)"),
        ({"structured_outputs": {"grammar": 'start: "x" | "(" start ")"'}}, "((x))"),
        ({"structured_outputs": {"choice": ['the "réd"', "blue\n"]}}, "blue\n"),
        ({"guided_choice": ["yes", "no"]}, "yes"),
        ({"guided_json": {"enum": [10, 20]}}, "10"),
        ({"structured_outputs": {"json": '{"enum": [10, 20]}'}}, "20"),
    ],
)
def test_the_names_of_vllm_steer(client, tiny, asked, allowed):
    from genwright.serving.constraints import constraint
    from genwright.serving.openai_api import ChatRequest
    from genwright.steering.membership import accepts

    body = ChatRequest(model="tiny", messages=[{"role": "user", "content": ""}], **asked)
    form, _ = constraint(body)
    assert accepts(form, tiny.vocabulary, allowed)
    answer = chat(client, n=3, extra_body=asked, max_tokens=30)
    for choice in answer.choices:
        if choice.finish_reason == "stop":
            assert accepts(form, tiny.vocabulary, choice.message.content)
    assert any(c.finish_reason == "stop" for c in answer.choices)


def test_our_own_client_draws_the_same_twice_and_knows_what_it_drew(server, tiny):
    remote = RemoteLM(
        base_url=f"{server}/v1", model="tiny", temperature=1.0, max_new_tokens=6, api_key_env=""
    )
    first, second = (remote.sample("Say hello.", 3, seed=7) for _ in range(2))
    lm = replace(tiny, max_new_tokens=6, logprobs=0)
    own = [lm.sample("Say hello.", 1, seed=child_seed(7, k))[0] for k in range(3)]
    assert first.values == second.values == [draw.value for draw in own]
    scores = [sum(draw.info["token_logprobs"]) for draw in own]
    assert [draw.logprob for draw in first] == pytest.approx(scores, abs=1e-3)
    assert first.cost.new_tokens == sum(draw.cost.new_tokens for draw in own)


def test_our_own_client_steers_it(server):
    remote = RemoteLM(base_url=f"{server}/v1", model="tiny", max_new_tokens=40, api_key_env="")
    number = remote.steered(Regex(pattern="[0-9]{2}")).sample("?", 2, seed=1)
    assert all(value.isdigit() and len(value) == 2 for value in number.values)
    thing = remote.steered(JsonSchema(schema=SCHEMA)).sample("?", 1, seed=1)
    jsonschema_rs.validate(SCHEMA, json.loads(thing[0].value))


def test_the_cost_is_told_to_those_who_ask(client, http, tiny):
    assert "genwright" not in chat(client).usage.model_extra
    body = {"model": "tiny", "messages": [{"role": "user", "content": "What does it cost?"}]}
    body |= {"max_tokens": 5, "n": 2, "seed": 1}
    ask = {"X-Genwright-Cost": "1"}
    usage = http.post("/v1/chat/completions", json=body, headers=ask).json()["usage"]
    cost = usage["genwright"]
    assert (cost["draws"], cost["new_tokens"]) == (2, usage["completion_tokens"])
    assert usage["prompt_tokens"] == len(tiny.encode(body["messages"]))
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    assert cost["prompt_tokens_read"] == usage["prompt_tokens"] - cached > 0
    assert cost["seconds"] > 0
    assert cost["joules_by"] == "estimated"
    threads = cost["joules"] / (4.2 * cost["seconds"])
    assert threads == pytest.approx(round(threads))
    assert "W a thread" in cost["joules_how"]
    grams = cost["joules"] / 3.6e6 * 475  # the world's average
    assert cost["grams_co2e"] == pytest.approx(grams)
    assert cost["grams_co2e_bounds"][0] < grams < cost["grams_co2e_bounds"][1]
    assert "World 2018" in cost["grams_co2e_how"]
    streamed = http.post(
        "/v1/chat/completions", json=body | {"stream": True}, headers=ask
    ).text.split("\n\n")
    assert json.loads(streamed[-3].removeprefix("data: "))["usage"]["genwright"]["draws"] == 2


def test_models_are_listed_and_described(client):
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "genwright"
