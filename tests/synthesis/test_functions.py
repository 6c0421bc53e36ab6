"""Functions come with the file around them, and only those that are worth learning from."""

import ast

import pytest

from genwright.core import MissingFile
from genwright.synthesis.functions import documented_functions, first_sentence

FILE = '''import os


class Shop:
    @property
    def price(self) -> int:
        """Return the whole price. With tax.

        More of it.
        """
        # counted by hand
        total = (  1 +
            2)
        return total

    def plain(self):
        return 1

    def empty(self):
        """Do nothing at all."""
        pass

    def abstract(self):
        """Return something some day."""
        raise NotImplementedError("later")


def test_me():
    """Check that it works."""
    return os.name


def outer(
    a,
    b=2,
):
    """Add two numbers up"""
    def inner():
        return a
    return inner() + b
'''


@pytest.fixture
def project(tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "shop.py").write_text(FILE)
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "long.py").write_text(
        'def f(a):\n    """Return a at once."""\n    return a\n' * 400
    )
    return tmp_path


def test_a_function_and_its_file_fit_together(project):
    price, outer = documented_functions(project)
    assert (price.name, price.file, outer.name) == ("price", "pkg/shop.py", "outer")
    assert price.head == '    def price(self) -> int:\n        """Return the whole price"""\n'
    assert price.body == "        total = 1 + 2\n        return total"
    assert price.above == FILE[: FILE.index("    def price")]
    assert price.below == FILE[FILE.index("\n\n    def plain") :]
    assert outer.head == 'def outer(\n    a,\n    b=2,\n):\n    """Add two numbers up"""\n'
    assert outer.body == "    def inner():\n        return a\n    return inner() + b"
    assert outer.below == "\n"


def test_the_file_is_the_same_program_but_for_docstrings(project):
    for function in documented_functions(project):
        whole = ast.parse(function.before + function.body + function.below)
        for tree in (whole, expected := ast.parse(FILE)):
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef) and ast.get_docstring(node):
                    node.body[0].value.value = ""
        assert ast.dump(whole) == ast.dump(expected)


@pytest.mark.parametrize(
    ("docstring", "found"),
    [
        ("Return the price. More.", "Return the price"),
        ("Return the\n   price here\n\nMore", "Return the price here"),
        ("Return it all :param x: no", "Return it all"),
        ("Two words", ""),
        ('Say "a" to them', ""),
        (">>> a b c", ""),
        ("", ""),
    ],
    ids=["sentence", "lines", "fields", "short", "quotes", "code", "empty"],
)
def test_what_is_kept_of_a_docstring(docstring, found):
    assert first_sentence(docstring) == found


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(MissingFile, match="no folder"):
        documented_functions(tmp_path / "none")
