"""Whether WordNet knows a statement: "A dog is a kind of animal", "A dog has a tail".

Choose it as a free judge of simple generics about common nouns. It is strict: what WordNet does not
say counts as false, so that a share of true statements is a lower bound.

Miller 1995, "WordNet: A Lexical Database for English", Communications of the ACM 38(11); the data
is WordNet 3.0, as Debian's package `wordnet-base` has it. Ours: what is meant by true. A kind of
something is whatever stands above it, in any of its senses; the first levels below `entity`, which
hold of everything, do not count. A thing has the parts, members and substances of itself, of what
stands above it, and of its parts, and whatever one of these is a kind of.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

from genwright.core import InvalidArgument, MissingFile, Samples, Verdict, method

PAPER = "10.1145/219717.219748"
PLACES = ("WNSEARCHDIR", "/usr/share/wordnet")
"""The variable that WordNet's own programs read, and where Debian puts its data."""

GENERAL = 4
"""Synsets fewer than so many steps below `entity` say nothing: object, whole, matter, act."""

Relation = Literal["kind", "part"]

_ARTICLES = {"a", "an", "the", "its", "their", "some", "any", "one", "two", "four", "many", "of"}
_ENDS_PHRASE = """that which who whose where when used with without of in on at for from by to and
or but as is are was were has have had can could may will would it they he she you we i not also
made found known called commonly often usually typically like such than"""
_STOPS = frozenset(_ENDS_PHRASE.split())


@method(paper=PAPER)
@dataclass(frozen=True, kw_only=True)
class WordnetGeneric:
    """Passes a continuation that makes a true statement about a noun.

    The first noun phrase of the draw is what is said of the noun: articles before it are skipped,
    and it ends at a punctuation mark or a word such as "that" or "with". Its longest ending that is
    a noun of WordNet (in its singular) counts.

    Args:
        noun: what the statement is about.
        relation: `"kind"` ("A dog is a kind of ...") or `"part"` ("A dog has ...").

    Raises:
        InvalidArgument: an unknown relation.
    """

    noun: str
    relation: Relation

    def __post_init__(self) -> None:
        if self.relation not in ("kind", "part"):
            raise InvalidArgument(
                f"WordnetGeneric: relation must be kind or part, got {self.relation!r}."
            )

    def check(self, samples: Samples[str]) -> list[Verdict]:
        """Look each draw up.

        Raises:
            MissingFile: WordNet is not there.
            InvalidArgument: WordNet does not know the noun.
        """
        known = wordnet()
        if not known.synsets(self.noun):
            raise InvalidArgument(f"WordnetGeneric: WordNet has no noun {self.noun!r}.")
        true = _true(self.noun, self.relation)
        return [self._judge(known, true, str(value)) for value in samples.values]

    def _judge(self, known: "Wordnet", true: frozenset[int], text: str) -> Verdict:
        said = known.heads(text)
        evidence = {"said": said[0] if said else ""}
        if any(true & set(known.synsets(one)) for one in said):
            return Verdict.ok(evidence)
        return Verdict.fail(evidence)


