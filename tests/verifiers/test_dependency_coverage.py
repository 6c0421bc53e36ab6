"""Names are those of the paper's rule, and a draw's score is their share by hand."""

import pytest

from genwright.core import InvalidArgument, Samples
from genwright.steering.triggers import augment
from genwright.verifiers.dependency_coverage import DependencyCoverage, dependencies

HEAD = 'def send(client, url, *, retries=2):\n    """Send it"""\n'
BODY = """    import json
    from tools import pack as packed
    body = json.dumps(packed(url))
    with client.reach(url) as stream:
        stream.write(body, timeout=LIMIT)
    for part in client.session.parts:
        Report.log = make_report(part.size)
    try:
        return self.pool.get(lambda x: x.key)
    except Broken as error:
        error.show()
"""


class KnowsAll:
    """Knows every name that is written there."""

    def complete(self, file, before, after):
        import re

        return re.findall(r"\w+", BODY)


def test_names_in_chains_local_or_passed_do_not_count():
    found = dependencies(HEAD, augment(BODY, KnowsAll(), file="m.py"))
    named = "client.reach LIMIT session.parts Report.log make_report pool.get x.key Broken"
    assert found == tuple(named.split())


def score(draw, *names):
    (verdict,) = DependencyCoverage(names=names).check(Samples([draw]))
    assert verdict.passed == (verdict.score == 1)
    return verdict.score


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        ("client.open(make())", 1.0),
        ("x.client.open(remake())", 0.5),
        ("client.opened(make2)", 0.0),
        ("'client.open' + \"make\"", 0.0),
        ('"""client.open\nmake"""\nmake', 0.5),
        ("clientXopen(make)", 0.5),
        ("", 0.0),
    ],
    ids=["both", "longer", "neither", "strings", "docstring", "dot", "empty"],
)
def test_a_draw_covers_what_it_writes_outside_of_strings(draw, expected):
    assert score(draw, "client.open", "make") == expected


def test_missing_names_are_told():
    (verdict,) = DependencyCoverage(names=("a.b", "c")).check(Samples(["c()"]))
    assert verdict.evidence == {"missing": ["a.b"]}


@pytest.mark.parametrize("names", [(), ("a", "")], ids=["none", "empty"])
def test_nothing_to_cover_is_refused(names):
    with pytest.raises(InvalidArgument, match="must hold at least one"):
        DependencyCoverage(names=names)


def test_what_is_no_function_is_refused():
    nothing = augment("", KnowsAll(), file="m.py")
    for head in ("x = 1\n", "def f(:\n"):
        with pytest.raises(InvalidArgument, match="no function"):
            dependencies(head, nothing)
