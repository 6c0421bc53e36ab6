"""The text of a SQL grammar: one family of rules for each set of tables a query may be about.

A context-free grammar cannot remember which tables FROM will name while the select list is written,
so every connected set of tables (a scope) has rules of its own whose columns are exactly those of
its tables; the parser follows all scopes at once until FROM tells them apart. Expressions nest to a
fixed depth, so that no draw reaches SQLite's limits on parser stack and expression depth.

A terminal must not be a beginning of another one that the next symbol could also begin: the lexer
takes the longest and does not go back. So `DISTINCT ` stands apart from `MAX(`.

Names end in the level of nesting and the scope: `num2_f` is a numeric expression of level 2 over
scope f. `a` after the level marks what may hold aggregates, `p` what may not.
"""

import json
import re
from collections.abc import Iterable

from genwright.steering.sql_schema import Column, Schema

SHARED = r"""
NUM: /-?[0-9]{1,6}(\.[0-9]{1,4})?/
LIT: /-?[0-9]{1,15}(\.[0-9]{1,8})?/
INT: /[1-9][0-9]{0,3}/
DIGIT: /[0-9]/
STR: /'([^'\x00-\x1f]|''){0,60}'/
FMT: /'(%[YmdHMSjwW])([-: ]?%[YmdHMSjwW]){0,3}'/
ALIAS: /[a-z][a-z0-9]{0,15}(_[a-z0-9]{1,15}){1,3}/
NAGG: /(SUM|AVG|MIN|MAX|TOTAL)\(/
OP: / [-+*\/%] /
CMP: / (=|!=|<>|<|<=|>|>=) /
dir: " DESC" | " ASC"
limit: " LIMIT " INT (" OFFSET " INT)?
bool: " AND " | " OR "
join: " JOIN " | " LEFT JOIN " | " INNER JOIN "
notin: " IN " | " NOT IN "
notlike: " LIKE " | " NOT LIKE "
between: " BETWEEN " | " NOT BETWEEN "
isnull: " IS NULL" | " IS NOT NULL"
"""


def grammar(schema: Schema, max_joins: int, max_scopes: int) -> str:
    """Write the Lark text of a schema's queries.

    Args:
        schema: of the database.
        max_joins: the most JOINs in a query.
        max_scopes: the most sets of tables; see `Schema.scopes` for which come first.
    """
    scopes = schema.scopes(max_joins)[:max_scopes]
    names = {tables: str(i) for i, tables in enumerate(scopes)}
    inner = [names[tables] for tables in scopes if len(tables) <= 2]
    lines = ["start: " + _any(f"query_{s}" for s in names.values()), SHARED]
    lines += [f"sub_num: {_any(f'subnum_{s}' for s in inner)}"]
    lines += [f"sub_text: {_any(f'subtext_{s}' for s in inner)}"]
    lines += _values(schema)
    for tables, s in names.items():
        lines += _scope(schema, tables, s)
    return "\n".join(lines)


def _values(schema: Schema) -> list[str]:
    """Write a terminal for each distinct list of values."""
    return [f"{name}: /{_one_of(map(_literal, v))}/" for v, name in value_names(schema).items()]


def value_names(schema: Schema) -> dict[tuple[str, ...], str]:
    """Name every distinct list of values."""
    lists = [c.values for table in schema.columns.values() for c in table if c.values]
    return {values: f"VALUE{i}" for i, values in enumerate(dict.fromkeys(lists))}


def _scope(schema: Schema, tables: tuple[str, ...], s: str) -> list[str]:
    """Write the rules of one scope: the query itself, its subquery form, and its parts."""
    columns = [c for t in tables for c in schema.columns[t]]
    names = [c.name for c in columns]

    def written(chosen: list[Column]) -> str:
        bare = [c.name for c in chosen if names.count(c.name) == 1]
        return _one_of([*bare, *(f"{c.table}.{c.name}" for c in chosen)])

    num = [c for c in columns if c.kind == "number"]
    text = [c for c in columns if c.kind == "text"]
    free = [c for c in text if not c.values]
    lists: dict[tuple[str, ...], list[Column]] = {}
    for c in text:
        if c.values:
            lists.setdefault(c.values, []).append(c)
    lines = [f"COL_{s}: /{written(columns)}/"]
    lines += [f"NUMCOL_{s}: /{written(num)}/"] if num else []
    lines += [f"TEXTCOL_{s}: /{written(text)}/"] if text else []
    lines += [f"FREECOL_{s}: /{written(free)}/"] if free else []
    value = value_names(schema)
    listed: list[str] = []
    for i, (values, chosen) in enumerate(lists.items()):
        lines.append(f"LISTED{i}_{s}: /{written(chosen)}/")
        v = value[values]
        listed.append(f'LISTED{i}_{s} CMP {v} | LISTED{i}_{s} notin "(" {v} (", " {v}){{0,7}} ")"')
    lines += _select(schema, tables, s, bool(num), bool(text))
    lines += _predicates(s, bool(num), bool(text), bool(free), listed)
    for mode in "ap":
        lines += _expressions(s, mode, bool(num), bool(text))
    return lines


