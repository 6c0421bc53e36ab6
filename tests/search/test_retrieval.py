"""ChunkSearch finds the true optimum when it may look long enough, within its limits always."""

import json
from itertools import permutations
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.core import GenwrightError, InvalidArgument, Stop, uniform
from genwright.search.greedy_retrieval import GreedyMarginal, MaximalMarginalRelevance, TopK
from genwright.search.retrieval import ChunkSearch, Scorer

LETTERS = "abcdefgh"


def noise(seed):
    """A utility without any structure: every ordered selection has its own random worth."""
    return lambda query, selections: [uniform(seed, query, *chunks) for chunks in selections]


def sizes(seed):
    return lambda chunk: 1 + int(uniform(seed, "size", chunk) * 5)


def brute(utility, chunks, budget, count):
    """The best worth of all ordered selections within the budget, or None."""
    orders = [p for k in range(1, len(chunks) + 1) for p in permutations(chunks, k)]
    fits = [p for p in orders if sum(map(count, p)) <= budget]
    return max(utility("q", fits), default=None) if fits else None


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 16), st.integers(1, 4), st.integers(1, 5))
def test_enough_iterations_give_the_optimum_by_enumeration(seed, budget, n, leaves):
    chunks = list(LETTERS[:n])
    search = ChunkSearch(
        utility=noise(seed), budget=budget, count=sizes(seed), iterations=100, leaves=leaves
    )
    found = search.select("q", chunks)
    assert found.utility == brute(noise(seed), chunks, budget, sizes(seed))
    assert found.stop is Stop.DECIDED


@settings(max_examples=50)
@given(
    st.integers(0, 10**6),
    st.integers(0, 20),
    st.integers(0, 8),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(0, 60),
)
def test_no_limit_is_ever_exceeded(seed, budget, n, iterations, leaves, evaluations):
    asked = []

    def utility(query, selections):
        asked.extend(selections)
        return noise(seed)(query, selections)

    kind = {"utility": utility, "budget": budget, "count": sizes(seed)}
    chunks = list(LETTERS[:n])
    selectors = [
        ChunkSearch(iterations=iterations, leaves=leaves, evaluations=evaluations, **kind),
        GreedyMarginal(evaluations=evaluations, seed=seed, **kind),
        GreedyMarginal(**kind),
        TopK(**kind),
    ]
    for selector in selectors:
        asked.clear()
        found = selector.select("q", chunks)
        assert found.tokens == sum(sizes(seed)(chunks[i]) for i in found.order) <= budget
        assert len(set(found.order)) == len(found.order)
        assert found.cost.network_evaluations == len(asked) == len(set(asked))
        assert selector is not selectors[0] or len(asked) <= evaluations
        assert selector is not selectors[1] or len(asked) <= evaluations
        assert found == selector.select("q", chunks)  # nothing in it is random


def test_the_statistics_of_the_tree_by_hand():
    """Chunks a, b, c; after the root, a (1.0) has the largest score, and its children pull it down.

    Two iterations: a has visits 3 and total 1 + 0.2 + 0.3; then b, c have UCB
    mean + 2 sqrt(ln 5 / 1), and b (0.5) comes before c (0.0).
    """
    worth = {"a": 1.0, "b": 0.5, "c": 0.0, "ab": 0.2, "ac": 0.3, "ba": 0.4, "bc": 0.1}
    search = ChunkSearch(
        utility=lambda q, s: [worth["".join(x)] for x in s], budget=9, iterations=3, lam=0.0
    )
    found = search.select("q", ["a", "b", "c"])
    nodes = found.tree["nodes"]
    assert 0.5 + 2 * sqrt(log(5)) > 0.5 + 2 * sqrt(log(5) / 3)
    assert found.tree["chunk"] == [0, 1, 2, 1, 2, 0, 2]
    assert nodes["visits"] == [7, 3, 3, 1, 1, 1, 1, 1]
    assert nodes["total"] == pytest.approx([2.5, 1.5, 1.0, 0.0, 0.2, 0.3, 0.4, 0.1])
    assert (found.order, found.utility, found.stop) == ((0,), 1.0, Stop.COMPLETE)


def test_the_answer_has_the_highest_utility_of_its_own_not_the_highest_mean():
    """a and all below it are worth 0.9; the one jewel hides below b, whose mean is low."""

    def utility(query, selections):
        kinds = {("b", "a"): 1.0}
        return [kinds.get(s, 0.9 if s[0] == "a" else 0.0) for s in selections]

    found = ChunkSearch(utility=utility, budget=9).select("q", list("abc"))
    assert (found.order, found.utility) == ((1, 0), 1.0)


