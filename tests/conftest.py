"""What the tests share: the real data that is too large for the repository, and a tiny model."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# Tests ask no hub: read when the hub's library is first imported, here and in child processes.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Tests run side by side, and threads that wait for each other's cores cost more than they bring.
# Read when torch is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's background jobs ignore Ctrl-C, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A law is about values; how long one example takes depends on the machine and what else it does.
settings.register_profile("genwright", deadline=None)
settings.load_profile("genwright")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Return a function from a name such as `code/humaneval.jsonl.gz` to its path.

    It skips the test where the file is absent. `GENWRIGHT_DATA` names the folder; without it, the
    folder `shared/data` beside the repository is used.
    """
    folder = Path(os.environ.get("GENWRIGHT_DATA") or ROOT.parent / "shared" / "data")

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"needs {name}: {path} is not there (set GENWRIGHT_DATA to its folder)")
        return path

    return find


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a Llama that `LocalLM` takes: random weights, one token a byte.

    It has two layers of width 32.
    """
    pytest.importorskip("torch")
    from genwright.generators.language.untrained import untrained

    return untrained(tmp_path_factory.mktemp("tiny"), width=32, layers=2, heads=2)
