"""Numbers for people: as many digits as their uncertainty deserves."""

import math

_DIGITS = 4
"""Behind the point: nobody acts on less."""


def rounded(value: float, uncertainty: float) -> str:
    """A number with as many digits as its uncertainty deserves (two of the uncertainty's).

    >>> rounded(1.23456, 0.021), rounded(1234.5, 210.0), rounded(0.5, 0.0), rounded(-1e-6, 0.01)
    ('1.235', '1230', '0.5', '0.000')
    """
    if not uncertainty > 0:
        return f"{value:.4g}"
    digits = min(1 - math.floor(math.log10(uncertainty)), _DIGITS)
    return f"{round(value, digits) + 0.0:.{max(0, digits)}f}"  # never a minus before zeros
