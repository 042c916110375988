#include "threads.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace near_kernels {
namespace {

struct Job {
    void (*task)(void*, int64_t);
    void* context;
    int64_t chunks;
    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};
    std::exception_ptr error;

    void work() noexcept {
        for (int64_t chunk; !failed.load(std::memory_order_relaxed) && (chunk = next.fetch_add(1)) < chunks;) {
            try {
                task(context, chunk);
            } catch (...) {
                if (!failed.exchange(true)) error = std::current_exception();
            }
        }
    }
};

thread_local bool inside = false;  // this thread is running a chunk
std::atomic<int> lookouts{0};

// Until ready(), or until a moment is over.
template <class Ready>
void look_out(const Ready& ready) {
    constexpr std::chrono::microseconds MOMENT{100};
    if (!lookouts.load(std::memory_order_relaxed) || ready()) return;
    const auto end = std::chrono::steady_clock::now() + MOMENT;
    do {
        for (int i = 0; i < 16; ++i) {
            if (ready()) return;
#if defined(__x86_64__)
            _mm_pause();
#elif defined(__aarch64__)
            __asm__ __volatile__("yield");
#endif
        }
    } while (lookouts.load(std::memory_order_relaxed) && std::chrono::steady_clock::now() < end);
}

class Pool {
public:
    void run(int64_t helpers, Job& job) {
        std::lock_guard<std::mutex> one_job(entry_);
        {
            std::lock_guard<std::mutex> lock(state_);
            for (; size_ < helpers; ++size_) std::thread([this] { serve(); }).detach();
            job_ = &job;
            wanted_ = helpers;
        }
        wake_.notify_all();
        inside = true;
        job.work();
        inside = false;
        std::unique_lock<std::mutex> lock(state_);
        wanted_ = 0;
        job_ = nullptr;
        lock.unlock();
        look_out([this] { return busy_ == 0; });
        lock.lock();
        done_.wait(lock, [this] { return busy_ == 0; });
    }

private:
    void serve() {
        inside = true;
        std::unique_lock<std::mutex> lock(state_);
        for (;;) {
            lock.unlock();
            look_out([this] { return wanted_ > 0; });
            lock.lock();
            wake_.wait(lock, [this] { return wanted_ > 0; });
            --wanted_;
            ++busy_;
            Job& job = *job_;
            lock.unlock();
            job.work();
            lock.lock();
            if (--busy_ == 0) done_.notify_one();
        }
    }

    std::mutex entry_, state_;
    std::condition_variable wake_, done_;
    Job* job_ = nullptr;
    int64_t size_ = 0;
    std::atomic<int64_t> wanted_{0}, busy_{0};  // written under the lock
};

// Never destroyed: its threads may still sleep in it when the process ends. A forked child has none of them and starts
// anew.
std::atomic<Pool*> pool{nullptr};

Pool& the_pool() {
    static const bool once = [] {
        pool = new Pool;
#if !defined(_WIN32)
        pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
#endif
        return true;
    }();
    (void)once;
    return *pool;
}

}  // namespace

Lookout::Lookout() { ++lookouts; }
Lookout::~Lookout() { --lookouts; }

int64_t thread_count(int64_t threads) {
    if (threads > 0) return threads;
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    const int64_t count = std::thread::hardware_concurrency();
    return count > 0 ? count : 1;
}

void run_chunks(int64_t threads, int64_t chunks, void (*task)(void*, int64_t), void* context) {
    Job job{task, context, chunks, {0}, {false}, nullptr};
    const int64_t helpers = (chunks < thread_count(threads) ? chunks : thread_count(threads)) - 1;
    if (helpers > 0 && !inside)
        the_pool().run(helpers, job);
    else
        job.work();
    if (job.error) std::rethrow_exception(job.error);
}

}  // namespace near_kernels
