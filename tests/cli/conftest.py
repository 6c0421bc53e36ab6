"""A folder with a task file whose generator is a scripted endpoint, and a way to run commands."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from genwright.cli.main import main
from genwright.testing.endpoint import ScriptedEndpoint

TASK = """name = "sums"
workers = 2

[generator]
method = "remote_lm"
base_url = "{url}"
model = "scripted"
retries = 1
backoff = 0.01
timeout = 2.0

[prompts]
rows = [{{question = "1 + 1?", answer = "2"}}, {{question = "2 + 2?", answer = "4"}}]

[verifier]
method = "exact_match"
gold = "{{answer}}"

[strategy]
method = "repeated_sampling"
n = 3
batch = 1
"""


@dataclass
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    """Return a function that runs `genwright ARGUMENTS` in a fresh folder."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["genwright", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return command


@pytest.fixture
def endpoint():
    """Serve the sum of every prompt such as `1 + 1?`; yields the base URL."""

    def reply(body):
        a, b = body["messages"][-1]["content"].rstrip("?").split(" + ")
        return str(int(a) + int(b))

    with ScriptedEndpoint(reply) as url:
        yield url


@pytest.fixture
def task(tmp_path):
    """Return a function that writes `tasks/sums.toml` for an endpoint, changed on request."""

    def write(url, old="", new=""):
        folder = tmp_path / "tasks"
        folder.mkdir(exist_ok=True)
        text = TASK.format(url=url)
        assert old in text
        (folder / "sums.toml").write_text(text.replace(old, new, 1) if old else text)
        return Path("tasks/sums.toml")

    return write
