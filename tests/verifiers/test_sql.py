"""SQL is judged by its result, on real SQLite and DuckDB files, and can do no harm."""

import gzip
import json
import random
import sqlite3
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, permutations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.core import MissingFile, Samples, find
from genwright.verifiers import sql_query
from genwright.verifiers._sql_compare import difference, order_columns, same
from genwright.verifiers.sql import SqlEquivalence, SqlResult, SqlRuns
from genwright.verifiers.sql_query import bare_sql, run_query

ROWS = [("AA", 1, 2.5, None), ("UA", 3, 0.1, "x"), ("UA", 3, 0.2, "y"), ("DL", 2, None, "x")]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("sql") / "small.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE flights (carrier TEXT, day INT, delay REAL, note TEXT)")
        connection.executemany("INSERT INTO flights VALUES (?, ?, ?, ?)", ROWS)
    connection.close()
    return str(path)


@pytest.fixture(scope="module")
def duck(tmp_path_factory):
    path = tmp_path_factory.mktemp("sql") / "small.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE flights (carrier TEXT, day INT, delay DOUBLE, note TEXT)")
        connection.executemany("INSERT INTO flights VALUES (?, ?, ?, ?)", ROWS)
    return str(path)


def passed(database, gold, *drawn, **settings):
    check = SqlEquivalence(database=database, gold=gold, **settings)
    return [verdict.passed for verdict in check.check(Samples(list(drawn)))]


GOLD = "SELECT carrier, COUNT(*) FROM flights GROUP BY carrier"


@pytest.mark.parametrize("kind", ["database", "duck"])
def test_results_are_compared_and_not_texts(kind, request):
    drawn = {
        GOLD: True,
        "SELECT carrier AS c, SUM(1) AS n FROM flights GROUP BY 1 ORDER BY 2": True,
        "```sql\nSELECT carrier, COUNT(day) FROM flights GROUP BY carrier;\n```": True,
        "SELECT carrier, COUNT(*) * 1.0 FROM flights GROUP BY carrier": True,
        "SELECT carrier, COUNT(*) + 1e-9 FROM flights GROUP BY carrier": True,
        "SELECT carrier, COUNT(delay) FROM flights GROUP BY carrier": False,
        "SELECT COUNT(*), carrier FROM flights GROUP BY carrier": False,
        "SELECT carrier, COUNT(*) FROM flights WHERE day > 1 GROUP BY carrier": False,
        "SELECT carrier, COUNT(*), 1 FROM flights GROUP BY carrier": False,
        "SELECT carrier, COUNT(*) FROM flight GROUP BY carrier": False,
        "I do not know": False,
        "": False,
    }
    path = request.getfixturevalue(kind)
    assert passed(path, GOLD, *drawn) == list(drawn.values())


def test_empty_results_of_another_width_differ(database):
    empty = "SELECT carrier, day FROM flights WHERE day > 9"
    assert passed(database, empty, "SELECT 'x', 1 WHERE 0", "SELECT 1 WHERE 0") == [True, False]


def test_column_order_is_free_only_on_request(database):
    swapped = "SELECT COUNT(*), carrier FROM flights GROUP BY carrier"
    mixed = "SELECT 1, carrier FROM flights GROUP BY carrier"
    assert passed(database, GOLD, swapped, mixed) == [False, False]
    assert passed(database, GOLD, swapped, mixed, any_column_order=True) == [True, False]


@pytest.mark.parametrize(
    ("gold", "drawn", "expected"),
    [
        (
            "SELECT day FROM flights ORDER BY day",
            "SELECT day FROM flights ORDER BY day DESC",
            False,
        ),
        ("SELECT day FROM flights", "SELECT day FROM flights ORDER BY day DESC", True),
        (
            "SELECT * FROM (SELECT day FROM flights ORDER BY day)",
            "SELECT day FROM flights ORDER BY day DESC",
            True,
        ),
        (  # the two days 3 tie, so their notes may stand either way
            "SELECT note, day FROM flights ORDER BY day",
            "SELECT note, day FROM flights ORDER BY day, delay DESC",
            True,
        ),
        (  # the ordering column is not shown: every row has its place
            "SELECT note FROM flights ORDER BY day, delay",
            "SELECT note FROM flights ORDER BY day, delay DESC",
            False,
        ),
    ],
)
def test_order_matters_only_where_the_gold_query_orders(database, gold, drawn, expected):
    assert passed(database, gold, drawn) == [expected]


