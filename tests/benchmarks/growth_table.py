"""The tables of `growth` for docs/benchmarks.md, an axis each."""

from growth import exponent, lines


def growth_tables(points, table):
    """Write one table for each axis, a line of the figure by row and a size by column.

    Parameters
    ----------
    points
        Of `growth.measure`.
    table
        Makes Markdown of a header and rows.

    Returns
    -------
    str
        Seconds, and the peak memory where it was measured; last the exponent of the growth between
        the two largest sizes.
    """
    tables = []
    for axis in dict.fromkeys(point.axis for point in points):
        drawn = {key[1:]: own for key, own in lines(points).items() if key[0] == axis}
        sizes = [f"{point.size:,}" for point in next(iter(drawn.values()))]
        rows = [
            (what, program, *map(_words, own), f"{exponent(own):.2f}")
            for (what, program), own in drawn.items()
        ]
        tables.append(table((axis, "", *sizes, "exponent"), rows))
    return "\n\n".join(tables)


def _words(point):
    seconds = f"{point.seconds:.2g} s" if point.seconds < 10 else f"{point.seconds:.0f} s"
    return seconds if point.memory_mb is None else f"{seconds}, {point.memory_mb:,.0f} MB"
