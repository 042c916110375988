// The C ABI of the kernels: how a function is exported, how it fails, which instruction set it is compiled for.
//
// Every kernels/src/*.cpp except dispatch.cpp, memory.cpp and threads.cpp is compiled once per instruction set (NEAR_ISA
// is baseline, avx2 or avx512) and linked into one library. A kernel is written
//
//     NEAR_KERNEL(grid_trace)(const float* origin, int64_t count, double far, float* hit, int64_t threads) {
//         return near_kernels::guard([&] { ... });
//     }
//
// and is exported as near_grid_trace_<isa>; kernels/library.py picks the variant. The rules:
//   * arguments are pointers, int64_t and double only (ctypes: c_void_p, c_int64, c_double);
//   * the return value is 0 or an error code; an exception never leaves the library;
//   * everything else in such a file has internal linkage (anonymous namespace): the linker keeps one of several equal
//     functions, and it must not be the one with AVX on a machine without it.
#pragma once
#include <cstdint>
#include <exception>
#include <new>

#define NEAR_ABI_VERSION 31

#if defined(_WIN32)
#define NEAR_EXPORT extern "C" __declspec(dllexport)
#else
#define NEAR_EXPORT extern "C" __attribute__((visibility("default")))
#endif

#ifndef NEAR_ISA
#define NEAR_ISA baseline
#endif
#define NEAR_JOIN_(name, isa) near_##name##_##isa
#define NEAR_JOIN(name, isa) NEAR_JOIN_(name, isa)
#define NEAR_KERNEL(name) NEAR_EXPORT int32_t NEAR_JOIN(name, NEAR_ISA)

namespace near_kernels {

enum Error : int32_t { OK = 0, OUT_OF_MEMORY = 1, INTERNAL = 2 };

template <class Body>
static inline int32_t guard(const Body& body) noexcept {
    try {
        body();
        return OK;
    } catch (const std::bad_alloc&) {
        return OUT_OF_MEMORY;
    } catch (...) {
        return INTERNAL;
    }
}

}  // namespace near_kernels
