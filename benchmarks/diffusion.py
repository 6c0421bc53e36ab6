"""Seconds of diffusion networks: a draw, a training step, and our Heun beside that of `diffusers`.

    python benchmarks/diffusion.py [--threads 2] [--batch 64] [--compiled] [--peer] [--scale gpu]

Every time is the least of several rounds, and rounds of what is compared take turns, so that other
work on the machine is shared fairly. `--peer` samples one U-Net by both libraries, 35 evaluations
each. `--scale gpu` takes larger networks, on a CUDA device where there is one.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch

from genwright.generators.diffusion.denoiser import Denoiser
from genwright.generators.diffusion.noise import Batch, Gaussian, LogNormal
from genwright.generators.diffusion.precondition import Edm
from genwright.generators.diffusion.samplers import heun, karras
from genwright.learning.denoising import denoising_loss, untrained
from genwright.nets.denoisers import PatchMixer, ResMLP
from genwright.nets.unet import UNet

NETS: dict[str, dict[str, Callable[[], Any]]] = {
    "cpu": {
        "ResMLP 8x8": lambda: ResMLP((1, 8, 8)),
        "PatchMixer 8x8": lambda: PatchMixer(8),
        "UNet 8x8": lambda: UNet(8),
    },
    "gpu": {
        "ResMLP 16x16x3": lambda: ResMLP((3, 16, 16), 1024, 8),
        "PatchMixer 32x32x3": lambda: PatchMixer(32, 2, 512, 8, 3),
        "UNet 32x32x3": lambda: UNet(32, 3, 128, (1, 2, 2), 2),
    },
}
ROUNDS, PEER_ROUNDS = 5, 12


def main() -> None:
    """Print one line of JSON a network and setting, and one for the peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--scale", choices=tuple(NETS), default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for name, make in NETS[given.scale].items():
        ways = {}
        for compiled in (False, True) if given.compiled else (False,):
            net = untrained(make, seed=0).to(device)
            run = torch.compile(net) if compiled else net
            for dtype in ("float32", "bfloat16"):
                ways[("compiled" if compiled else "eager", dtype)] = (net, run)
        for (mode, dtype), times in measured(ways, given.batch, device).items():
            row = {"network": name, "mode": mode, "dtype": dtype, "batch": given.batch, **times}
            print(json.dumps(row | {"threads": given.threads, "device": device}), flush=True)
    if given.peer:
        print(json.dumps(peer(NETS[given.scale], given.batch, device)), flush=True)


def measured(
    ways: dict[tuple[str, str], tuple[Any, Any]], batch: int, device: str
) -> dict[tuple[str, str], dict[str, float]]:
    """Return seconds of a draw in 35 evaluations and of a training step, for each way."""
    jobs: dict[tuple[tuple[str, str], str], Callable[[], None]] = {}
    for way, (net, run) in ways.items():
        jobs[way, "seconds_per_sample"] = _sampling(net, run, way[1], batch, device)
        jobs[way, "seconds_per_step"] = _training(net, run, way[1], batch, device)
    least = _least(jobs)
    found: dict[tuple[str, str], dict[str, float]] = {way: {} for way in ways}
    for (way, what), seconds in least.items():
        found[way][what] = seconds / batch if what == "seconds_per_sample" else seconds
    return found


def peer(nets: dict[str, Callable[[], Any]], batch: int, device: str) -> dict[str, Any]:
    """Return seconds a draw of the last network by our Heun and by that of `diffusers`."""
    import diffusers

    name, make = list(nets.items())[-1]
    net = untrained(make, seed=0).to(device).eval()
    scheduler = diffusers.HeunDiscreteScheduler(use_karras_sigmas=True)
    noise = torch.randn(batch, *net.shape, device=device)

    @torch.inference_mode()
    def theirs() -> None:
        scheduler.set_timesteps(18, device=device)
        x = noise * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            told = scheduler.scale_model_input(x, t)
            x = scheduler.step(net(told, t.expand(batch).float()), t, x).prev_sample

    ours = _sampling(net, net, "float32", batch, device)
    least = _least({"genwright": ours, "diffusers": theirs}, PEER_ROUNDS)
    told = {f"{who} seconds_per_sample": seconds / batch for who, seconds in least.items()}
    return {"network": name, "evaluations": 35, "batch": batch, **told}


def _sampling(net: Any, run: Any, dtype: str, batch: int, device: str) -> Callable[[], None]:
    denoise = Denoiser(_Like(net, run), Edm())
    x = Gaussian().sample((batch, *net.shape), torch.tensor(80.0), Batch(0)).to(device)

    def job() -> None:
        with torch.inference_mode(), _mixed(dtype, device):
            heun(denoise, x, karras(18))

    return job


def _training(net: Any, run: Any, dtype: str, batch: int, device: str) -> Callable[[], None]:
    denoise, rng = Denoiser(_Like(net, run), Edm()), Batch(1)
    x_0 = rng.normal((batch, *net.shape)).float().to(device)
    sigma = LogNormal().sample(batch, rng).float().to(device)
    x = x_0 + Gaussian().sample(x_0.shape, sigma, rng)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)

    def job() -> None:
        with _mixed(dtype, device):
            loss = denoising_loss(denoise, x_0, x, sigma, None).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return job


class _Like(torch.nn.Module):
    """A compiled network with the attributes of the one it was made of."""

    def __init__(self, net: Any, run: Any) -> None:
        super().__init__()
        self.run, self.shape, self.classes = run, net.shape, net.classes

    def forward(self, *given: Any) -> Any:
        return self.run(*given)


def _mixed(dtype: str, device: str) -> Any:
    return torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16")


def _least(jobs: dict[Any, Callable[[], None]], rounds: int = ROUNDS) -> dict[Any, float]:
    """Return the least seconds of each job; the first round is for caches and compilers."""
    best = dict.fromkeys(jobs, float("inf"))
    for number in range(rounds + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


if __name__ == "__main__":
    main()
