"""What WordNet says is read rightly: from a small one written by hand, and from the real one."""

import pytest

from genwright.core import InvalidArgument, MissingFile, Samples
from genwright.verifiers.wordnet import Wordnet, WordnetGeneric, wordnet

# offset, lemmas, pointers (symbol, offset): a chain of kinds, a part, and a part of that part
SYNSETS = {
    1: ("entity", []),
    2: ("object", [("@", 1)]),
    3: ("whole", [("@", 2)]),
    4: ("organism", [("@", 3)]),
    5: ("animal beast", [("@", 4), ("%p", 8)]),
    6: ("dog", [("@", 5), ("%p", 7), ("+", 99)]),
    7: ("tail", [("@", 3), ("%s", 9)]),
    8: ("foot", [("@", 3)]),
    9: ("tail_bone", [("@", 11)]),
    11: ("bone", [("@", 12)]),
    12: ("tissue", [("@", 4)]),
    10: ("rover", [("@i", 6)]),
}
LEMMAS = {"dog": (6,), "animal": (5,), "organism": (4,), "tail": (7,), "foot": (8,), "whole": (3,)}
LEMMAS |= {"tail_bone": (9,), "rover": (10,), "object": (2,)}


@pytest.fixture
def small(tmp_path):
    licence = "  1 This is a licence.\n"
    data = [
        f"{o:08} 03 n {len(w.split()):02x} {' '.join(f'{x} 0' for x in w.split())} {len(p):03} "
        + "".join(f"{s} {t:08} {'v' if t == 99 else 'n'} 0000 " for s, t in p)
        + "| a gloss @ 00000001 n 0000"
        for o, (w, p) in SYNSETS.items()
    ]
    index = [
        f"{lemma} n {len(s)} 1 @ {len(s)} 0 " + " ".join(f"{o:08}" for o in s)
        for lemma, s in LEMMAS.items()
    ]
    (tmp_path / "data.noun").write_text(licence + "\n".join(data) + "\n")
    (tmp_path / "index.noun").write_text(licence + "\n".join(index) + "\n")
    (tmp_path / "noun.exc").write_text("feet foot\n")
    (tmp_path / "cntlist.rev").write_text("dog%1:05:00:: 1 42\ndog%2:35:00:: 1 9\n")
    return Wordnet.read(tmp_path)


def test_kinds_leave_out_the_general(small):
    assert small.hypernyms([6]) == {5}  # organism and above hold of too much
    assert small.all_above([6]) == {1, 2, 3, 4, 5}


def test_parts_are_inherited_and_have_parts(small):
    assert small.has([6]) == {7, 8, 9, 11, 12}  # a tail bone is a bone, and that is tissue
    assert small.has([5]) == {8}


def test_names_and_counts_are_told_apart(small):
    assert small.instances == {10}
    assert small.counts == {"dog": 42}


@pytest.mark.parametrize(
    ("text", "heads"),
    [
        (" a dog.", ["dog"]),
        (" dogs that bark", ["dog"]),
        (" four feet and", ["foot"]),
        (" very loyal animal, with", ["animal"]),
        (" a strong tail bone", ["tail bone"]),
        (" that is", []),
        ("", []),
        (" zzz", []),
    ],
)
def test_the_first_noun_phrase_counts(small, text, heads):
    assert small.heads(text) == heads


def test_a_folder_without_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path / "nowhere"))
    with pytest.raises(MissingFile, match="apt-get install wordnet-base"):
        wordnet()


def test_an_unknown_relation_is_refused():
    with pytest.raises(InvalidArgument, match="kind or part"):
        WordnetGeneric(noun="dog", relation="colour")


@pytest.fixture
def real():
    try:
        return wordnet()
    except MissingFile as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("noun", "relation", "true", "false"),
    [
        ("dog", "kind", [" domestic animal", " mammals."], [" cat", " object", " thing", ""]),
        ("car", "part", [" wheels and doors", " an engine"], [" leaves", " been sold"]),
        ("oak", "kind", [" tree that grows", " plants"], [" animal", " oak"]),
        ("oak", "part", [" bark", " a trunk"], [" wheels"]),
    ],
)
def test_the_real_one_knows_common_things(real, noun, relation, true, false):
    verifier = WordnetGeneric(noun=noun, relation=relation)
    verdicts = verifier.check(Samples([*true, *false]))
    assert [v.passed for v in verdicts] == [True] * len(true) + [False] * len(false)


def test_a_noun_that_is_none_is_refused(real):
    with pytest.raises(InvalidArgument, match="no noun 'xyzzy'"):
        WordnetGeneric(noun="xyzzy", relation="kind").check(Samples(["x"]))
