"""What the look-up kernels share: the functions that fill tables with all signed sums of a few values."""

from signbit.codegen.kernels.base import Piece

SIZES = range(1, 7)
"""Values of a table.  At most 6, so that four times a pattern, an entry's offset in bytes, fits into a byte."""
ENTRY_BYTES = 4
UNROLLED_BITS = 4


def sums_piece(size: int) -> Piece:
    """Fills tables of 2^size entries: entry m is the sum of the values, each with a minus where its bit of m is set."""
    return _piece(f"sums{size}", size, [f"(uint32_t)x[{number}] >> shift" for number in range(size)])


def pair_sums_piece(size: int, shift: int) -> Piece:
    """The same of pairs, in the halves of a word: one value at x and one at a distance, each shifted right first."""
    pairs = [f"(uint32_t)x[{number}] + ((uint32_t)y[{number}] << 16)" for number in range(size)]
    if not shift:
        return _piece(f"pair_sums{size}", size, pairs)
    mask = f"0x{(255 >> shift) * 0x00010001:08x}u"
    return _piece(f"pair_sums{size}_shift{shift}", size, [f"(({pair}) >> {shift}) & {mask}" for pair in pairs])


def _piece(symbol: str, size: int, values: list[str]) -> Piece:
    low = min(size, UNROLLED_BITS)
    return Piece(
        "sums",
        symbol,
        {
            "size": size,
            "terms": values,
            "total": " + ".join(f"x{number}" for number in range(size)),
            "upper": [(number, number - low) for number in range(low, size)],
            "run_entries": 1 << low,
            "runs": 1 << (size - low),
            "steps": gray_steps(low),
        },
    )


def gray_steps(bits: int) -> list[tuple[int, int, str]]:
    """From pattern 0 through all others in Gray code order: the pattern, the bit that changes, and -= or +=."""
    steps = []
    for number in range(1, 1 << bits):
        pattern, bit = number ^ number >> 1, (number & -number).bit_length() - 1
        steps.append((pattern, bit, "-=" if pattern >> bit & 1 else "+="))
    return steps


def sums_instructions(size: int) -> int:
    """About what a table takes: to compare sizes, not to predict a count."""
    return 4 * size + 10 + (2 << size) + (10 << size - UNROLLED_BITS if size > UNROLLED_BITS else 0)


def pair_sums_instructions(size: int) -> int:
    """The same for pairs, which are put together first."""
    return sums_instructions(size) + 3 * size
