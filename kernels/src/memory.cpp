#include "memory.h"

#include <cstdint>
#include <mutex>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace near_kernels {
namespace {

constexpr size_t SMALLEST = size_t(1) << 20;  // bytes; the C library keeps what is smaller by itself
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1  // as GCC says it
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)  // it sees what is read beyond an end, or too late, of memory that nobody keeps
constexpr size_t MOST = 0;
#else
constexpr size_t MOST = size_t(1) << 28;  // bytes that are kept
#endif
constexpr std::align_val_t LINE{64};          // bytes of a cache's line

struct Piece {
    void* memory;
    size_t bytes;
};

// A lock that is taken is not waited for, so that a forked child, where nobody gives it back, goes on without.
std::mutex lock;
Piece spare[64];  // the oldest first
int count = 0;
size_t kept = 0;

Piece remove(int at) {
    const Piece piece = spare[at];
    for (--count; at < count; ++at) spare[at] = spare[at + 1];
    kept -= piece.bytes;
    return piece;
}

void clear() {
    const std::unique_lock<std::mutex> mine(lock, std::try_to_lock);
    while (mine && count) ::operator delete(remove(0).memory, LINE);
}

void* allocate(size_t bytes) {
    void* memory = ::operator new(bytes, LINE, std::nothrow);
    if (!memory) {  // what is kept may be what is missing
        clear();
        memory = ::operator new(bytes, LINE);
    }
#if defined(__linux__)  // pages of 4 KiB cost more than what is done with them
    constexpr uintptr_t PAGE = 4096;
    const uintptr_t start = (reinterpret_cast<uintptr_t>(memory) + PAGE - 1) & ~(PAGE - 1);
    if (bytes >= size_t(1) << 22) madvise(reinterpret_cast<void*>(start), bytes - PAGE, MADV_HUGEPAGE);
#endif
    return memory;
}

}  // namespace

void* borrow_memory(size_t& bytes) {
    if (bytes >= SMALLEST) {
        const std::unique_lock<std::mutex> mine(lock, std::try_to_lock);
        for (int i = count; mine && i-- > 0;)
            if (bytes <= spare[i].bytes && spare[i].bytes <= 2 * bytes) {
                const Piece piece = remove(i);
                bytes = piece.bytes;
                return piece.memory;
            }
    }
    return allocate(bytes);
}

void return_memory(void* memory, size_t bytes) noexcept {
    Piece old[sizeof spare / sizeof *spare];
    int leaving = 0;
    if (bytes >= SMALLEST && bytes <= MOST) {
        const std::unique_lock<std::mutex> mine(lock, std::try_to_lock);
        if (mine) {
            while (count == int(sizeof spare / sizeof *spare) || kept + bytes > MOST) old[leaving++] = remove(0);
            spare[count++] = {memory, bytes};
            kept += bytes;
            memory = nullptr;
        }
    }
    ::operator delete(memory, LINE);
    for (int i = 0; i < leaving; ++i) ::operator delete(old[i].memory, LINE);
}

}  // namespace near_kernels
