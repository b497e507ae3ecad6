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


def _without_owner(context: Any, builder: ir.IRBuilder, array: Any, value: Any) -> Any:
    view = cgutils.create_struct_proxy(array)(context, builder, value=value)
    view.meminfo = cgutils.get_null_value(view.meminfo.type)
    view.parent = cgutils.get_null_value(view.parent.type)
    return view._getvalue()


def _borrowed(typing_context: Any, state: Any) -> Any:
    """Return an array, or a NamedTuple of arrays, as it is but with no owner: its references are not counted."""
    if isinstance(state, types.Array):

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            return _without_owner(context, builder, state, arguments[0])

        return state(state), generate
    fields = tuple(getattr(state, "types", ()))
    if not isinstance(state, types.BaseNamedTuple) or not all(isinstance(t, types.Array) for t in fields):
        raise TypeError(f"only an array or a NamedTuple of arrays can be borrowed, not {state}")

    def generate_all(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        items = cgutils.unpack_tuple(builder, arguments[0])
        views = [_without_owner(context, builder, t, v) for t, v in zip(fields, items, strict=True)]
        return context.make_tuple(builder, state, views)

    return state(state), generate_all


borrowed: Any = intrinsic(_borrowed)
