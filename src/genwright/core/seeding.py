"""Seeds that depend on names, never on order.

The seed of a thing is derived from the seed of what holds it and from the thing's own name or
index, by a keyed hash. One worker or thirty-two, one batch or many, resumed or not: the same draw
gets the same number.
"""

from hashlib import blake2b


def child_seed(seed: int, *names: int | str) -> int:
    """Return the seed of the child called `names` under `seed`: an integer in [0, 2^63).

    `child_seed(s, "a", 3)` differs from `child_seed(s, "a3")` and from `child_seed(s, 3, "a")`.
    """
    return _digest(seed, names) >> 1


def uniform(seed: int, *names: int | str) -> float:
    """Return the number in [0, 1) called `names` under `seed`, with 53 random bits.

    Position i of a draw uses `uniform(draw_seed, i)` and nothing else that is random, so that
    neither batching, nor acceleration, nor resuming changes what is drawn.
    """
    return (_digest(seed, names) >> 11) / 2.0**53


def _digest(seed: int, names: tuple[int | str, ...]) -> int:
    """Hash a seed and a tuple of names to 64 bits; types and lengths are part of what is hashed."""
    hasher = blake2b(str(int(seed)).encode(), digest_size=8)
    for name in names:
        text = (f"i{int(name)}" if isinstance(name, int) else f"s{name}").encode()
        hasher.update(len(text).to_bytes(4, "big") + text)
    return int.from_bytes(hasher.digest(), "big")
