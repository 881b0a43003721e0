"""What the look-up kernels share: the functions that fill tables with all signed sums of a few values."""

from signbit.codegen.kernels.base import Piece

SIZES = range(1, 7)
"""Values of a table.  At most 6, so that four times a pattern, an entry's offset in bytes, fits into a byte."""
ENTRY_BYTES = 4
UNROLLED_BITS = 4


def sums_piece(size: int, shift: int) -> Piece:
    """Fills tables of 2^size entries: entry m is the sum of the values, each with a minus where its bit of m is set.

    The values of a table follow those of the one before; each is shifted right first.
    """
    values = [f"(uint32_t)x[{number}]" for number in range(size)]
    parameters = ("const uint8_t *x", "uint32_t count", "uint32_t *table")
    return _piece("sums", parameters, size, shift, values, 0xFF, size)


def pair_sums_piece(size: int, shift: int) -> Piece:
    """The same of pairs, in the halves of a word: a value at x and one at a distance, the next ones a step further."""
    values = [f"(uint32_t)x[{number}] + ((uint32_t)y[{number}] << 16)" for number in range(size)]
    parameters = ("const uint8_t *x", "uint32_t step", "uint32_t distance", "uint32_t count", "uint32_t *table")
    return _piece("pair_sums", parameters, size, shift, values, 0x00FF00FF, "step")


def _piece(
    name: str, parameters: tuple[str, ...], size: int, shift: int, values: list[str], mask: int, step: int | str
) -> Piece:
    symbol = f"{name}{size}"
    if shift:
        # what a half of a pair shifts into the other one is cut off
        values = [f"(({value}) >> {shift}) & 0x{mask >> shift & mask:08x}u" for value in values]
        symbol += f"_shift{shift}"
    low = min(size, UNROLLED_BITS)
    return Piece(
        "rv32/sums",
        symbol,
        {
            "size": size,
            "parameters": parameters,
            "step": step,
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
