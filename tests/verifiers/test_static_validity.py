"""Pylint finds names that do not exist in a draw's lines, and runs nothing."""

import shutil

import pytest

from genwright.core import InvalidArgument, MissingExtra, MissingFile, Samples
from genwright.verifiers import static_validity
from genwright.verifiers.static_validity import StaticValidity

pytest.importorskip("pylint")

STORE = """open("ran", "w").write("imported")
class Basket:
    owner = ""
    def add(self): ...
"""
BEFORE = "from shop.store import Basket\nwrong_above\n\n\ndef f():\n    basket = Basket()\n"
AFTER = "\n\n\nwrong_below\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "store.py").write_text(STORE)
    return tmp_path


def checker(root, **settings):
    where = {"project": str(root), "file": "shop/use.py", "before": BEFORE, "after": AFTER}
    return StaticValidity(**(where | settings))


def test_only_what_is_wrong_in_the_draw_counts(project):
    draws = {
        "    return basket.owner": [],
        "    return basket.owners": [("no-member", 1)],
        "    x = 1\n    return basked": [("undefined-variable", 2)],
        "    return basket.(": [("syntax-error", 1)],
        "    return (": [("syntax-error", None)],
        "    unused = 1": [],
    }
    for verdict, expected in zip(
        checker(project).check(Samples(list(draws))), draws.values(), strict=True
    ):
        found = [(w["check"], w["line"]) for w in verdict.evidence or []]
        if expected[:1] == [("syntax-error", None)]:
            assert [check for check, _ in found] == ["syntax-error"]
        else:
            assert found == expected
        assert verdict.passed == (not expected)
    assert not list(project.rglob("ran"))
    assert sorted(p.name for p in project.rglob("*.py")) == ["__init__.py", "store.py"]


def test_a_file_is_read_anew_for_every_draw(project):
    """The second draw calls what the first one defined, and must not find it."""
    where = {"before": "", "after": "\n", "file": "shop/store.py"}
    other = checker(project, before="from shop import store\n", after="\n", file="shop/b.py")
    (first,) = checker(project, **where).check(Samples(["def made_up(): ..."]))
    (second,) = other.check(Samples(["store.made_up()"]))
    assert first.passed
    assert [w["check"] for w in second.evidence] == ["no-member"]
    (third,) = other.check(Samples(["store.Basket()"]))
    assert third.passed


def test_projects_with_packages_of_one_name_are_kept_apart(project, tmp_path):
    """In turn, so that each is asked after the other by the same process, and after it is gone."""
    other = tmp_path / "elsewhere"
    (other / "shop").mkdir(parents=True)
    (other / "shop" / "__init__.py").write_text("")
    (other / "shop" / "store.py").write_text("def till(): ...\n")
    asked = {"before": "from shop import store\n", "after": "\n", "file": "shop/b.py"}
    here, there = checker(project, **asked), checker(other, **asked)
    for _ in range(2):
        for mine, draw, right in (
            (here, "store.Basket()", True),
            (there, "store.till()", True),
            (there, "store.Basket()", False),
            (here, "store.till()", False),
        ):
            (verdict,) = mine.check(Samples([draw]))
            assert verdict.passed is right, (draw, verdict)
    shutil.rmtree(other)
    (last,) = here.check(Samples(["store.till()"]))
    assert last.passed is False


def test_a_late_check_is_undecided(project):
    (verdict,) = checker(project, seconds=1e-9).check(Samples(["    return 1"]))
    assert verdict.passed is None
    assert "no answer within" in verdict.evidence["reason"]


def test_bad_settings_are_refused(project, monkeypatch):
    with pytest.raises(InvalidArgument, match="seconds must be above 0"):
        checker(project, seconds=0)
    with pytest.raises(MissingFile, match="no folder"):
        checker("none").check(Samples([""]))
    monkeypatch.setattr(static_validity, "find_spec", lambda name: None)
    monkeypatch.setitem(__import__("sys").modules, "pylint", None)
    with pytest.raises(MissingExtra, match=r"genwright\[code\]"):
        checker(project).check(Samples([""]))
