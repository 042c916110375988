"""Hot loops in C++17 behind a C ABI: splat, grid, ggx and attention, which library loads.

Each has a twin in `kernels.twins`, its specification in plain numpy or torch, and tests compare the two. The zip leaves
the twins out: nothing computes with them. What makes a table in numpy at run time is a module of its own, microfacets.
Importing never builds and never loads anything; the first call loads the library (see `library.load`).
"""
