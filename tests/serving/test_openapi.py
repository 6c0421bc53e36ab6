"""The server keeps to its own description, whatever is sent (schemathesis)."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import httpx
import pytest

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_every_answer_is_one_that_the_description_names(tiny, serving, tmp_path, mode):
    pytest.importorskip("schemathesis")
    with serving(replace(tiny, max_new_tokens=4), name="tiny") as url:
        described = httpx.get(f"{url}/openapi.json").json()
        for body in ("ChatRequest", "CompletionRequest"):  # or nearly all ask for another model
            described["components"]["schemas"][body]["properties"]["model"] = {"const": "tiny"}
        (tmp_path / "openapi.json").write_text(json.dumps(described))
        command = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", url]
        command += ["--checks", CHECKS, "--mode", mode, "--max-examples", "10"]
        command += ["--phases", "coverage,fuzzing", "--generation-deterministic"]
        command += ["--request-timeout", "120", "--workers", "1"]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert int(re.search(r"(\d+) generated", run.stdout)[1]) > 30, run.stdout
