// A persistent thread pool behind two functions. Work is cut into chunks that do not depend on the number of threads,
// so a kernel that writes each result in one chunk gives the same bits for any `threads`.
#pragma once
#include <cstdint>

namespace near_kernels {

// The number of threads that `threads` asks for: itself, or the processors this process may use where it is 0.
int64_t thread_count(int64_t threads);

// Calls task(context, chunk) for chunk = 0 .. chunks-1, each once, in any order, on up to `threads` threads, the
// caller's among them. The first exception of a task is thrown again here after all have stopped. Nested calls run
// serially.
void run_chunks(int64_t threads, int64_t chunks, void (*task)(void* context, int64_t chunk), void* context);

// While one lives, threads that have done their part of a call look out for the next one, for a moment, before they
// sleep: to wake one can take as long as a short call.
class Lookout {
public:
    Lookout();
    ~Lookout();
    Lookout(const Lookout&) = delete;
};

// Calls body(chunk) for chunk = 0 .. chunks-1.
template <class Body>
static inline void parallel_chunks(int64_t threads, int64_t chunks, const Body& body) {
    run_chunks(
        threads, chunks, [](void* context, int64_t chunk) { (*static_cast<const Body*>(context))(chunk); },
        const_cast<Body*>(&body));
}

// Calls body(begin, end) for the consecutive ranges of `grain` items that make up 0 .. count.
template <class Body>
static inline void parallel_ranges(int64_t threads, int64_t count, int64_t grain, const Body& body) {
    parallel_chunks(threads, (count + grain - 1) / grain, [&](int64_t chunk) {
        const int64_t begin = chunk * grain, end = begin + grain < count ? begin + grain : count;
        body(begin, end);
    });
}

}  // namespace near_kernels
