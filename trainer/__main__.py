"""python -m trainer"""

import os
import sys

# The products are small (100x784 by 784x128), and a second BLAS thread spends more on waiting than it saves.  Four
# epochs of 784-128-10 on two shared cores: 3 s with one thread, 11 to 21 s with two; even 784-1024-1024-10 gained
# nothing (9.9 and 9.7 s an epoch).  numpy reads these when it is imported; a number that is already set stays.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from qmodel.command import run_command  # noqa: E402
from trainer.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(run_command(main))
