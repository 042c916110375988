"""Hot loops in C++17 behind a C ABI, each with a plain twin in `kernels.twins` that is its specification.

Importing never builds and never loads anything; the library is loaded by the first call (see `library.load`).
"""
