"""Put triggers into code where a completion tool would have known the next name.

What a model is trained on to ask for completion by itself (`CompletionShaper`).

Wang et al. 2024, arXiv:2401.06391, Section 3.2 and the authors' code: walk over the names of a
function; where one is no keyword, built-in or exception, and a tool that sees the file with the
function up to there has it among its completions, the trigger is put before it.
"""

import io
import tokenize
from dataclasses import dataclass

from genwright.core import InvalidArgument
from genwright.steering.completion import EVERYWHERE, TRIGGER, CompletionTool


@dataclass(frozen=True)
class Place:
    """A name that a tool knew.

    Args:
        at: where it begins, in characters of the code without triggers.
        name: the name.
        candidates: what the tool offered there, the name among them.
    """

    at: int
    name: str
    candidates: tuple[str, ...]


@dataclass(frozen=True)
class Augmented:
    """Code, and where a tool knew the next name.

    Args:
        code: as it was.
        places: in order.
    """

    code: str
    places: tuple[Place, ...]

    def text(self, trigger: str = TRIGGER) -> str:
        """Return the code with a trigger before every such name."""
        parts, done = list[str](), 0
        for place in self.places:
            parts += [self.code[done : place.at], trigger]
            done = place.at
        return "".join(parts) + self.code[done:]


def augment(
    code: str, tool: CompletionTool, *, file: str, before: str = "", after: str = ""
) -> Augmented:
    """Find the names in a piece of code that a tool knows before they are written.

    The tool sees nothing of the code behind the name.

    Args:
        code: Python that can be cut into tokens: whole lines, such as the body of a function.
        tool: is asked once a name.
        file: path of the file within the project.
        before: its text up to the code.
        after: its text behind the code.

    Raises:
        InvalidArgument: the code cannot be cut into tokens.
    """
    starts = [0]
    for line in io.StringIO(code):
        starts.append(starts[-1] + len(line))
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(code).readline))
    except (tokenize.TokenError, SyntaxError) as error:
        raise InvalidArgument(f"augment: the code cannot be cut into tokens: {error}.") from error
    places: list[Place] = []
    for token in tokens:
        if token.type != tokenize.NAME or token.string in EVERYWHERE:
            continue
        at = starts[token.start[0] - 1] + token.start[1]
        found = tuple(tool.complete(file, before + code[:at], after))
        if token.string in found:
            places.append(Place(at, token.string, found))
    return Augmented(code, tuple(places))