def _select(schema: Schema, tables: tuple[str, ...], s: str, num: bool, text: bool) -> list[str]:
    kinds = [f"num2a_{s}"] + ([f"text1a_{s}"] if text else [])
    plain = [f"key1p_{s}"] + (
        [f"TEXTCOL_{s}", f"func1p_text_{s}", f"case_text_{s}"] if text else []
    )
    order: list[str] = []
    for mode in "ap":  # without GROUP BY, SQLite refuses to order by an aggregate
        key = _any([f"key2{mode}_{s}"] + ([f"text1{mode}_{s}"] if text else []))
        order.append(f"okey{mode}_{s}: ({key}) dir?")
        order.append(f'order{mode}_{s}: " ORDER BY " okey{mode}_{s} (", " okey{mode}_{s}){{0,3}}')
    end = f"(group_{s} ordera_{s}? | orderp_{s})? limit?"
    rest, inner = f'(" WHERE " cond_{s})? {end}', f'(" WHERE " flat_{s})? {end}'
    return [
        f'query_{s}: "SELECT " "DISTINCT "? items_{s} " FROM " from_{s} {rest}',
        f'items_{s}: "*" | item_{s} (", " item_{s}){{0,7}}',
        f'item_{s}: ({_any(kinds)}) (" AS " ALIAS)?',
        f'subnum_{s}: "SELECT " "DISTINCT "? num1a_{s} " FROM " from_{s} {inner}',
        f'subtext_{s}: "SELECT " "DISTINCT "? text1a_{s} " FROM " from_{s} {inner}'
        if text
        else f'subtext_{s}: "SELECT " "DISTINCT "? num1a_{s} " FROM " from_{s} {inner}',
        f'group_{s}: " GROUP BY " gkey_{s} (", " gkey_{s}){{0,4}} (" HAVING " having_{s})?',
        f"gkey_{s}: {_any(plain)}",
        f"having_{s}: hpred_{s} (bool hpred_{s}){{0,3}}",
        f'hpred_{s}: num1a_{s} CMP hside_{s} | num1a_{s} " BETWEEN " LIT " AND " LIT',
        f'hside_{s}: num1a_{s} | LIT | "(" sub_num ")"',
        *order,
        *_from(schema, tables, s),
    ]


def _from(schema: Schema, tables: tuple[str, ...], s: str) -> list[str]:
    """Write every order of joining the tables, with the equalities that connect them."""
    ways: list[str] = []
    lines: list[str] = []
    for n, order in enumerate(schema.orders(tables)):
        steps = [_quote(order[0])]
        for i, table in enumerate(order[1:], 1):
            pairs = [
                (f"{a.table}.{a.name}", f"{b.table}.{b.name}")
                for a, b in schema.pairs(order[:i], table)
            ]
            both = [f"{x} = {y}" for a, b in pairs for x, y in ((a, b), (b, a))]
            on = f"ON{n}X{i}_{s}"
            lines.append(f"{on}: /{_one_of(both)}/")
            steps.append(f'join {_quote(f"{table} ON ")} {on} (" AND " {on}){{0,4}}')
        ways.append(" ".join(steps))
    return [f"from_{s}: {_any(ways)}", *lines]


def _predicates(s: str, num: bool, text: bool, free: bool, listed: list[str]) -> list[str]:
    """Write conditions: `flat` without subqueries, `pred` with them, `cond` with parentheses."""
    side = f"num1p_{s}"
    simple = [
        f"{side} CMP ({side} | LIT)",
        f'{side} between LIT " AND " LIT',
        f'{side} notin "(" LIT (", " LIT){{0,9}} ")"',
        f"COL_{s} isnull",
        *listed,
    ]
    nested = [f'{side} CMP "(" sub_num ")"', f'NUMCOL_{s} notin "(" sub_num ")"'] if num else []
    if text:
        loose = _any([f"func1p_text_{s}", *([f"FREECOL_{s}"] if free else [])])
        simple += [
            f"({loose}) CMP STR",
            f'({loose}) notin "(" STR (", " STR){{0,7}} ")"',
            f'({loose}) between STR " AND " STR',
            f"TEXTCOL_{s} CMP TEXTCOL_{s}",
            f"(TEXTCOL_{s} | func1p_text_{s}) notlike STR",
        ]
        nested += [f'TEXTCOL_{s} notin "(" sub_text ")"', f'TEXTCOL_{s} CMP "(" sub_text ")"']
    return [
        f"plain_{s}: {_any(simple)}",
        f"flat_{s}: notp_{s} (bool notp_{s}){{0,5}}",
        f'notp_{s}: plain_{s} | "NOT " plain_{s}',
        f"pred_{s}: {_any([f'plain_{s}', *nested])}",
        f"cond_{s}: part_{s} (bool part_{s}){{0,7}}",
        f'part_{s}: pred_{s} | "NOT " pred_{s} | ("NOT ")? "(" pred_{s} (bool pred_{s}){{1,5}} ")"',
    ]


