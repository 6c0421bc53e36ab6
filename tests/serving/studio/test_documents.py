"""Documents are plain files under safe names, replaced in one step, and never lost."""

import json
import sys

import pytest

from genwright.serving.faults import ApiError
from genwright.serving.studio.documents import Documents, data_folder

HELD = {"title": "A walk", "text": "é\n<b>", "filters": []}


@pytest.fixture
def documents(tmp_path):
    return Documents(tmp_path / "kept")


def test_a_document_is_a_plain_file_that_reads_back(documents):
    made = documents.create(HELD)
    assert made["name"] == "a-walk"
    assert json.loads((documents.folder / "a-walk.json").read_text()) == {
        **HELD, "format": 1, "revision": 1,
    }  # fmt: skip
    assert documents.read("a-walk").items() >= HELD.items()
    assert documents.all()[0].items() >= {"title": "A walk", "words": 2}.items()


def test_equal_titles_make_different_files(documents):
    names = {documents.create(HELD)["name"] for _ in range(5)}
    assert len(names) == 5
    assert documents.create({"title": "???"})["name"] == "untitled"


@pytest.mark.parametrize(
    "name", ["", "..", "../a", "a/b", "A", "a.json", ".a", "-a", "a-", "a\0", "é", "x" * 65]
)
def test_no_name_leads_out_of_the_folder(documents, name):
    for act in (documents.read, documents.delete, lambda n: documents.save(n, HELD, 1)):
        with pytest.raises(ApiError, match="no name of a document"):
            act(name)


def test_a_change_on_top_of_another_is_refused_and_neither_is_lost(documents):
    documents.create(HELD)
    assert documents.save("a-walk", {**HELD, "text": "one"}, 1)["revision"] == 2
    with pytest.raises(ApiError, match="changed elsewhere") as raised:
        documents.save("a-walk", {**HELD, "text": "two"}, 1)
    assert raised.value.status == 409
    assert documents.read("a-walk")["text"] == "one"


def test_what_is_deleted_is_moved(documents):
    documents.create(HELD)
    away = documents.delete("a-walk")
    assert json.loads(away.read_text())["text"] == HELD["text"]
    assert documents.all() == []
    with pytest.raises(ApiError, match="no document 'a-walk'"):
        documents.read("a-walk")


def test_a_file_that_is_no_document_is_told_and_hides_no_other(documents):
    documents.create(HELD)
    (documents.folder / "broken.json").write_text("{")
    (documents.folder / "other.json").write_text('{"format": 9}')
    told = {each["name"]: each for each in documents.all()}
    assert "cannot be read" in told["broken"]["problem"]
    assert "format is not 1" in told["other"]["problem"]
    assert told["a-walk"]["title"] == "A walk"


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ApiError, match=r"cannot be written.*permissions"):
        Documents(tmp_path / "file").create(HELD)


def test_the_users_data_folder(monkeypatch, tmp_path):
    if sys.platform != "linux":
        pytest.skip("needs Linux: other systems keep data elsewhere")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "genwright" / "studio"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder() == tmp_path / ".local" / "share" / "genwright" / "studio"
