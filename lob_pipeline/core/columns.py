"""How a chunk of a table travels between rooms: one numpy array a column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
Columns = dict[str, Array]
"""Column name -> one-dimensional array of the declared dtype; all arrays of one chunk have the same length."""