@pytest.mark.parametrize(
    ("gold", "columns"),
    [
        ("SELECT a, b FROM t", ()),
        ("SELECT a, b FROM t ORDER BY b DESC", (1,)),
        ("SELECT a, COUNT(*) AS n FROM t GROUP BY a ORDER BY n, 1", (1, 0)),
        ("SELECT a, COUNT(*) FROM t GROUP BY a ORDER BY COUNT(*)", (1,)),
        ("SELECT a, b FROM t ORDER BY c", (0, 1)),
        ("SELECT *, 1 FROM t ORDER BY b", (0, 1)),
        ("SELECT *, 1 AS n FROM t ORDER BY n", (0, 1)),
        ("WITH c AS (SELECT a, b FROM t ORDER BY a) SELECT a, b FROM c", ()),
        ("SELECT a, b FROM t UNION SELECT a, b FROM u ORDER BY a", (0,)),
        ("SELECT RANK() OVER (ORDER BY a), b FROM t", ()),
    ],
)
def test_ordering_columns_are_found_at_the_top_level(gold, columns):
    assert order_columns(gold, "sqlite", 2) == columns


HOSTILE = [
    "ATTACH '{out}' AS other",
    "ATTACH ':memory:' AS other",
    "DETACH main",
    "PRAGMA writable_schema = 1",
    "PRAGMA query_only = OFF",
    "PRAGMA journal_mode = DELETE",
    "INSERT INTO flights VALUES ('ZZ', 1, 1, 'z')",
    "WITH z AS (SELECT 1) INSERT INTO flights SELECT 'ZZ', 1, 1, 'z'",
    "UPDATE flights SET day = 9",
    "DELETE FROM flights",
    "DROP TABLE flights",
    "UPDATE sqlite_master SET sql = ''",
    "DELETE FROM sqlite_master",
    "CREATE TABLE other (x)",
    "CREATE TEMP TABLE other (x)",
    "ALTER TABLE flights RENAME TO other",
    "VACUUM",
    "VACUUM INTO '{out}'",
    "BEGIN EXCLUSIVE",
    "SELECT 1; DROP TABLE flights",
    "SELECT load_extension('{out}')",
    "SELECT readfile('/etc/hostname')",
    "SELECT writefile('{out}', 'x')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT randomblob(1000000000)",
    "SELECT hex(zeroblob(1000000000))",
    "SELECT zeroblob(3000000) FROM flights a, flights b, flights c",
    "SELECT '\x00'",
    "SELECT " + "(" * 50_000 + "1" + ")" * 50_000,
    "SELECT " + "9" * 200_000,
    "SELECT ?1",
]


@pytest.mark.parametrize("query", HOSTILE, ids=lambda q: q[:40])
def test_a_hostile_query_fails_and_leaves_no_trace(database, tmp_path, query):
    with open(database, "rb") as file:
        before = file.read()
    got = run_query(database, query.format(out=tmp_path / "out"), seconds=5)
    assert got.error
    assert got.decided
    assert got.rows == ()
    assert list(tmp_path.iterdir()) == []
    with open(database, "rb") as file:
        assert file.read() == before


ENDLESS = {
    "recursion": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) "
    "SELECT max(x) FROM c",
    "cross join": "SELECT count(*) FROM (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 "
    "FROM c LIMIT 9000) SELECT * FROM c) a, (SELECT 1 UNION SELECT 2) b, flights c, flights d, "
    "flights e, flights f, flights g, flights h, flights i, flights j",
    "one long instruction": "SELECT instr(printf('%.*c', 3000000, 'a'), "
    "printf('%.*c', 1500000, 'a') || 'b')",
}


