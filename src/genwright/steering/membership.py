"""Ask whether a text belongs to a constraint's language, and where it leaves it.

Choose it to check known good answers against a grammar before any training or drawing.
"""

from genwright.core import CompiledConstraint, Constraint, Vocabulary


def accepts(constraint: Constraint, vocabulary: Vocabulary, text: str) -> bool:
    """Tell whether the text, tokenized as the vocabulary does, is a whole string of the language.

    Raises:
        ConstraintError: the constraint cannot be compiled.
    """
    return where_it_fails(constraint.compile(vocabulary), vocabulary, text) is None


def where_it_fails(
    compiled: CompiledConstraint, vocabulary: Vocabulary, text: str
) -> tuple[str, str] | None:
    """Return (what was accepted, what was not) or None if the text is a whole string.

    A text that is a proper beginning of allowed strings gives (text, `""`).

    Args:
        compiled: for this vocabulary; compile once to check many texts.
        vocabulary: turns the text into tokens.
        text: to check.
    """
    state = compiled.start()
    ids = vocabulary.encode(text)
    for i, token in enumerate(ids):
        if not state.mask()[token]:
            done, rest = vocabulary.decode(ids[:i]), vocabulary.decode(ids[i:])
            return done.decode(errors="replace"), rest.decode(errors="replace")
        state.advance(token)
    return None if state.accepting else (text, "")