def _expressions(s: str, mode: str, num: bool, text: bool) -> list[str]:
    """Write expressions of levels 0 to 2, with aggregates (mode a) or without (mode p)."""
    lines: list[str] = []
    atoms = [f"NUMCOL_{s}"] if num else []
    if mode == "a":
        atoms.append(f"agg_{s}")
        lines.append(
            f'agg_{s}: "COUNT(*)" | "COUNT(" "DISTINCT "? COL_{s} ")" '
            f'| NAGG "DISTINCT "? aggarg_{s} ")"'
        )
        columns = f"NUMCOL_{s} (OP (NUMCOL_{s} | NUM))? | " if num else ""
        lines.append(f"aggarg_{s}: {columns}plain_{s} | case_num_{s} | func0p_{s}")
        whens = f'"CASE WHEN " flat_{s} " THEN " %s (" WHEN " flat_{s} " THEN " %s){{0,3}}'
        end = '(" ELSE " %s)? " END"'
        n = f"(NUMCOL_{s} | NUM)" if num else "NUM"
        t = f"(TEXTCOL_{s} | STR)" if text else "STR"
        lines.append(f"case_num_{s}: {whens % (n, n)} {end % n}")
        lines.append(f"case_text_{s}: {whens % (t, t)} {end % t}")
    for level in range(3):
        m, head = f"{level}{mode}_{s}", [*atoms, f"func{level}{mode}_{s}"]
        if level:
            head.append(f"case_num_{s}")
        lines.append(f"num{m}: prim{m} (OP prim{m}){{0,4}}")
        lines.append(f"key{m}: solid{m} (OP prim{m}){{0,4}} | NUM (OP prim{m}){{1,4}}")
        lines.append(f"solid{m}: {_any(head)}")
        inside = f"num{level - 1}{mode}_{s}"
        more = [f'"(" {inside} ")"'] if level else []
        if level == 2:
            more.append('"(" sub_num ")"')
        lines.append(f"prim{m}: {_any([f'solid{m}', 'NUM', *more])}")
        inside = inside if level else f"NUMCOL_{s}" if num else "NUM"
        calls = [
            f'"ROUND(" {inside} (", " DIGIT)? ")"',
            f'"ABS(" {inside} ")"',
            f'"CAST(" {inside} " AS " ("INTEGER" | "REAL") ")"',
            f'"COALESCE(" {inside} ", " {inside} ")"',
            f'"IFNULL(" {inside} ", " {inside} ")"',
            f'"NULLIF(" {inside} ", " {inside} ")"',
        ]
        if text:
            calls += [
                f'"LENGTH(" TEXTCOL_{s} ")"',
                f'"CAST(" func1p_text_{s} " AS INTEGER)"',
                f'"JULIANDAY(" TEXTCOL_{s} ")"',
            ]
        lines.append(f"func{m}: {_any(calls)}")
    if text:
        n = f"num1{mode}_{s}"
        calls = [
            f'("UPPER(" | "LOWER(" | "TRIM(" | "DATE(") TEXTCOL_{s} ")"',
            f'"SUBSTR(" TEXTCOL_{s} ", " NUM (", " INT)? ")"',
            f'"STRFTIME(" FMT ", " TEXTCOL_{s} ")"',
            f'"strftime(" FMT ", " TEXTCOL_{s} ")"',
            f'"CAST(" {n} " AS TEXT)"',
            f'("COALESCE(" | "IFNULL(") TEXTCOL_{s} ", " (TEXTCOL_{s} | STR) ")"',
        ]
        if mode == "a":
            calls.append(f'("MIN(" | "MAX(" | "GROUP_CONCAT(" "DISTINCT "?) TEXTCOL_{s} ")"')
        lines.append(f"func1{mode}_text_{s}: {_any(calls)}")
        atom = f"(TEXTCOL_{s} | func1{mode}_text_{s} | case_text_{s})"
        operand = (
            f"({'NUMCOL_' + s + ' | ' if num else ''}TEXTCOL_{s} | func1{mode}_text_{s} | STR)"
        )
        lines.append(f'text1{mode}_{s}: {atom} (" || " {operand}){{0,3}}')
    return lines


def _any(choices: Iterable[str]) -> str:
    return " | ".join(choices)


def _one_of(texts: Iterable[str]) -> str:
    """Write a regular expression for one of some texts, ready to stand between slashes."""
    escaped = (re.escape(t).replace("/", "\\/") for t in sorted(set(texts)))
    return "(" + "|".join(escaped) + ")"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
