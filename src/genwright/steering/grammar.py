"""Hold a draw to a grammar (`Grammar`) or a regular expression (`Regex`).

Choose `Regex` for flat shapes (dates, identifiers, one of a few words), `Grammar` where things
nest (expressions, queries, programs), `JsonSchema` for JSON.

Willard and Louf 2023, "Efficient Guided Generation for Large Language Models", arXiv:2307.09702,
Sections 3 and 4: masks from automata, and from a parser for context-free languages. Ours: the
parser is llguidance's (Earley), and what llguidance cannot say by itself is checked before a draw
is paid for: an empty language, and a vocabulary that cannot spell it.
"""

from dataclasses import dataclass
from typing import Any

from genwright.core import Vocabulary, method
from genwright.steering.matching import CompiledMatcher, compile_matcher, require_llguidance


@method(paper="arXiv:2307.09702")
@dataclass(frozen=True, kw_only=True)
class Grammar:
    """The strings of a context-free grammar.

    Args:
        text: in the Lark dialect of llguidance: rules in lower case, terminals in upper case, the
            rule `start` first among them: `start: "1" | "(" start "+" start ")"`. A rule may hold
            `%json {...}` (a JSON Schema) or `%regex {...}`. Nothing is skipped between symbols
            unless the text says `%ignore`.
    """

    text: str

    def compile(self, vocabulary: Vocabulary) -> CompiledMatcher:
        """Prepare for one vocabulary.

        Raises:
            ConstraintError: the text is no grammar (with line and column), uses a rule that it
                does not define, or allows nothing that the vocabulary can spell.
        """
        return compile_matcher("Grammar", self.grammar(), vocabulary)

    def grammar(self) -> str:
        """Return llguidance's form of the language."""
        return require_llguidance("Grammar").LLMatcher.grammar_from_lark(self.text)

    def extra_body(self) -> dict[str, Any]:
        """Return what a vLLM endpoint wants beside the request to steer by this grammar."""
        return {"structured_outputs": {"grammar": self.text}, "guided_grammar": self.text}


@method(paper="arXiv:2307.09702")
@dataclass(frozen=True, kw_only=True)
class Regex:
    r"""The strings that a regular expression matches from end to end.

    Args:
        pattern: in the syntax of Rust's `regex`, without look-around and back-references:
            `[0-9]{4}-[0-9]{2}`. A dot is any character but a newline.
    """

    pattern: str

    def compile(self, vocabulary: Vocabulary) -> CompiledMatcher:
        """Prepare for one vocabulary.

        Raises:
            ConstraintError: the pattern is not one (the message points into it), or it allows
                nothing that the vocabulary can spell.
        """
        return compile_matcher("Regex", self.grammar(), vocabulary)

    def grammar(self) -> str:
        """Return llguidance's form of the language."""
        return require_llguidance("Regex").LLMatcher.grammar_from_regex(self.pattern)

    def extra_body(self) -> dict[str, Any]:
        """Return what a vLLM endpoint wants beside the request to steer by this pattern."""
        return {"structured_outputs": {"regex": self.pattern}, "guided_regex": self.pattern}