@pytest.mark.parametrize("query", ENDLESS.values(), ids=ENDLESS)
def test_a_query_without_end_is_cut_and_undecided(database, query):
    start = time.monotonic()
    [verdict] = SqlRuns(database=database, seconds=0.3).check(Samples([query]))
    assert verdict.passed is None
    assert "0.3 s" in verdict.evidence["reason"]
    assert time.monotonic() - start < 20  # far above 0.3 s, for a machine that is busy
    assert run_query(database, "SELECT 1").rows == ((1,),)


def test_the_engine_itself_keeps_the_limits(database):
    """So that a process is killed, and another started, only for what the engine cannot stop."""
    assert run_query(database, "SELECT zeroblob(5000000)").error == "string or blob too big"
    sort = (
        "WITH RECURSIVE c(x) AS (SELECT randomblob(1000000) UNION ALL SELECT randomblob(1000000) "
        "FROM c LIMIT 400) SELECT max(length(x)) FROM (SELECT x FROM c ORDER BY x LIMIT 400)"
    )
    assert run_query(database, sort, seconds=60).error == "out of memory"
    assert run_query(database, sort.replace("400", "9"), seconds=60).rows == ((1_000_000,),)
    before = [process.popen.pid for process in sql_query._workers.idle]
    assert not run_query(database, ENDLESS["recursion"], seconds=0.2).decided
    assert [process.popen.pid for process in sql_query._workers.idle] == before


@pytest.mark.parametrize("kind", ["database", "duck"])
@pytest.mark.parametrize("rows", [1, 3, 4, 5])
def test_a_result_holds_no_more_rows_than_allowed(kind, rows, request):
    got = run_query(request.getfixturevalue(kind), "SELECT day FROM flights", rows=rows)
    assert (len(got.rows), got.truncated) == (min(rows, 4), rows < 4)


def test_json_and_window_functions_and_recursion_may_be_used(database):
    assert run_query(database, "SELECT value FROM json_each('[1, 2]')").rows == ((1,), (2,))
    query = "SELECT day, RANK() OVER (ORDER BY day) FROM flights WHERE note GLOB 'x*' ORDER BY 1"
    assert run_query(database, query).rows == ((2, 1), (3, 2))


def test_a_result_without_end_stops_at_the_memory_limit(database):
    bomb = "WITH RECURSIVE c(x) AS (SELECT randomblob(1000000) UNION ALL SELECT randomblob(1000000)"
    got = run_query(database, bomb + " FROM c) SELECT x FROM c ORDER BY x", seconds=20)
    assert (got.error, got.decided) == ("out of memory", True)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd.csv'",
        "SELECT * FROM read_text('/etc/hostname')",
        "COPY flights TO '{out}'",
        "ATTACH '{out}' AS other",
        "ATTACH ':memory:' AS other",
        "CREATE TEMP TABLE other (x INT)",
        "INSERT INTO flights VALUES ('ZZ', 1, 1, 'z')",
        "DROP TABLE flights",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "PRAGMA threads = 64",
        "SELECT 1; SELECT 2",
        "SELECT count(DISTINCT md5((a.range * 9000 + b.range)::TEXT)) "
        "FROM range(9000) a, range(9000) b",
    ],
)
def test_duckdb_reads_its_own_file_and_nothing_else(duck, tmp_path, query):
    got = run_query(duck, query.format(out=tmp_path / "out"), seconds=30)
    assert got.error
    assert got.decided
    assert list(tmp_path.iterdir()) == []


def test_duckdb_is_interrupted_and_works_on(duck):
    got = run_query(duck, "SELECT sum(a.range * b.range) FROM range(10000000) a, range(100000) b",
                    seconds=0.3)  # fmt: skip
    assert not got.decided
    assert run_query(duck, "SELECT 2").rows == ((2,),)


def test_duckdb_values_become_numbers_and_text(duck):
    query = (
        "SELECT 1.50::DECIMAL(9,2), 7::HUGEINT, true, DATE '2013-07-01', NULL, [1, 2], 2.0::DECIMAL"
    )
    assert run_query(duck, query).rows == ((1.5, 7, 1, "2013-07-01", None, "[1, 2]", 2),)


def test_gold_that_fails_or_overflows_is_undecided_and_says_so(database):
    for gold, reason in (("SELECT nothing FROM flights", "correct it"), (GOLD, "raise rows")):
        check = SqlEquivalence(database=database, gold=gold, rows=2)
        [verdict] = check.check(Samples([GOLD]))
        assert verdict.passed is None
        assert reason in verdict.evidence["reason"]


