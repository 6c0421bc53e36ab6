"""Hold a draw to the SELECT statements that a database can run.

Choose it for questions to a known database: every string of the language names real tables and
columns, qualifies what would be ambiguous, compares numbers with numbers and text with text, and
runs. What it means is still the generator's affair.

Scholak, Schucher and Bahdanau 2021, "PICARD: Parsing Incrementally for Constrained Auto-Regressive
Decoding from Language Models", arXiv:2109.05093, Section 2 (lexing, parsing, guards on tables and
columns). Ours: guards are compiled into a context-free grammar with rules for each set of joined
tables, so that masks are computed for the whole vocabulary at once; the language is narrower (no
table aliases, no compound selects, no common table expressions, joins on key columns alone).
"""

from dataclasses import dataclass

from genwright.core import Vocabulary, method
from genwright.steering.matching import CompiledMatcher, compile_matcher, require_llguidance
from genwright.steering.sql_rules import grammar
from genwright.steering.sql_schema import read_schema


@method(paper="arXiv:2109.05093")
@dataclass(frozen=True, kw_only=True)
class SqlGrammar:
    """The SELECT statements of one SQLite database, keywords in upper case, single spaces.

    Args:
        database: path of a SQLite file; read through a read-only connection.
        max_joins: the most JOINs in a query.
        max_values: a text column with at most this many distinct values is compared only with
            values it has; 0 leaves all texts free.
        max_scopes: the most sets of tables that the grammar follows at once. Single tables come
            first, then sets that foreign keys connect, then sets that share a key's name.
    """

    database: str
    max_joins: int = 2
    max_values: int = 256
    max_scopes: int = 48

    @property
    def text(self) -> str:
        """The grammar in Lark form, for this database.

        Raises:
            MissingFile: no such file.
            ConstraintError: not a database, or one without tables.
        """
        schema = read_schema(self.database, self.max_values)
        return grammar(schema, self.max_joins, self.max_scopes)

    def compile(self, vocabulary: Vocabulary) -> CompiledMatcher:
        """Prepare for one vocabulary.

        Raises:
            MissingFile: no such file.
            ConstraintError: not a database, or one without tables.
        """
        return compile_matcher("SqlGrammar", self.grammar(), vocabulary)

    def grammar(self) -> str:
        """Return llguidance's form of the language."""
        return require_llguidance("SqlGrammar").LLMatcher.grammar_from_lark(self.text)
