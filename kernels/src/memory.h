// Large memory of calls that have ended, for the next ones: a system clears fresh pages, which takes as long as filling
// them once more.
#pragma once
#include <cstddef>

namespace near_kernels {

// At least `bytes` that hold anything, aligned to 64; sets how many there are. Throws std::bad_alloc.
void* borrow_memory(size_t& bytes);

// Takes back what was borrowed, as many bytes as there are.
void return_memory(void* memory, size_t bytes) noexcept;

}  // namespace near_kernels