def test_more_rows_than_allowed_fail_against_a_gold_result_within_the_limit(database):
    check = SqlEquivalence(database=database, gold="SELECT 1", rows=3)
    [verdict] = check.check(Samples(["SELECT day FROM flights"]))
    assert (verdict.passed, verdict.evidence["reason"]) == (False, "more than 3 rows instead of 1")
    assert run_query(database, "SELECT day FROM flights", rows=4).truncated is False


def test_a_missing_database_is_the_users_to_mend(tmp_path):
    text = tmp_path / "text.sqlite"
    text.write_text("not a database at all")
    for path in (tmp_path / "nowhere.sqlite", text, tmp_path):
        with pytest.raises(MissingFile):
            run_query(str(path), "SELECT 1")


def test_a_database_that_changes_is_read_again(tmp_path):
    path = tmp_path / "grows.sqlite"
    for n in range(3):
        connection = sqlite3.connect(path)
        with connection:
            connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
            connection.execute("INSERT INTO t VALUES (1)")
        connection.close()
        assert run_query(str(path), "SELECT count(*) FROM t").rows == ((n + 1,),)


def test_equal_tables_vote_together(database):
    key = SqlResult(database=database)
    assert key(GOLD) == key("SELECT carrier, SUM(1.0) FROM flights GROUP BY 1 ORDER BY 1 DESC")
    assert key("SELECT 0.1 + 0.2") == key("SELECT 0.3")
    apart = ["SELECT 1", "SELECT '1'", "SELECT NULL", "SELECT 1, 1", "SELECT 1 UNION ALL SELECT 1",
             "SELECT 1 WHERE 0", "SELECT 1, 1 WHERE 0", "SELECT x'31'"]  # fmt: skip
    assert len({key(query) for query in apart}) == len(apart)
    assert [key(q) for q in ("SELECT nothing FROM flights", "no SQL", None)] == [None] * 3
    assert SqlResult(database=database, empty=False)("SELECT 1 WHERE 0") is None
    assert find("key", "sql_result").cls is SqlResult


def test_long_results_get_short_keys_that_still_differ(database):
    key = SqlResult(database=database)
    query = (
        "WITH RECURSIVE c(x) AS (SELECT {} UNION ALL SELECT x+1 FROM c LIMIT 500) SELECT x FROM c"
    )
    a, b = key(query.format(1)), key(query.format(2))
    assert a != b
    assert max(len(a), len(b)) < 250


def test_one_batch_equals_single_checks_in_any_order(database):
    check = SqlEquivalence(database=database, gold=GOLD)
    drawn = [GOLD, "SELECT 1", "nonsense", 7, GOLD, "SELECT carrier, 1 FROM flights"]
    alone = [check.check(Samples([text]))[0] for text in drawn]
    for order in list(permutations(range(len(drawn))))[::97]:
        assert check.check(Samples([drawn[i] for i in order])) == [alone[i] for i in order]
    json.dumps([verdict.evidence for verdict in alone])


def test_runs_tells_valid_sql_from_the_rest(database):
    drawn = ["SELECT 1", "SELECT day FROM flights", "SELEC 1", "SELECT x FROM flights", None]
    verdicts = SqlRuns(database=database, rows=2).check(Samples(drawn))
    assert [verdict.passed for verdict in verdicts] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("SELECT 1;", "SELECT 1"),
        ("  SELECT 1 ; ;\n", "SELECT 1"),
        ("```sql\nSELECT 1;\n```", "SELECT 1"),
        ("Sure:\n```\nSELECT 1\n```\nIt counts.", "SELECT 1"),
        ("```SQL\nSELECT ';' AS x", "SELECT ';' AS x"),
        ("```SELECT 1```", "SELECT 1"),
    ],
)
def test_the_query_is_taken_out_of_what_surrounds_it(text, query):
    assert bare_sql(text) == query