@dataclass(frozen=True, eq=False)
class Wordnet:
    """The nouns of WordNet.

    Args:
        senses: lemma in small letters, with spaces -> synsets, the commonest first.
        above: synset -> its hypernyms.
        parts: synset -> its parts, members and substances.
        counts: lemma -> how often it was seen in the tagged texts, in its senses as a noun.
        irregular: plural -> singular, where no rule says it.
        instances: synsets that are one thing with a name, and no kind of thing.
    """

    senses: Mapping[str, tuple[int, ...]]
    above: Mapping[int, tuple[int, ...]]
    parts: Mapping[int, tuple[int, ...]]
    counts: Mapping[str, int]
    irregular: Mapping[str, str]
    instances: frozenset[int] = frozenset()
    _depths: dict[int, int] = field(default_factory=dict[int, int])

    @classmethod
    def read(cls, folder: Path) -> "Wordnet":
        """Read `index.noun`, `data.noun`, `noun.exc` and `cntlist.rev` of a folder.

        Raises:
            MissingFile: one of them is not there.
        """
        for name in ("index.noun", "data.noun", "noun.exc", "cntlist.rev"):
            if not (folder / name).is_file():
                raise MissingFile(f"WordNet: there is no {folder / name}. {HOW}")
        senses = dict(_senses(folder / "index.noun"))
        above: dict[int, tuple[int, ...]] = {}
        parts: dict[int, tuple[int, ...]] = {}
        instances = set[int]()
        for synset, pointers in _synsets(folder / "data.noun"):
            above[synset] = tuple(to for kind, to in pointers if kind in ("@", "@i"))
            parts[synset] = tuple(to for kind, to in pointers if kind in ("%p", "%m", "%s"))
            if any(kind == "@i" for kind, _ in pointers):
                instances.add(synset)
        counts: dict[str, int] = {}
        for line in _lines(folder / "cntlist.rev"):
            key, _, count = line.split(" ")
            lemma, _, place = key.partition("%")
            if place.startswith("1:"):
                lemma = lemma.replace("_", " ")
                counts[lemma] = counts.get(lemma, 0) + int(count)
        irregular = dict(
            line.replace("_", " ").split(" ")[:2] for line in _lines(folder / "noun.exc")
        )
        return cls(senses, above, parts, counts, irregular, frozenset(instances))

    def synsets(self, lemma: str) -> tuple[int, ...]:
        """Return the senses of a noun, the commonest first; none for what is no noun."""
        return self.senses.get(lemma.lower(), ())

    def all_above(self, synsets: Iterable[int]) -> set[int]:
        """Return all that stands above, up to `entity`."""
        return self._closure(synsets, self.above)

    def hypernyms(self, synsets: Iterable[int]) -> set[int]:
        """Return all that stands above, the general left out."""
        return {s for s in self._closure(synsets, self.above) if self._depth(s) >= GENERAL}

    def has(self, synsets: Iterable[int]) -> set[int]:
        """Return the parts of synsets, of all above them, and of those parts, and their kinds."""
        start = list(synsets)
        kinds = {*start, *self._closure(start, self.above)}
        own = {part for kind in kinds for part in self.parts.get(kind, ())}
        parts = own | self._closure(own, self.parts)
        return parts | self.hypernyms(parts)  # what has a car engine has an engine

    def heads(self, text: str) -> list[str]:
        """Return the noun that a text begins with, and what it may be the plural of.

        None where it begins with no noun of WordNet.
        """
        phrase = re.split(r"[^a-z' -]", text.lower().strip(), maxsplit=1)[0].split()
        while phrase and phrase[0] in _ARTICLES:
            phrase = phrase[1:]
        end = next((i for i, word in enumerate(phrase) if word in _STOPS), len(phrase))
        phrases = (" ".join(phrase[start:end]) for start in range(end))
        known = ([one for one in self._singulars(p) if one in self.senses] for p in phrases)
        return next((found for found in known if found), list[str]())

    def _singulars(self, phrase: str) -> Iterator[str]:
        """Yield a phrase, and what it may be the plural of (Morphy's rules for nouns)."""
        yield phrase
        before, _, last = phrase.rpartition(" ")
        if last in self.irregular:
            yield f"{before} {self.irregular[last]}".strip()
        for ending, better in _ENDINGS:
            if last.endswith(ending) and len(last) > len(ending) + 1:
                yield phrase.removesuffix(ending) + better

    def _closure(self, start: Iterable[int], links: Mapping[int, tuple[int, ...]]) -> set[int]:
        found, front = set[int](), list(start)
        while front:
            for to in links.get(front.pop(), ()):
                if to not in found:
                    found.add(to)
                    front.append(to)
        return found

    def _depth(self, synset: int) -> int:
        """Return how many steps lead up to `entity`, by the shortest way."""
        if synset not in self._depths:
            ups = [self._depth(up) for up in self.above.get(synset, ())]
            self._depths[synset] = min(ups) + 1 if ups else 0
        return self._depths[synset]


HOW = (
    "Install it (apt-get install wordnet-base), or unpack the package into a folder (apt-get "
    "download wordnet-base && dpkg-deb -x wordnet-base_*.deb FOLDER) and set WNSEARCHDIR to "
    "FOLDER/usr/share/wordnet."
)

_ENDINGS = (
    ("ses", "s"),
    ("ves", "f"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
    ("s", ""),
)


def wordnet() -> Wordnet:
    """Return WordNet from the folder of `WNSEARCHDIR`, or from `/usr/share/wordnet`.

    Raises:
        MissingFile: it is not there; the message says how to get it.
    """
    variable, standard = PLACES
    return _read(Path(os.environ.get(variable) or standard))


@cache
def _read(folder: Path) -> Wordnet:
    return Wordnet.read(folder)


@lru_cache(4096)
def _true(noun: str, relation: Relation) -> frozenset[int]:
    known = wordnet()
    senses = known.synsets(noun)
    return frozenset(known.hypernyms(senses) if relation == "kind" else known.has(senses))


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("  "):  # the licence stands on indented lines
                yield line.strip()


def _senses(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield (lemma, synsets): lemma, part of speech, s, p, p pointers, s, tagged, s offsets."""
    for line in _lines(path):
        parts = line.split()
        yield parts[0].replace("_", " "), tuple(map(int, parts[-int(parts[2]) :]))


def _synsets(path: Path) -> Iterator[tuple[int, list[tuple[str, int]]]]:
    """Yield (synset, its pointers to nouns as (symbol, synset)); see wndb(5WN)."""
    for line in _lines(path):
        fields = line.partition(" | ")[0].split()
        at = 4 + 2 * int(fields[3], 16)
        rows = [fields[at + 1 + 4 * i : at + 5 + 4 * i] for i in range(int(fields[at]))]
        yield int(fields[0]), [(kind, int(to)) for kind, to, part, _ in rows if part == "n"]