@settings(max_examples=10)
@given(st.lists(st.tuples(st.integers(4, 9), st.integers(1, 9)), min_size=8, max_size=8))
def test_additive_utility_is_a_knapsack(items):
    """By dynamic programming over the budget; worth and sizes are whole numbers."""
    budget, chunks = 12, list(LETTERS[: len(items)])
    size, worth = ({c: item[k] for c, item in zip(chunks, items, strict=True)} for k in (0, 1))
    table = [0] * (budget + 1)
    for cost, value in items:
        for room in range(budget, cost - 1, -1):
            table[room] = max(table[room], table[room - cost] + value)
    found = ChunkSearch(
        utility=lambda q, s: [sum(worth[c] for c in x) for x in s],
        budget=budget,
        count=size.__getitem__,
        iterations=2000,
        leaves=50,
    ).select("q", chunks)
    assert (found.stop, found.utility) == (Stop.DECIDED, table[budget])


def test_of_two_equal_chunks_only_one_is_chosen():
    """A repeated text adds nothing and its tokens are punished."""

    def utility(query, selections):
        return [len(set(" ".join(s).split())) - 0.1 * len(" ".join(s).split()) for s in selections]

    chunks = ["red fox", "blue jay", "red fox", "blue jay", "owl"]
    order = ChunkSearch(utility=utility, budget=20, iterations=200).select("q", chunks).order
    assert {chunks[i] for i in order} == set(chunks)
    assert len(order) == 3


def test_equal_utilities_go_to_the_fewer_tokens():
    found = ChunkSearch(utility=lambda q, s: [1.0] * len(s), budget=9).select(
        "q", ["one two", "one", "one two three"]
    )
    assert (found.order, found.tokens) == ((1,), 1)


def test_a_large_lambda_keeps_to_the_cheap_branch():
    """With lam = 0 the walk goes on below the useful long chunk, else below the short one."""
    worth = {"long long": 1.0, "short": 0.0}
    grown = {}
    for lam in (0.0, 10.0):
        found = ChunkSearch(
            utility=lambda q, s: [worth[x[0]] for x in s], budget=9, lam=lam, iterations=2
        ).select("q", list(worth))
        grown[lam] = found.tree["nodes"]["parent"][-1]
    assert grown == {0.0: 1, 10.0: 2}


@pytest.mark.parametrize("scale", [(1e-6, 0.0), (1e6, -7.0)])
def test_the_scale_of_a_utility_changes_nothing(scale):
    factor, shift = scale

    def scaled(query, selections):
        return [factor * value + shift for value in noise(4)(query, selections)]

    plain, other = (
        ChunkSearch(utility=u, budget=9, iterations=12, leaves=2).select("q", list("abcdef"))
        for u in (noise(4), scaled)
    )
    assert plain.order == other.order
    assert plain.tree["chunk"] == other.tree["chunk"]


@pytest.mark.parametrize("first", [0, 1, 4])
def test_a_search_goes_on_from_a_saved_tree_and_evaluates_nothing_twice(first):
    """Also from the tree of a search that was cut by its limit of evaluations."""
    asked = []

    def utility(query, selections):
        asked.extend(selections)
        return noise(1)(query, selections)

    chunks, kind = list("abcde"), {"utility": utility, "budget": 4}
    whole = ChunkSearch(iterations=9, **kind).select("q", chunks)
    asked.clear()
    begun = ChunkSearch(iterations=max(1, first), **kind).select("q", chunks)
    tree = json.loads(json.dumps(dict(begun.tree))) if first else None
    left = 9 - first if first else 9
    if not first:
        asked.clear()
    ended = ChunkSearch(iterations=left, **kind).select("q", chunks, tree)
    assert len(asked) == len(set(asked))
    assert (ended.order, ended.utility) == (whole.order, whole.utility)
    assert ended.tree["chunk"] == whole.tree["chunk"]
    assert ended.tree["nodes"]["visits"] == whole.tree["nodes"]["visits"]


def test_a_tree_of_other_chunks_is_refused():
    tree = ChunkSearch(utility=noise(1), budget=4).select("q", list("abcde")).tree
    with pytest.raises(InvalidArgument, match="more than 3 chunks"):
        ChunkSearch(utility=noise(1), budget=4).select("q", list("abc"), tree)


@pytest.mark.parametrize(
    "kind", [ChunkSearch, GreedyMarginal, TopK], ids=["search", "greedy", "top"]
)
@pytest.mark.parametrize("chunks", [[], ["far too long a chunk"]])
def test_no_chunk_that_fits_is_an_empty_selection(kind, chunks):
    found = kind(utility=noise(0), budget=2).select("q", chunks)
    assert (found.order, found.tokens) == ((), 0)
    assert found.utility is None


