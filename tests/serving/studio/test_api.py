"""The studio's API: what it lets in, next words, draws, documents, and errors in words."""

import json
import re
import socket
from dataclasses import replace

import httpx
import numpy as np
import pytest
import typer
from waiting import until

from genwright.cli import studio as studio_command
from genwright.serving.studio.frame import STATIC

BAN = {
    "method": "token_filter",
    "values": {"filters": [{"method": "ban", "values": {"strings": ["e"]}}]},
}
DIGITS = {"method": "regex", "values": {"pattern": "[0-9]{4}"}}


@pytest.fixture(scope="module")
def studio(tiny, opening, tmp_path_factory):
    with opening(tiny, tmp_path_factory.mktemp("documents")) as studio:
        yield studio


@pytest.fixture
def http(studio):
    headers = {"Origin": studio.url}
    with httpx.Client(
        base_url=studio.url, headers=headers, cookies=studio.cookies, timeout=300
    ) as made:
        yield made


def api(http, path, body):
    answer = http.post(f"/api/writing/{path}", json=body)
    assert answer.status_code == 200, answer.text
    waiting = [each["problem"] or {} for each in answer.json().get("filters", [])]
    if any(each.get("code") == "preparing" for each in waiting):  # a busy machine
        return api(http, path, body)
    return answer.json()


def refused(answer):
    return answer.status_code, answer.json()["error"]["message"]


def test_the_link_is_exchanged_for_a_cookie_that_scripts_cannot_read(studio):
    with httpx.Client(base_url=studio.url) as http:
        answer = http.get(studio.link)
        cookie = answer.headers["set-cookie"]
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert http.get("/api/writing/forms").status_code == 200
        wrong = httpx.get(f"{studio.url}/?token=wrong")
        assert "set-cookie" not in wrong.headers


def test_strangers_are_not_let_in(studio, http):
    body = {"passage": "a"}
    bare = httpx.Client(base_url=studio.url)
    assert refused(bare.get("/api/writing/documents"))[0] == 401
    for headers, told in (
        ({"Origin": "http://evil.example"}, "evil.example"),
        ({"Origin": "http://127.0.0.1:1"}, "127.0.0.1:1"),
        ({"Origin": "null"}, "null"),
    ):
        status, said = refused(http.post("/api/writing/next", json=body, headers=headers))
        assert (status, told in said) == (403, True)
    del http.headers["Origin"]
    assert refused(http.post("/api/writing/next", json=body))[0] == 403
    other_site = {"Sec-Fetch-Site": "same-site"}
    assert refused(http.get("/api/writing/documents", headers=other_site))[0] == 403


def test_a_foreign_name_that_leads_here_is_refused(studio, http):
    for path in ("/writing", "/static/frame.js", "/api/writing/documents"):
        status, said = refused(http.get(path, headers={"Host": "evil.example:80"}))
        assert (status, "evil.example" in said) == (403, True)
    port = studio.url.rsplit(":", 1)[1]
    for host in (f"localhost:{port}", f"[::1]:{port}", "127.0.0.1"):
        assert http.get("/writing", headers={"Host": host}).status_code == 200


def test_every_answer_says_what_a_page_may_do(studio, http):
    for path in ("/writing", "/static/frame.js", "/api/writing/documents", "/nowhere"):
        headers = http.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == ("no-store" if "/api/" in path else "no-cache")


def test_pages_load_nothing_from_elsewhere_and_read_no_text_as_markup():
    for path in STATIC.rglob("*"):
        if path.suffix in (".js", ".css", ".html"):
            text = path.read_text()
            assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text)
            assert not re.search(r"(?:src|href|url|import)\W{1,3}https?:", text)
            assert not re.search(r"<[^>]+ (?:style|on\w+)=", text)


