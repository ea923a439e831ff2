"""FCS files made byte by byte, independently of the reader and of FlowIO."""

import struct

HEADER_SIZE = 58


def make_fcs(
    data,
    n_events,
    channels,
    *,
    version="3.1",
    datatype="F",
    byteord="1,2,3,4",
    header_offsets=None,
    text_offsets=None,
    padding=b"",
    after=b"",
    delimiter="/",
    **keywords,
):
    """Return an FCS file around a DATA segment.

    `channels` has a dict of each channel's keywords, such as ``{"N": "FSC-A", "B": 32}``. The
    offsets are functions of the true (first, last) byte; None leaves them as they are. Further
    keywords are given without ``$``; None leaves one out.
    """
    fields = {
        **{"MODE": "L", "DATATYPE": datatype, "BYTEORD": byteord, "NEXTDATA": 0},
        **{"PAR": len(channels), "TOT": n_events, "BEGINDATA": "", "ENDDATA": ""},
        **{f"P{n}{key}": v for n, one in enumerate(channels, 1) for key, v in one.items()},
        **keywords,
    }

    def text(first, last):
        fields.update({"BEGINDATA": f"{first:>12}", "ENDDATA": f"{last:>12}"})
        if version == "2.0":
            fields.update({"BEGINDATA": None, "ENDDATA": None})
        kept = {f"${name}": str(value) for name, value in fields.items() if value is not None}
        escaped = (f.replace(delimiter, delimiter * 2) for kv in kept.items() for f in kv)
        return (delimiter + delimiter.join(escaped) + delimiter).encode("latin-1")

    first = HEADER_SIZE + len(text(0, 0)) + len(padding)
    last = first + len(data) - 1
    in_header = (header_offsets or (lambda *ends: ends))(first, last)
    content = text(*(text_offsets or (lambda *ends: ends))(first, last))
    head = f"FCS{version}    {HEADER_SIZE:8}{HEADER_SIZE + len(content) - 1:8}"
    head += "".join(f"{offset:>8}" for offset in in_header) + f"{0:8}{0:8}"
    assert len(head) == HEADER_SIZE
    return head.encode() + content + padding + data + after


def integers(rows, widths, big_endian):
    """Store rows of integers, each in its own number of whole bytes."""
    order = "big" if big_endian else "little"
    return b"".join(
        value.to_bytes(width // 8, order)
        for row in rows
        for value, width in zip(row, widths, strict=True)
    )


def bit_stream(rows, widths, big_endian, whole_events=False):
    """Store rows of integers bit by bit, digit by digit in text; fill up with zeros."""

    def digits(row):
        words = (f"{value:0{width}b}" for value, width in zip(row, widths, strict=True))
        return "".join(word if big_endian else word[::-1] for word in words)

    def filled(bits):
        return bits + "0" * (-len(bits) % 8)

    def stored(bits):
        steps = (bits[at : at + 8] for at in range(0, len(bits), 8))
        return bytes(int(byte if big_endian else byte[::-1], 2) for byte in steps)

    if whole_events:
        return b"".join(stored(filled(digits(row))) for row in rows)
    return stored(filled("".join(map(digits, rows))))


def floats(rows, kinds, big_endian):
    """Store rows of numbers, each of kind F, D or I (an integer of 32 bits)."""
    codes = "".join({"F": "f", "D": "d", "I": "I"}[kind] for kind in kinds)
    return b"".join(struct.pack((">" if big_endian else "<") + codes, *row) for row in rows)