def test_one_chunk():
    found = ChunkSearch(utility=noise(0), budget=2).select("q", ["a"])
    assert (found.order, found.cost.network_evaluations) == ((0,), 1)
    assert found.stop is Stop.DECIDED


def test_a_utility_that_raises_is_heard():
    def broken(query, selections):
        raise RuntimeError("no reranker")

    with pytest.raises(RuntimeError, match="no reranker"):
        ChunkSearch(utility=broken, budget=2).select("q", ["a"])


@pytest.mark.parametrize(
    ("utility", "error", "message"),
    [
        (lambda q, s: [0.5], GenwrightError, "asked for 2 values and returned 1"),
        (lambda q, s: [float("nan")] * len(s), InvalidArgument, "must be finite"),
    ],
)
def test_a_utility_that_answers_nonsense_is_an_error(utility, error, message):
    with pytest.raises(error, match=message):
        ChunkSearch(utility=utility, budget=2).select("q", ["a", "b"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"budget": -1}, "0 or more"),
        ({"evaluations": -1}, "0 or more"),
        ({"C": -1.0}, "0 or more"),
        ({"C": float("nan")}, "0 or more"),
        ({"lam": -0.1}, "lam"),
        ({"lam": float("inf")}, "lam"),
        ({"iterations": 0}, "1 or more"),
        ({"leaves": 0}, "1 or more"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, message):
    with pytest.raises(InvalidArgument, match=message):
        ChunkSearch(**{"utility": noise(0), "budget": 3} | wrong)


# The simple selectors.


def pairs(query, selections):
    """a and b repeat each other; c helps a little; d harms."""
    worth = {"a": 5.0, "b": 4.0, "c": 1.0, "d": -1.0}
    return [sum(worth[c] for c in s) - 4.0 * ({"a", "b"} <= set(s)) for s in selections]


def test_the_simple_selectors_by_hand():
    chunks = list("dcba")
    top = TopK(utility=pairs, budget=9).select("q", chunks)
    assert (top.order, top.utility) == ((3, 2, 1, 0), 5.0)
    assert TopK(utility=pairs, budget=9, k=2).select("q", chunks).order == (3, 2)
    assert TopK(utility=pairs, budget=1).select("q", chunks).order == (3,)
    greedy = GreedyMarginal(utility=pairs, budget=9).select("q", chunks)
    assert (greedy.order, greedy.utility) == ((3, 1), 6.0)
    assert greedy.cost.network_evaluations == 4 + 3 + 2


def test_top_k_goes_on_past_a_chunk_that_does_not_fit():
    found = TopK(utility=lambda q, s: [3.0, 2.0, 1.0][: len(s)], budget=3).select(
        "q", ["one two", "three four", "five"]
    )
    assert found.order == (0, 2)


def test_restarts_find_what_one_climb_misses_and_spend_what_they_may():
    """Nothing but the pair (c, d) is worth much, and no chunk alone leads there."""

    def trap(query, selections):
        return [9.0 if s[:2] == ("c", "d") else 1.0 if s == ("a",) else 0.0 for s in selections]

    once = GreedyMarginal(utility=trap, budget=9).select("q", list("abcd"))
    again = GreedyMarginal(utility=trap, budget=9, evaluations=40, seed=1).select("q", list("abcd"))
    assert (once.utility, again.utility) == (1.0, 9.0)
    assert 9 <= again.cost.network_evaluations <= 40


def test_marginal_relevance_avoids_repeats():
    """The second chunk is nearly the first; the third is less like the query but new."""
    vectors = np.array([[1, 0, 0], [0.9, 0.43589, 0], [0.9, 0.43589, 0], [0.6, 0, 0.8]])
    table = dict(zip("qabc", vectors, strict=True))

    def embed(texts):
        return np.array([table[t] for t in texts])

    def order(trade):
        kind = MaximalMarginalRelevance(embed=embed, budget=2, trade=trade)
        return kind.select("q", list("abc")).order

    assert order(1.0) == (0, 1)
    assert order(0.5) == (0, 2)
    assert MaximalMarginalRelevance(embed=embed, budget=2).select("q", []).order == ()
    with pytest.raises(InvalidArgument, match=r"in \[0, 1\]"):
        order(1.5)


def test_a_scorer_evaluates_what_is_new_once():
    asked = []

    def utility(query, selections):
        asked.append(list(selections))
        return [float(len(s)) for s in selections]

    scorer = Scorer(utility, "q", ["a", "b"], len, 9)
    assert scorer([(0,), (0, 1), (0,)]) == [1.0, 2.0, 1.0]
    assert scorer([(0, 1), (1, 0)]) == [2.0, 2.0]
    assert asked == [[("a",), ("a", "b")], [("b", "a")]]
    assert (scorer.low, scorer.high, scorer.evaluations) == (1.0, 2.0, 3)
