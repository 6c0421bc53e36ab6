"""Cases of sources, keys, loaders and selectors."""

import pytest
from case_parts import cls

from genwright.testing import KeyCase, LoaderCase, SelectorCase, SourceCase


def source(name, columns, **settings):
    kind = cls("source", name)
    return SourceCase(
        make=lambda: kind(**settings),
        other=lambda: kind(**settings, seed=11),
        columns=columns,
    )


def source__template_questions(database):
    return source("template_questions", ("question", "sql", "split"), database=database, n=4)


def source__held_out_questions(database):
    columns = ("question", "sql", "split")
    return source("held_out_questions", columns, database=database, n=2, splits=("parameters",))


def source__extraction_texts():
    return source("extraction_texts", ("text", "record", "kind", "schema"), n=4)


def source__word_problems():
    return source("word_problems", ("question", "answer", "origin"), n=4, gsm8k="never")


def source__commented_programs():
    return source("commented_programs", ("question", "program", "tests", "steps"), n=4)


def source__datasets_file(tmp_path):
    pytest.importorskip("datasets")
    path, kind = tmp_path / "rows.csv", cls("source", "datasets_file")
    path.write_text("question,answer\n1 + 1?,2\n2 + 2?,4\n")
    return SourceCase(make=lambda: kind(path=str(path)), other=None, columns=("question", "answer"))


def source__digit_images():
    pytest.importorskip("sklearn")
    kind = cls("source", "digit_images")
    return SourceCase(make=lambda: kind(n=3), other=None, columns=("label", "class", "image"))


def source__image_folder(tmp_path):
    image, kind = pytest.importorskip("PIL.Image"), cls("source", "image_folder")
    image.new("L", (4, 4), 255).save(tmp_path / "white.png")
    columns = ("label", "class", "image")
    return SourceCase(make=lambda: kind(path=str(tmp_path)), other=None, columns=columns)


def source__reasoning_gym():
    pytest.importorskip("reasoning_gym")
    columns = ("question", "answer", "task")
    return source("reasoning_gym", columns, dataset="chain_sum", n=3)


def key(name, groups, nonsense, **settings):
    kind = cls("key", name)
    return KeyCase(make=lambda: kind(**settings), groups=groups, nonsense=nonsense)


def key__math_key():
    halves = ["so \\boxed{1/2}", "the answer is 0.5", "#### 2/4"]
    return key("math_key", [halves, ["#### 3", "3.0"]], ["none", "", None, 7])


def key__chain_answer():
    six = ["#1. a\n#2. (by #1) So the answer is 6.", "The answer is $6.00", "6 pens"]
    other = ["The best option is B) 6.", "The date is 1/02/2021", 'So the answer is "abc".']
    return key("chain_answer", [six, *([text] for text in other)], ["none", "", None, 7])


def key__json_key():
    same = ['{"a": 1, "b": [2]}', '{"b":[2.0],"a":1}', {"a": 1, "b": [2]}]
    return key("json_key", [same, ["[1, 2]"], ["[2, 1]"]], ["{", "", {1}])


def key__sql_result(database):
    spain = [
        "SELECT name FROM customers WHERE country = 'Spain'",
        "SELECT name FROM customers WHERE id IN (4, 3) ORDER BY id DESC",
    ]
    groups = [spain, ["SELECT 1"], ["SELECT '1'"]]
    return key("sql_result", groups, ["SELECT", "SELECT price FROM customers"], database=database)


def loader__flights_database(tmp_path_factory):
    kind = cls("loader", "flights_database")
    path = tmp_path_factory.mktemp("flights") / "flights.sqlite"
    return LoaderCase(make=lambda: kind(path=str(path)))


def loader__untrained_denoiser(tmp_path_factory):
    path = tmp_path_factory.mktemp("beginner") / "model"
    return LoaderCase(make=lambda: cls("loader", "untrained_denoiser")(path=str(path), width=8))


def loader__digit_features(tmp_path_factory):
    pytest.importorskip("sklearn")
    path = tmp_path_factory.mktemp("features") / "digits.safetensors"
    return LoaderCase(make=lambda: cls("loader", "digit_features")(path=str(path)))


def selector__b4():
    return SelectorCase(make=cls("selector", "b4"))


def selector__soft_b4():
    return SelectorCase(make=cls("selector", "soft_b4"))


def selector__code_t():
    return SelectorCase(make=cls("selector", "code_t"))


def selector__max_pass():
    return SelectorCase(make=cls("selector", "max_pass"))


def selector__mbr_exec():
    return SelectorCase(make=cls("selector", "mbr_exec"))
