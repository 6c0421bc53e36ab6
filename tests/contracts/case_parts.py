"""What the cases of several slots are made of."""

from itertools import count

from genwright.core import find

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}},
    "required": ["a"],
    "additionalProperties": False,
}
PENS = "#1. A pen costs $2.\n#2. Ann buys 3 pens.\n#3. ({}) Step 1: She pays $2 * 3 = ${}"
NUMBER = count()


def cls(slot, name):
    return find(slot, name).cls


def small_denoiser(folder):
    """Return a folder with a tiny denoiser of two classes."""
    from genwright.generators.diffusion import stored
    from genwright.generators.diffusion.denoiser import Denoiser
    from genwright.generators.diffusion.precondition import Edm
    from genwright.learning.denoising import untrained
    from genwright.nets.denoisers import ResMLP

    stored.save(Denoiser(untrained(lambda: ResMLP(2, 8, 1, 2), seed=0), Edm()), folder)
    return str(folder)
