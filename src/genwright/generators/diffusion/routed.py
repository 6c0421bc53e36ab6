"""Several generators, each answering its own prompts.

Choose it where each of several small models has learned a part of the conditions: only one runs
for a draw. Song et al. 2024, "Multi-student Diffusion Distillation for Better One-step Generators",
arXiv:2410.23274, Section 4; nothing in it is particular to diffusion.
"""

from dataclasses import dataclass
from typing import Any

from genwright.core import Generator, InvalidArgument, Samples, method


@method(paper="arXiv:2410.23274")
@dataclass(frozen=True, kw_only=True)
class Routed:
    """Send a prompt to the generator that owns it.

    Args:
        generators: one or more.
        prompts: what each of them answers; no prompt has two owners.

    Raises:
        InvalidArgument: columns of different lengths, or a prompt with two owners.
    """

    generators: tuple[Generator[Any], ...]
    prompts: tuple[tuple[Any, ...], ...]

    def __post_init__(self) -> None:
        if not len(self.generators) == len(self.prompts) > 0:
            raise InvalidArgument(
                f"Routed: {len(self.generators)} generators, but prompts for {len(self.prompts)}."
            )
        known = [prompt for part in self.prompts for prompt in part]
        twice = {repr(prompt) for prompt in known if known.count(prompt) > 1}
        if twice:
            raise InvalidArgument(f"Routed: two generators answer {', '.join(sorted(twice))}.")

    def sample(self, prompt: Any, n: int, *, seed: int, first: int = 0) -> Samples[Any]:
        """Return what the owner of the prompt draws.

        Raises:
            InvalidArgument: nobody answers it; the message lists what is answered.
        """
        for generator, known in zip(self.generators, self.prompts, strict=True):
            if prompt in known:
                return generator.sample(prompt, n, seed=seed, first=first)
        told = ", ".join(repr(p) for part in self.prompts for p in part)
        raise InvalidArgument(f"Routed: no generator answers {prompt!r}; answered are: {told}.")
