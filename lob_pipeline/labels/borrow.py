"""Arrays without reference counts, for compiled loops that make many small calls.

numba counts the references of every array at every call, with an atomic instruction each: in a loop that makes a dozen
calls a message on states of twenty arrays, that is most of the time. A borrowed array is the same memory without an
owner, so there is nothing to count. The caller must keep the real array alive while the borrowed one is used: borrow at
the top of a compiled function from its own arguments, never return or store one.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def borrowed(typing_context: Any, array: Any) -> Any:
    """Return the array as it is, but with no owner: its references are not counted."""
    if not isinstance(array, types.Array):
        raise TypeError(f"only an array can be borrowed, not {array}")

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        view = cgutils.create_struct_proxy(array)(context, builder, value=arguments[0])
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        view.parent = cgutils.get_null_value(view.parent.type)
        return view._getvalue()

    return array(array), generate
