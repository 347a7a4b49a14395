"""Arrays of libraries that follow the array API standard, and do not answer NumPy's ufuncs themselves: JAX's, ``array_api_strict``'s."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsig.arrays.devices import device_of, library_of
from fastsig.arrays.dtypes import Array
from fastsig.arrays.library import Library, Values

_TRACED = "its values are not known while it is traced (jax.jit, grad, vmap); call this outside of that, or within jax.pure_callback"


def is_namespaced(kind: type) -> bool:
    return hasattr(kind, "__array_namespace__") and not hasattr(kind, "__array_ufunc__")


class Namespace(Library):
    """The results are arrays of the same namespace, on the same device; integers become its default type of floats."""

    def values(self, x: Any) -> Values:
        if hasattr(x, "__array__") or hasattr(x, "__buffer__"):
            try:
                return Values(np.asarray(x))
            except (TypeError, RuntimeError) as error:
                if library_of(x) == "jax":
                    raise TypeError(_TRACED) from error
                raise TypeError(f"NumPy cannot read it on its device, {x.device}; give what .to_device of the CPU's returns") from error
        try:
            return Values(np.from_dlpack(x))
        except (BufferError, RuntimeError) as error:
            raise TypeError(f"{error}; give a copy in host memory") from error

    def logits(self, x: Any, array: Array) -> Array:
        return array.astype(_default_float(x)) if array.dtype.kind in "bui" else array

    def parts(self, x: Any) -> list[Array] | None:
        return [self.logits(x, self.values(x).array)] if device_of(x) == "cpu" else None

    def like(self, x: Any, array: Array) -> Any:
        return x.__array_namespace__().asarray(array, device=x.device)

    def scalar(self, x: Any, value: Any) -> Any:
        return self.like(x, np.asarray(value))


def _default_float(x: Any) -> np.dtype[Any]:
    return np.asarray(x.__array_namespace__().asarray(1.0)).dtype
