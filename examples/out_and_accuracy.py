"""``out=`` saves the new array, ``where=`` the elements not wanted, and ``dtype=np.float64`` buys the last half ULP in float32."""

import numpy as np

import fastsig as fs

x = np.linspace(-30, 10, 1_000_001, dtype=np.float32)
exact = (1 / (1 + np.exp(-x.astype(np.longdouble)))).astype(np.float32)  # no overflow in this range

fast = np.empty_like(x)
fs.sigmoid(x, out=fast)

careful = np.empty_like(x)
fs.sigmoid(x, out=careful, dtype=np.float64)  # computed in float64, rounded once into the float32 array

for name, got in (("float32 kernel", fast), ("dtype=np.float64", careful)):
    print(f"{name:17s} not correctly rounded: {np.count_nonzero(got != exact):7,} of {x.size:,}")

positive = np.zeros_like(x)
fs.sigmoid(x, out=positive, where=x > 0)  # the rest of the array stays as it is
print(f"where=x > 0       left alone: {np.count_nonzero(positive == 0):,}")
