"""Numbers as people read them: percentages, sizes and durations."""


def format_percent(value: float | None, digits: int = 1, missing: str = "-") -> str:
    """A share of one in percent, without the sign.

    Examples:
        >>> format_percent(0.3512), format_percent(None)
        ('35.1', '-')
    """
    return missing if value is None else f"{100 * value:.{digits}f}"


def format_bytes(count: float) -> str:
    """A number of bytes in MB or GB, powers of ten.

    Examples:
        >>> format_bytes(2_500_000), format_bytes(1.25e9)
        ('2.5 MB', '1.2 GB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def format_duration(seconds: float) -> str:
    """A time in seconds, minutes or hours.

    Examples:
        >>> format_duration(42), format_duration(150), format_duration(7200)
        ('42 s', '2.5 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