VALUES = st.one_of(
    st.none(),
    st.integers(-2, 2),
    st.sampled_from([0.0, 1.0, 1.0 + 4e-7, 1.0 + 8e-7, 1.0 + 3e-6, 2.0]),
    st.sampled_from(["", "a", "1"]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), max_size=5), st.randoms(use_true_random=False))
def test_results_agree_exactly_when_some_pairing_of_rows_agrees(rows, rng):
    """Against trying every pairing; half of the cases change one value."""
    other = list(rows)
    rng.shuffle(other)
    if other and rng.random() < 0.5:
        other[0] = (other[0][0], rng.choice([None, 1, 1.0 + 4e-7, "a"]))
    by_hand = any(
        all(
            same(x, y)
            for a, b in zip(rows, pairing, strict=True)
            for x, y in zip(a, b, strict=True)
        )
        for pairing in permutations(other)
    )
    found = not difference(rows, other)
    assert found <= by_hand
    if len({*rows} & {*other}) == 0 or rows == other:
        assert found == by_hand


def test_integers_are_exact_however_large():
    assert difference([(10**12,)], [(10**12 + 1,)]) != ""
    assert difference([(10**12,)], [(10.0**12 + 1,)]) == ""


def test_many_close_rows_are_paired_too():
    gold = [("a", i + 0.5) for i in range(700)]
    near = [("a", i + 0.5 + 1e-8) for i in range(700)]
    random.Random(0).shuffle(near)
    assert difference(gold, near) == ""
    assert difference(gold, [*near[:-1], ("a", -1.0)]) != ""


def test_a_database_in_wal_mode_is_read_as_it_grows(tmp_path):
    path = tmp_path / "log.sqlite"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("CREATE TABLE t (x)")
    for n in range(1, 4):
        writer.execute("INSERT INTO t VALUES (1)")
        assert run_query(str(path), "SELECT count(*) FROM t").rows == ((n,),)
    writer.close()


def test_a_damaged_or_locked_database_is_nobodys_failure(tmp_path):
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    [verdict] = SqlRuns(database=str(damaged)).check(Samples(["SELECT 1"]))
    assert verdict.passed is None
    assert "cannot be opened" in verdict.evidence["reason"]
    locked = tmp_path / "locked.sqlite"
    writer = sqlite3.connect(locked, isolation_level=None)
    writer.execute("CREATE TABLE t (x)")
    check = SqlRuns(database=str(locked))
    assert check.check(Samples(["SELECT x FROM t"]))[0].passed is True
    writer.execute("BEGIN EXCLUSIVE")
    for query in ("SELECT x FROM t", "SELECT x, 1 FROM t"):
        [verdict] = check.check(Samples([query]))
        assert verdict.passed is (True if query == "SELECT x FROM t" else None)  # one is cached
    writer.execute("COMMIT")
    assert check.check(Samples(["SELECT x, 1 FROM t"]))[0].passed is True
    writer.close()


def test_a_killed_process_is_replaced(database):
    run_query(database, "SELECT 'before'")
    for process in sql_query._workers.idle:
        process.popen.kill()
        process.popen.wait()
    assert run_query(database, "SELECT 'after'").rows == (("after",),)


def test_threads_share_the_processes(database):
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda i: run_query(database, f"SELECT {i}"), range(200)))
    assert [answer.rows for answer in answers] == [((i,),) for i in range(200)]
    assert len(sql_query._workers.idle) <= 9


def test_spider_gold_passes_and_other_questions_of_the_database_fail(shared_data):
    """Real pairs. Questions that share a result may pass: they are told by the result itself."""
    with gzip.open(shared_data("sql/spider_dev.jsonl.gz"), "rt") as file:
        rows = [json.loads(line) for line in file][:200]
    checked = 0
    for row, other in pairwise(rows):
        path = str(shared_data(f"sql/spider/{row['db_id']}.sqlite"))
        gold, wrong = run_query(path, row["query"]), run_query(path, other["query"])
        check = SqlEquivalence(database=path, gold=row["query"])
        verdicts = check.check(Samples([row["query"], other["query"]]))
        assert verdicts[0].passed is True
        if Counter(gold.rows) != Counter(wrong.rows):
            assert verdicts[1].passed is False
            checked += 1
    assert checked >= 90
