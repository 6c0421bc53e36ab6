"""A Python tool for solutions written step by step: runs the code of a step in the sandbox.

Choose it where steps hold code whose result the next step needs. Names that earlier steps of the
solution defined are there; only what the step itself prints is answered.

Chen et al. 2024, "AlphaMath Almost Zero", arXiv:2405.03553, Section 3.1 (a step is a thought with
code and its executed output). Ours: the code of earlier steps runs again with its output dropped,
so that every state can be continued at any time, in any order.
"""

import re
from dataclasses import dataclass

from genwright.core import InvalidArgument
from genwright.search.steps import Observation
from genwright.verifiers.sandbox import Program, Sandbox, default_sandbox

_MARK = "=== the output of the last step follows ==="


@dataclass(frozen=True, kw_only=True)
class PythonTool:
    """Answers a step that holds code with what the code prints.

    Args:
        opening: begins code within a step.
        closing: ends it.
        answer: what is appended; `{output}` stands for the output, cut to its last characters.
        longest: characters of output that are kept.
        sandbox: where code runs; the process's own by default.

    Raises:
        InvalidArgument: no mark around code, or an answer without `{output}`.
    """

    opening: str = "<code>"
    closing: str = "</code>"
    answer: str = "<output>{output}</output>\n"
    longest: int = 400
    sandbox: Sandbox | None = None

    def __post_init__(self) -> None:
        if not self.opening or not self.closing or "{output}" not in self.answer:
            raise InvalidArgument(
                "PythonTool: needs opening and closing marks and an answer with {output}, got "
                f"{self.opening!r}, {self.closing!r} and {self.answer!r}."
            )

    def __call__(self, before: str, step: str) -> Observation | None:
        """Run the code of a step; None where it has none."""
        own = self._code(step)
        if not own:
            return None
        earlier, last = "\n".join(self._code(before)), "\n".join(own)
        program = f"{earlier}\nprint({_MARK!r})\n{last}\n"
        ran = (self.sandbox or default_sandbox()).execute(Program(code=program))
        output = ran.stdout.rpartition(f"{_MARK}\n")[2].strip()
        if ran.status != "ok":
            problem = ran.problem or {"type": ran.status, "message": ""}
            output = f"{output}\nError: {problem['type']}: {problem['message']}".strip()
        text = self.answer.replace("{output}", output[-self.longest :])
        return Observation(text, failed=ran.status != "ok")

    def _code(self, text: str) -> list[str]:
        inside = f"{re.escape(self.opening)}(.*?){re.escape(self.closing)}"
        return [code.strip() for code in re.findall(inside, text, flags=re.DOTALL)]