def test_a_body_over_the_limit_is_not_read(http):
    answer = http.post("/api/writing/next", content=b"x" * 4_000_001)
    assert refused(answer) == (
        413,
        "The body is larger than 4,000,000 bytes, the most that is read.",
    )
    with socket.create_connection((http.base_url.host, http.base_url.port), 20) as raw:
        raw.sendall(
            b"GET /static/../app.py HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
        assert b" 404 " in raw.makefile("rb").readline()


def test_next_words_are_the_models_own_odds(tiny, http):
    """Known answer: the engine's own log-probabilities after the same prompt."""
    answer = api(http, "next", {"passage": "", "top": 5})
    shares = [word["p"] for word in answer["words"]]
    assert shares == sorted(shares, reverse=True)
    lm = replace(tiny, chat=False, logprobs=20, max_new_tokens=1, temperature=0.0)
    (known,) = lm.sample("", 1, seed=0)
    likeliest = sorted(known.info["top_logprobs"][0].items(), key=lambda pair: -pair[1])
    tokens = tiny.vocabulary.tokens
    texts = {tokens[i].decode(): np.exp(p) for i, p in likeliest if _is_text(tokens[i])}
    shown = {word["text"]: word["p"] for word in answer["words"] if word["kind"] == "text"}
    assert len(shown) >= 3
    assert shown == pytest.approx({text: texts[text] for text in shown}, rel=1e-3)


def _is_text(token):
    return bool(token) and "\ufffd" not in token.decode(errors="replace")


def test_filters_tell_what_they_take_away(http):
    answer = api(http, "next", {"context": "I s", "passage": "aw", "filters": [BAN, DIGITS]})
    assert answer["filters"][0]["problem"] is None
    assert "breaks at 'aw', character 1" in answer["filters"][1]["problem"]["message"]
    answer = api(http, "next", {"context": "In ", "passage": "19", "filters": [BAN, DIGITS]})
    assert {w["text"] for w in answer["words"]} <= set("0123456789")
    assert all("e" not in w["text"] for w in answer["words"])
    assert answer["filters"][1]["removed"] > answer["filters"][0]["removed"] > 10_000
    assert all(1 in w["by"] for w in answer["removed"])
    assert answer["mass"] == pytest.approx(1 - answer["filters"][1]["mass"])


def test_a_wrong_filter_is_told_and_the_others_hold(http):
    wrong = {"method": "regex", "values": {"pattern": "("}}
    answer = api(http, "next", {"passage": "a", "filters": [wrong, BAN]})
    assert "unclosed group" in answer["filters"][0]["problem"]["message"]
    assert answer["filters"][1]["removed"] > 10_000
    status, said = refused(http.post("/api/writing/draw", json={"filters": [BAN, wrong]}))
    assert (status, said[:17]) == (400, "Filter 2 (Regex):")
    unknown = {"method": "no_such", "values": {}}
    assert "no filter" in refused(http.post("/api/writing/draw", json={"filters": [unknown]}))[1]


def test_draws_obey_and_repeat_with_their_seed(http):
    body = {
        "context": "The year ", "passage": "1", "filters": [DIGITS], "n": 3, "seed": 5,
        "max_new_tokens": 8, "stream": False,
    }  # fmt: skip
    answer = api(http, "draw", body)
    assert answer == api(http, "draw", body)
    assert [re.fullmatch("[0-9]{3}", draw["text"]) is not None for draw in answer["draws"]] == [
        True
    ] * 3
    assert all(draw["complete"] and draw["end"] == "ended by itself" for draw in answer["draws"])
    other = api(http, "draw", body | {"seed": None})
    assert other["seed"] != 5


def test_a_stream_writes_what_the_draws_are(http):
    body = {"passage": "It wa", "n": 2, "seed": 1, "max_new_tokens": 6}
    whole = api(http, "draw", body | {"stream": False})
    texts = ["", ""]
    with http.stream("POST", "/api/writing/draw", json=body) as answer:
        events = [json.loads(line[6:]) for line in answer.iter_lines() if line]
    assert events[0] == {"seed": 1, "n": 2}
    for event in events[1:]:
        if "text" in event:
            texts[event["draw"]] += event["text"]
    done = {e["done"]["draw"]: e["done"] for e in events if "done" in e}
    assert [done[0], done[1]] == whole["draws"]
    assert texts == [draw["text"] for draw in whole["draws"]]


def test_a_stream_that_nobody_hears_frees_its_slots(studio, http):
    service = studio.app.state.service
    body = {"passage": "a", "n": 8, "max_new_tokens": 400}
    with http.stream("POST", "/api/writing/draw", json=body) as answer:
        next(answer.iter_lines())
        assert service.running == 8
    until(lambda: service.running == 0)


def test_a_text_longer_than_the_context_is_read_from_its_end(http):
    tail = " and so it was"
    long = api(http, "next", {"passage": "word " * 3000 + tail})
    assert len(long["words"]) == 12
    status, said = refused(
        http.post("/api/writing/draw", json={"passage": tail, "max_new_tokens": 512})
    )
    assert (status, "reads 512 tokens in all" in said) == (400, True)


def test_a_brief_changes_what_comes_next(http):
    with_brief = api(http, "next", {"passage": "a", "brief": "Write about ships."})
    assert with_brief["words"] != api(http, "next", {"passage": "a"})["words"]


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("draw", {"n": 17}, "n:"),
        ("draw", {"temperature": 3}, "temperature:"),
        ("draw", {"seed": 2**60}, "seed:"),
        ("draw", {"max_new_tokens": 0}, "max_new_tokens:"),
        ("draw", {"mode": "asap"}, "mode:"),
        ("draw", {"mode": "exact", "filters": [DIGITS], "temperature": 0}, "top_k must be 0"),
        ("draw", {"filters": [DIGITS], "max_new_tokens": 2}, "max_new_tokens is 2"),
        ("next", {"passage": 3}, "passage:"),
        ("next", {"passage": "\ud800"}, "unicode"),
        ("next", {"filters": [BAN] * 13}, "filters:"),
        ("documents", {"text": "x" * 1_000_001}, "text:"),
        ("documents", {"alternatives": [{}] * 65}, "alternatives:"),
    ],
)
def test_bad_input_is_told_in_words(http, path, body, told):
    status, said = refused(
        http.post(
            f"/api/writing/{path}",
            content=json.dumps(body),
            headers={"Content-Type": "application/json"},
        )
    )
    assert (status, told in said) == (400, True), said


