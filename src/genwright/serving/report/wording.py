"""Numbers as people read them."""

from genwright.core.statistics import Interval


def percent(value: float) -> str:
    """Return a share in percent: whole ones, but tenths near the ends."""
    return f"{value:.0%}" if 0.095 <= value <= 0.905 or value in (0, 1) else f"{value:.1%}"


def interval(found: Interval | None) -> str:
    """Return the ends of an interval."""
    return "" if found is None else f"{percent(found.low)} – {percent(found.high)}"


def points(share: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    told = 100 * share
    return f"{told:+.1f}".replace("-", "−") if round(told, 1) else "0.0"


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
