"""Bad inputs and faults as a matrix of promises."""

import os

# before torch: threads add numbers up in another order, and only slow such small networks down
os.environ.setdefault("OMP_NUM_THREADS", "1")
