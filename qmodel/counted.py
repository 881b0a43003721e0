"""Counts in messages, with nouns that agree with them."""


def counted(count: int, one: str, many: str | None = None) -> str:
    """`counted(1, "row")` is "1 row" and `counted(2000, "row")` "2,000 rows"; `many` is a plural without s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
