"""fastsig in code that Numba compiles: ``fs.sigmoid`` and the other functions of ``fastsig.ufuncs`` in a user's own ``@njit``.

Nothing here has to be imported: Numba asks for it through the entry point in ``_fastsig_numba`` when it compiles code that names a
function of fastsig. ``functions`` is what it is answered, ``cached_code`` sees to it that no cache serves an older answer; docs/numba.md.
"""
