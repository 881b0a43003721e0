"""How many threads the matrix products get.  Call before numpy is imported for the first time."""

import os

VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def one_blas_thread() -> None:
    """One thread, unless the user has set a number.

    The products are small (100x784 by 784x128), and a second BLAS thread spends more on waiting than it saves.  Four
    epochs of 784-128-10 on two shared cores: 3 s with one thread, 11 to 21 s with two; even 784-1024-1024-10 gained
    nothing (9.9 and 9.7 s an epoch).
    """
    for variable in VARIABLES:
        os.environ.setdefault(variable, "1")