def test_documents_are_made_saved_listed_and_deleted(studio, http):
    made = http.post("/api/writing/documents", json={"title": "Two words", "text": "é"})
    assert made.status_code == 201
    held = made.json()
    path = f"/api/writing/documents/{held['name']}"
    content = {k: held[k] for k in ("title", "text", "filters", "settings", "revision")}
    saved = http.put(path, json=content | {"text": "more", "filters": [BAN | {"on": True}]})
    assert saved.json()["revision"] == 2
    assert http.put(path, json=content).status_code == 409
    assert http.get(path).json()["filters"] == [BAN | {"on": True}]
    assert json.loads((studio.folder / f"{held['name']}.json").read_text())["text"] == "more"
    assert http.delete(path).json()["moved_to"].startswith(str(studio.folder / "deleted"))
    assert refused(http.get(path))[0] == 404
    assert http.get("/api/writing/documents/..%2fsecret").status_code in (400, 404)


def test_the_command_prints_a_link_that_lets_in(tiny, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        "genwright.serving.run.run", lambda app, made, drain: asked.append((app, made))
    )
    app = typer.Typer()
    studio_command.register(app)
    command = app.registered_commands[0].callback
    command(model=tiny.model, documents=tmp_path, port=0, dtype="float32")
    (served, made), said = asked[0], capsys.readouterr().out
    port = made.getsockname()[1]
    made.close()
    assert f"http://127.0.0.1:{port}/?token={served.state.token}" in said
    assert len(served.state.token) >= 32
