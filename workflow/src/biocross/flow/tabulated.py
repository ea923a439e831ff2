"""Evaluate a smooth rising function on many float32 values, at the speed of a table look-up."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MANTISSA_BITS = 8
CHUNK = 16_384
ROUNDING = 2.0**-24
FLOAT32_MANTISSA = 23
FLOAT32_BIAS = 127
NOT_FINITE = 255
# Where the distance between a curve and its chord from zero is looked at (1/sqrt(3): a cubic's).
ALONG_CHORD = (0.25, 0.5, 3**-0.5, 0.75)

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Tabulated:
    """A rising function on float32, interpolated between the floats that share leading bits.

    Sign, exponent and the first 8 bits of the mantissa of a float32 number a bucket: 256 equal
    steps per factor of two. In each bucket the function is its chord, y = a + b x. For a
    logarithm of M decades on the unit interval that errs by at most 2**-16 / (8 M ln 10), 2e-7
    at M = 4.5. Around zero one chord per sign serves as far as it is within the tolerance.
    The chords are shortened by the rounding of float32, so that a larger value never gives a
    smaller result. Buckets are filled for the exponents met, and a result does not depend on
    which other values were asked for.

    Parameters
    ----------
    function
        Exact function of float64 values: never falling, finite for finite values, smooth
        beyond the scale of its linear part.
    tolerance
        Error allowed to the chord around zero (units of the result).
    low, high
        Bounds at which results are clipped.
    """

    def __init__(
        self,
        function: Function,
        tolerance: float,
        low: float = -math.inf,
        high: float = math.inf,
    ) -> None:
        self._function = function
        self._bounds = (np.float32(low), np.float32(high))
        # Untouched pages of zeros cost no memory: only what is filled does.
        self._intercept = np.zeros(2 << (8 + MANTISSA_BITS), dtype=np.float32)
        self._slope = np.zeros_like(self._intercept)
        self._next: dict[bool, int] = {}
        for negative in (False, True):
            bucket = _bucket(negative, NOT_FINITE)
            # 0 + 1 * x: NaN and infinities stay what they are.
            self._slope[bucket : bucket + (1 << MANTISSA_BITS)] = 1
            self._next[negative] = self._fill_linear(negative, tolerance)

    def __call__(
        self, values: NDArray[np.floating], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Evaluate the function.

        Parameters
        ----------
        values
            Shape (events,); a column of a matrix need not be contiguous.
        out
            Where the results go, shape (events,); None makes an array. May be `values`.

        Returns
        -------
        ndarray
            Shape (events,): `out`.
        """
        results = np.empty(values.shape, dtype=np.float32) if out is None else out
        chunk = np.empty(min(CHUNK, values.size), dtype=np.float32)
        buckets = np.empty(chunk.shape, dtype=np.intp)
        part = np.empty_like(chunk)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for start in range(0, values.size, CHUNK):
                size = min(CHUNK, values.size - start)
                x, k, y = chunk[:size], buckets[:size], part[:size]
                x[:] = values[start : start + size]
                self._reach(float(np.fmin.reduce(x)), float(np.fmax.reduce(x)))
                shift = FLOAT32_MANTISSA - MANTISSA_BITS
                np.right_shift(x.view(np.uint32), shift, out=k)
                # "clip" only spares numpy its own check: every bucket exists.
                self._slope.take(k, out=y, mode="clip")
                y *= x
                self._intercept.take(k, out=x, mode="clip")
                y += x
                np.clip(y, *self._bounds, out=results[start : start + size])
        return results

    def _reach(self, lowest: float, highest: float) -> None:
        """Fill the buckets that values in this range fall into."""
        for negative, furthest in ((True, -lowest), (False, highest)):
            if math.isnan(furthest) or furthest <= 0:
                continue
            # frexp has the mantissa in [0.5, 1), a float32 in [1, 2).
            exponent = math.frexp(furthest)[1] - 1 + FLOAT32_BIAS
            last = NOT_FINITE - 1 if math.isinf(furthest) else exponent
            if last >= self._next[negative]:
                self._fill(negative, self._next[negative], last)
                self._next[negative] = last + 1

    def _fill(self, negative: bool, first: int, last: int) -> None:
        """Take the chords of all buckets with these exponents."""
        steps = 1 + np.arange(1 << MANTISSA_BITS) / (1 << MANTISSA_BITS)
        exponents = np.arange(first, last + 1)[:, None] - FLOAT32_BIAS
        edges = np.append(np.ldexp(steps, exponents), math.ldexp(1, last + 1 - FLOAT32_BIAS))
        x = -edges if negative else edges
        y = self._function(x)
        distance, rise = np.abs(np.diff(x)), np.abs(np.diff(y))
        rounding = ROUNDING * (2 * np.abs(y[1:]) + 3 * np.abs(x[1:]) * rise / distance)
        slope = np.maximum(rise - 2 * rounding, 0) / distance
        buckets = slice(_bucket(negative, first), _bucket(negative, last + 1))
        self._slope[buckets] = slope
        self._intercept[buckets] = (y[1:] + y[:-1] - slope * (x[1:] + x[:-1])) / 2

    def _fill_linear(self, negative: bool, tolerance: float) -> int:
        """Take one chord from zero as far as it serves; return the exponent where it ends."""
        ends = np.ldexp(1.0, np.arange(NOT_FINITE) - FLOAT32_BIAS)
        ends = -ends if negative else ends
        at_zero = float(self._function(np.zeros(1))[0])
        rises = self._function(ends) - at_zero
        bends = [
            np.abs(self._function(share * ends) - at_zero - share * rises) for share in ALONG_CHORD
        ]
        bent = np.max(bends, axis=0) > tolerance
        end = max(int(np.argmax(bent)) - 1, 1) if bent.any() else NOT_FINITE - 1
        rise = abs(float(rises[end]))
        rounding = ROUNDING * (2 * (abs(at_zero) + rise) + 3 * rise)
        buckets = slice(_bucket(negative, 0), _bucket(negative, end))
        self._slope[buckets] = max(rise - rounding, 0.0) / abs(float(ends[end]))
        self._intercept[buckets] = at_zero
        return end


def _bucket(negative: bool, exponent: int) -> int:
    """Return the first bucket of a sign and biased exponent."""
    return (negative << 8 | exponent) << MANTISSA_BITS
