// What is sorted by depth and into tiles, and how: no order depends on the number of threads.
#pragma once
#include "splat_gaussians.h"

namespace near_kernels {
namespace {

constexpr int64_t SPARE = 9, RANGES = 8;

// Stable counting sort of items 0 .. count-1 into buckets. tally(first, end, counts) adds up how many things of these items
// each bucket gets. Sets begin[0 .. buckets]; then prepare(total) returns what puts them there: put(first, end, at), which
// moves at[bucket] on. SPARE buckets more take what is nothing: they begin beyond all, up to RANGES of them.
template <class Tally, class Prepare>
inline void sort_into(int64_t threads, int64_t count, int64_t buckets, int64_t* begin, const Tally& tally,
                      const Prepare& prepare) {
    int64_t ranges = count / 16384 < RANGES ? count / 16384 : RANGES;  // by itself each, and no other order for any number
    ranges = thread_count(threads) < ranges ? thread_count(threads) : ranges;
    const int64_t grain = ranges > 1 ? (count + ranges - 1) / ranges : count + 1, stride = buckets + SPARE;
    if (ranges < 1) ranges = 1;
    Buffer<uint32_t> next(ranges * stride);
    std::memset(next.data, 0, sizeof(uint32_t) * size_t(ranges * stride));
    parallel_ranges(threads, count, grain, [&](int64_t first, int64_t end) {
        tally(first, end, next.data + first / grain * stride);
    });
    int64_t total = 0;
    for (int64_t bucket = 0; bucket < buckets; ++bucket) {
        begin[bucket] = total;
        for (int64_t range = 0; range < ranges; ++range) {
            const int64_t here = next[range * stride + bucket];
            next[range * stride + bucket] = uint32_t(total);
            total += here;
        }
    }
    begin[buckets] = total;
    for (int64_t range = 0; range < ranges; ++range)
        for (int64_t bucket = buckets; bucket < stride; ++bucket) next[range * stride + bucket] = uint32_t(total + range);
    const auto put = prepare(total);
    parallel_ranges(threads, count, grain, [&](int64_t first, int64_t end) {
        put(first, end, next.data + first / grain * stride);
    });
}

// An item is a splat that is seen, in 64 bits: its depth, its place, its row. Where the three need more, places do
// without, as if they were of many tiles.
struct Form {
    uint32_t low = ~0u, high = 0;  // keys of depth
    int row_bits = 0, key_bits = 0, place_bits = 0;

    Form(const Projected& p, int64_t threads) {
        find_range(p, threads);
        while (row_bits < 32 && (p.count - 1) >> row_bits > 0) ++row_bits;
        while (low < high && key_bits < 32 && (high - low) >> key_bits) ++key_bits;
        place_bits = 64 - row_bits - key_bits < 32 ? 64 - row_bits - key_bits : 32;
    }
    uint64_t item(uint32_t key, uint32_t place, int64_t row) const {
        const uint64_t most = (uint64_t(1) << place_bits) - 1;
        return (uint64_t(key - low) << place_bits | (place < most ? place : most)) << row_bits | uint64_t(row);
    }
    uint32_t row(uint64_t item) const { return uint32_t(item & ((uint64_t(1) << row_bits) - 1)); }
    uint32_t place(uint64_t item) const { return uint32_t(item >> row_bits & ((uint64_t(1) << place_bits) - 1)); }
    uint32_t many() const { return uint32_t((uint64_t(1) << place_bits) - 1); }

private:
    // Of what may be seen.
    void find_range(const Projected& p, int64_t threads) {
        constexpr int64_t GRAIN = 32768;
        const int64_t ranges = (p.count + GRAIN - 1) / GRAIN;
        Buffer<uint32_t> lows(ranges), highs(ranges);
        parallel_ranges(threads, p.count, GRAIN, [&](int64_t begin, int64_t end) {
            Bits least = Bits{} - 1, most = {};
            for (int64_t i = begin; i < end; i += LANES) {
                const Floats depth = load_some<Floats>(p.depth + i, end - i);
                const Ints counts = (load_some<Ints>(p.radius + i, end - i) > 0) & (depth - depth == 0.f);
                const Bits key = sortable(depth);
                least = counts ? lower(key, least) : least, most = counts ? higher(key, most) : most;
            }
            for (int k = 1; k < LANES; ++k) least[0] = lower(least[0], least[k]), most[0] = higher(most[0], most[k]);
            lows[begin / GRAIN] = least[0], highs[begin / GRAIN] = most[0];
        });
        for (int64_t i = 0; i < ranges; ++i) low = lower(low, lows[i]), high = higher(high, highs[i]);
    }
};

}  // namespace
}  // namespace near_kernels
