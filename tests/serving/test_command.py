"""`genwright serve` as a process: the embedded model, curl, keys, signals, ports."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from dataclasses import replace

import httpx
import pytest
import typer

from genwright.cli import serve as command_of
from genwright.core import InvalidArgument, UserError
from genwright.generators.language.local import LocalLM
from genwright.generators.language.lookahead import Lookahead
from genwright.serving.run import listen
from genwright.serving.service import Limits

KEY = "a-key-that-nobody-may-read"


@contextmanager
def command(*arguments, **variables):
    """Run the command on a free port; give its process and address."""
    line = [sys.executable, "-c", "from genwright.cli.main import main; main()"]
    environment = {k: v for k, v in os.environ.items() if k != "GENWRIGHT_API_KEY"}
    process = subprocess.Popen(
        [*line, "serve", "--port", "0", "--dtype", "float32", *arguments],
        env=environment | {"OMP_NUM_THREADS": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = process.stdout.readline()
        assert " at http://127.0.0.1:" in said, said + process.stdout.read()
        yield process, said.split(" at ")[1].strip().removesuffix("/v1")
    finally:
        process.kill()
        process.wait()


def test_the_embedded_model_answers_curl_and_drains_on_sigterm(tmp_path):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("needs curl")
    body = {
        "model": "smollm2-135m-instruct",
        "messages": [{"role": "user", "content": "Name a colour."}],
        "max_tokens": 8,
        "seed": 1,
    }
    with command(GENWRIGHT_API_KEY=KEY) as (process, url):
        head = ["-s", "-m", "300", "-H", "Content-Type: application/json"]
        ask = [curl, *head, "-H", f"Authorization: Bearer {KEY}", "-d", json.dumps(body)]
        given = subprocess.run([*ask, f"{url}/v1/chat/completions"], capture_output=True, text=True)
        answer = json.loads(given.stdout)
        own = LocalLM(dtype="float32", temperature=1.0, max_new_tokens=8)
        drawn = own.sample(body["messages"], 1, seed=1)[0]
        assert answer["choices"][0]["message"]["content"] == drawn.value
        streamed = subprocess.run(
            [*ask[:-1], json.dumps(body | {"stream": True}), "-N", f"{url}/v1/chat/completions"],
            capture_output=True,
            text=True,
        ).stdout
        assert streamed.rstrip().endswith("data: [DONE]")
        wrong = [curl, *head, "-H", "Authorization: Bearer other", f"{url}/v1/models"]
        refused = subprocess.run(wrong, capture_output=True, text=True).stdout
        assert json.loads(refused)["error"]["code"] == "invalid_api_key"

        answers = []

        def ask_long():
            with httpx.Client(headers={"Authorization": f"Bearer {KEY}"}, timeout=300) as http:
                long = body | {"max_tokens": 30, "n": 8, "temperature": 0.1}
                answers.append(http.post(f"{url}/v1/chat/completions", json=long))

        busy = False
        while not busy:  # a request may end before anybody looks: then ask again
            thread = threading.Thread(target=ask_long)
            thread.start()
            while thread.is_alive() and not busy:
                busy = httpx.get(f"{url}/health", timeout=300).json()["slots_used"] > 0
        process.send_signal(signal.SIGTERM)
        thread.join(300)
        assert answers[-1].status_code == 200
        assert answers[-1].json()["usage"]["completion_tokens"] > 2
        assert process.wait(300) == 0
        assert KEY not in process.stdout.read()
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/health")


def serve(**arguments):
    """Call the command in this process."""
    app = typer.Typer()
    command_of.register(app)
    return app.registered_commands[0].callback(**arguments)


def test_a_port_in_use_says_what_to_do(tiny):
    with closing(listen("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with pytest.raises(UserError, match=rf"127\.0\.0\.1:{port}.*--port"):
            serve(port=port, model=tiny.model)


def test_a_key_variable_that_is_not_set_is_no_open_door():
    with pytest.raises(UserError, match="NO_SUCH_KEY"):
        serve(api_key_env="NO_SUCH_KEY")


def test_an_improved_model_needs_its_task():
    with pytest.raises(InvalidArgument, match="--task"):
        serve(model="improved")


def test_it_listens_on_loopback_unless_told_otherwise(tiny, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("genwright.serving.run.run", lambda app, made, drain: asked.append(made))
    monkeypatch.delenv("GENWRIGHT_API_KEY", raising=False)
    serve(model=tiny.model, port=0, dtype="float32")
    assert "anybody" not in capsys.readouterr().out
    serve(model=tiny.model, port=0, dtype="float32", host="0.0.0.0")
    assert "anybody" in capsys.readouterr().out
    assert [made.getsockname()[0] for made in asked] == ["127.0.0.1", "0.0.0.0"]
    for made in asked:
        made.close()


def test_lookahead_is_off_unless_told_otherwise(tiny, monkeypatch):
    served = []
    monkeypatch.setattr("genwright.serving.run.run", lambda app, made, drain: made.close())
    monkeypatch.setattr(
        "genwright.serving.server.create_app", lambda lm, **others: served.append(lm)
    )
    serve(model=tiny.model, port=0, dtype="float32")
    serve(model=tiny.model, port=0, dtype="float32", lookahead=True)
    assert [lm.drafts for lm in served] == [None, Lookahead()]


def test_a_predictor_reads_the_prompts_where_it_is_named(tiny, monkeypatch):
    served = []
    monkeypatch.setattr("genwright.serving.run.run", lambda app, made, drain: made.close())
    monkeypatch.setattr(
        "genwright.serving.server.create_app", lambda lm, **others: served.append(lm)
    )
    serve(model=tiny.model, port=0)
    serve(model=tiny.model, port=0, predictor="models/predictor")
    assert [(lm.predictor, lm.prefill) for lm in served] == [
        ("", "exact"),
        ("models/predictor", "predicted"),
    ]


def test_a_task_is_served_as_it_steers(tiny, tmp_path):
    task = tmp_path / "digits.toml"
    task.write_text(
        f'''
name = "digits"
[generator]
method = "local_lm"
model = "{tiny.model}"
dtype = "float32"
temperature = 0.7
system = "Count."
[prompts]
template = "{{question}}"
rows = [{{ question = "?" }}]
[steering]
method = "regex"
pattern = "[0-9]{{3}}"
'''
    )
    lm = command_of._generator("base", str(task))
    assert (lm.temperature, lm.system) == (0.7, "Count.")
    assert lm.sample("?", 1, seed=0)[0].value.isdigit()
    assert command_of._generator("improved", str(task)) == lm  # nothing was improved yet
    by_row = (
        task.read_text().replace("[0-9]{3}", "{form}").replace('"?" }', '"?", form = "[0-9]" }')
    )
    task.write_text(by_row)
    with pytest.raises(InvalidArgument, match=r"names a field of a row, and a request brings no"):
        command_of._generator("base", str(task))


def test_wrong_settings_say_what_is_allowed():
    for port in (-1, 65536):
        with pytest.raises(InvalidArgument, match="0 to 65535"):
            listen("127.0.0.1", port)
    with pytest.raises(UserError, match=r"host\.invalid"):
        listen("host.invalid", 0)
    with pytest.raises(InvalidArgument, match="queue must be 0 or more, got -1"):
        Limits(queue=-1)
    with pytest.raises(InvalidArgument, match="seconds must be"):
        replace(Limits(), seconds=0.0)
    with pytest.raises(InvalidArgument, match="compile_seconds"):
        Limits(compile_seconds=float("inf"))


@pytest.mark.parametrize(
    ("model", "task", "name"),
    [
        ("improved", "flights", "flights-improved"),
        ("base", "tasks/flights.toml", "flights-base"),
        ("a/folder", "flights", "a/folder"),
    ],
)
def test_a_model_is_called_what_it_is(model, task, name):
    assert command_of._name(model, task) == name
