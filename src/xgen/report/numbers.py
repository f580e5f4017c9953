"""How numbers are written for people, the same everywhere on the page."""

import math

NOTHING = "–"


def count(value: int | float) -> str:
    """Write a whole count in full: 411,648."""
    return f"{value:,.0f}"


def short(value: int | float) -> str:
    """Write a count in at most three digits and a unit: 412k, 1.37T."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size * 0.9995:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def context(length: int) -> str:
    """Write a context length as the report does: 2K for 2,048; lengths below stay as they are."""
    return f"{length // 1024}K" if length >= 1024 and length % 1024 == 0 else f"{length:,}"


def duration(seconds: int | float) -> str:
    """Write seconds as a person would say them: 42 s, 5 min 12 s, 3 h 20 min, 12 d 4 h."""
    whole = round(seconds)
    for big, small, big_size, small_size in (("d", "h", 86_400, 3_600), ("h", "min", 3_600, 60), ("min", "s", 60, 1)):
        if whole >= big_size:
            return f"{whole // big_size} {big} {whole % big_size // small_size} {small}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"


def moment(iso: str) -> str:
    """Write a moment as recorded, without the marks that are for machines."""
    return iso.replace("T", " ").replace("+00:00", " UTC")


def figures(value: int | float) -> str:
    """Write a measured value with as many digits as can matter: 1,098, 408.2, 6.126."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}"


def interval(low: int | float, high: int | float) -> str:
    return f"{figures(low)} to {figures(high)}"


def percent(fraction: int | float) -> str:
    return f"{100 * fraction:.1f} %"
