"""A denoiser that has learnt nothing yet: where a task file's training begins.

Ours.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from genwright.core import InvalidArgument, method
from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.precondition import Edm
from genwright.generators.diffusion.stored import SPEC, save
from genwright.learning.denoising import untrained
from genwright.nets.denoisers import PatchMixer, ResMLP
from genwright.nets.unet import UNet

NETS = ("res_mlp", "patch_mixer", "unet")


@method(paper="arXiv:2206.00364", slot="loader")
@dataclass(frozen=True, kw_only=True)
class UntrainedDenoiser:
    """Writes an untrained denoiser into a folder, unless there is one already.

    Args:
        path: the folder.
        net: one of `NETS`; "res_mlp" for pictures up to 16 x 16, "unet" for larger ones.
        shape: channels, height, width.
        classes: how many; 0 for no condition.
        width: of the network.
        blocks: of the network.
        sigma_data: standard deviation of the data.
        seed: of the weights.

    Raises:
        InvalidArgument: an unknown network, or a shape that is no square picture.
    """

    path: str
    net: str = "res_mlp"
    shape: tuple[int, ...] = (1, 8, 8)
    classes: int = 0
    width: int = 128
    blocks: int = 3
    sigma_data: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.net not in NETS:
            raise InvalidArgument(
                f"UntrainedDenoiser: net must be one of {', '.join(NETS)}, got {self.net!r}."
            )
        if len(self.shape) != 3 or self.shape[1] != self.shape[2]:
            raise InvalidArgument(
                "UntrainedDenoiser: shape must be channels, height, width of a square picture, "
                f"got {self.shape}."
            )

    def __call__(self) -> Path:
        """Return the path of the file that describes the denoiser, which names its folder too."""
        target = Path(self.path)
        if (target / SPEC).is_file():
            return target / SPEC
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        net = untrained(self._net, seed=self.seed)
        save(Denoiser(net, Edm(sigma_data=self.sigma_data)), part)
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
        return target / SPEC

    def _net(self) -> ResMLP | PatchMixer | UNet:
        channels, size, _ = self.shape
        if self.net == "res_mlp":
            return ResMLP(tuple(self.shape), self.width, self.blocks, self.classes)
        if self.net == "patch_mixer":
            return PatchMixer(
                size, width=self.width, blocks=self.blocks, channels=channels, classes=self.classes
            )
        return UNet(
            size, channels=channels, width=self.width, blocks=self.blocks, classes=self.classes
        )
