// From projected Gaussians to lists per tile: cull, sort by depth, scatter. The lists keep the depth order and do not
// depend on the number of threads.
#pragma once
#include <cmath>
#include <cstdint>
#include <new>
#include <utility>

#include "memory.h"
#include "splat_lanes.h"
#include "threads.h"

namespace near_kernels {
namespace {

constexpr float ALPHA_MIN = 1.f / 255.f;  // fainter contributions are skipped
constexpr float LEVEL_MIN = -7.9943535f;  // its log2
constexpr float TRANSMITTANCE_MIN = 1e-4f;  // a pixel stops before the Gaussian that would bring it here
constexpr float CLOSED = 1.f / 6;  // a surface that lets no more through hides what lies behind it

constexpr int64_t ENTRIES_MAX = int64_t(1) << 27;  // 512 MiB of lists: more is no picture but a mistake

// Uninitialised memory that frees itself, one element longer than asked for.
template <class T>
class Buffer {
public:
    T* data = nullptr;
    Buffer() = default;
    explicit Buffer(int64_t count) { allocate(count); }
    ~Buffer() {
        if (data) return_memory(data, bytes_);
    }
    Buffer(const Buffer&) = delete;
    void allocate(int64_t count) {
        size_t bytes = sizeof(T) * size_t(count + 1);
        data = static_cast<T*>(borrow_memory(bytes));
        bytes_ = bytes;
    }
    void swap(Buffer& other) {
        std::swap(data, other.data);
        std::swap(bytes_, other.bytes_);
    }
    T& operator[](int64_t i) const { return data[i]; }

private:
    size_t bytes_ = 0;
};

// What kernels/splat.py calls a Projection, N rows each.
struct Projected {
    const float *mean, *conic, *depth;
    const int32_t* radius;
    const float* opacity;
    int64_t count;
    const float* occlusion_depth = nullptr;  // metres behind a Gaussian that closes a surface; null: none
};

// log2 of its alpha is a dx^2 + b dx dy + c dy^2 + level, which is the log2 of its opacity.
struct alignas(32) Splat {
    float x, y, a, b, c, level, depth;
    float hidden;  // the depth from which it hides all where it closes a surface
};

// The ellipse in which a Gaussian reaches ALPHA_MIN, and a little for rounding; offsets from its mean. V: float, Floats.
template <class V>
struct Ellipse {
    V tilt, square, narrowing, bend;  // at height y it lies at -tilt y -+ sqrt(square - narrowing y^2); is widest at -+bend

    Ellipse(V a, V b, V c, V level) {
        const V reach = (level - LEVEL_MIN) * 1.0001f + 1e-4f, product = 4.f * a * c;
        const V determinant = higher(product - product * 2e-6f - b * b, product * 1e-7f), half = -0.5f / a;
        tilt = -b * half;
        square = 2.f * reach * half;
        narrowing = determinant * half * half;
        bend = -b * root(reach / (-c * determinant));
    }
    // Where the part between the heights `low` and `high` begins and ends; NaN where there is none.
    void span(V low, V high, V& left, V& right) const {
        const V at_left = lower(higher(bend, low), high), at_right = lower(higher(-bend, low), high);
        left = -tilt * at_left - root(square - narrowing * at_left * at_left) - 0.01f;
        right = -tilt * at_right + root(square - narrowing * at_right * at_right) + 0.01f;
    }
};

inline bool all_finite(const float* values, int64_t count) {
#if defined(__AVX512DQ__)
    constexpr int NAN_OR_INFINITY = 0x99;
    uint32_t found = 0;
    for (int64_t i = 0; i < count; i += 16) {
        const __mmask16 some = __mmask16(count - i < 16 ? (1u << (count - i)) - 1 : 0xffff);
        found |= _mm512_mask_fpclass_ps_mask(some, _mm512_maskz_loadu_ps(some, values + i), NAN_OR_INFINITY);
    }
    return found == 0;
#else
    float zero[4] = {};
    int64_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (int k = 0; k < 4; ++k) zero[k] += values[i + k] - values[i + k];
    for (; i < count; ++i) zero[0] += values[i] - values[i];
    return zero[0] + zero[1] + zero[2] + zero[3] == 0;
#endif
}

// Has a row come to the cache.
inline void foresee(const float* row, int64_t count) {
    for (int64_t i = 0; i < count; i += 16) __builtin_prefetch(row + i);
    if (count) __builtin_prefetch(row + count - 1);
}

struct Span {  // of tiles, ends exclusive; none: a splat that touches no pixel
    uint16_t x0, x1, y0, y1;

    int64_t tiles() const { return int64_t(x1 - x0) * (y1 - y0); }
};

// Makes splats and their spans of LANES rows from `first` on, those below `end`, for a picture of width x height
// samples, SIDE x SIDE a pixel. The span is empty where one cannot touch the picture or holds a value that is not finite.
template <int SIDE>
inline void make_splats(const Projected& p, int64_t first, int64_t end, int64_t width, int64_t height, Splat* splats,
                        Span* spans) {
    const int count = int(end - first < LANES ? end - first : LANES);
    const int64_t ahead = first + 64 < p.count ? first + 64 : first;  // rows further, to come to the cache meanwhile
    for (int64_t k = 0; k < 2 * LANES; k += 16) __builtin_prefetch(p.mean + 2 * ahead + k);
    for (int64_t k = 0; k < 3 * LANES; k += 16) __builtin_prefetch(p.conic + 3 * ahead + k);
    __builtin_prefetch(p.depth + ahead), __builtin_prefetch(p.radius + ahead), __builtin_prefetch(p.opacity + ahead);
    alignas(64) float in[8][LANES] = {};
    for (int k = 0; k < count; ++k) {
        const int64_t i = first + k;
        const float row[8] = {p.mean[2 * i], p.mean[2 * i + 1], p.conic[3 * i], p.conic[3 * i + 1], p.conic[3 * i + 2],
                              p.radius[i] > 0 ? p.opacity[i] : 0.f, p.depth[i], 0.f};
        for (int f = 0; f < 7; ++f) in[f][k] = row[f];
    }
    const Floats x = load(in[0]), y = load(in[1]), a = load(in[2]), b = load(in[3]), c = load(in[4]), o = load(in[5]);
    const Floats determinant = a * c - b * b, total = x + y + o + load(in[6]) + a + b + c, level = log2_of(o);
    const Ints usable = (o >= ALPHA_MIN) & (determinant > 0.f) & (a > 1e-30f) & (total - total == 0.f);
    // The ellipse sigma = ln(255 opacity) is where alpha falls to 1/255; its half extents, and a little for rounding.
    const Floats reach = 2.f * 0.69314718f * higher(level - LEVEL_MIN, all(0.f)) / determinant;
    const Floats half_x = root(reach * c) * 1.0001f + 0.01f, half_y = root(reach * a) * 1.0001f + 0.01f;
    // Column i of the samples lies FIRST to LAST behind i / SIDE; so do rows.
    constexpr float FIRST = 0.5f - Samples<SIDE>::OUTER, LAST = SIDE == 1 ? 0.5f : Samples<SIDE>::OUTER;
    const auto limit = [](Floats v, int64_t most) { return lower(higher(v, all(0.f)), all(float(most))); };
    const auto begin = [&](Floats low, int64_t most) {  // rounded up
        const Floats v = limit(float(SIDE) * (low - LAST), most);
        return to_int(v) - Ints(to_float(to_int(v)) < v);
    };
    const auto beyond = [&](Floats high, int64_t most) { return to_int(limit(float(SIDE) * (high - FIRST) + 1.f, most)); };
    Ints box[4] = {begin(x - half_x, width), beyond(x + half_x, width), begin(y - half_y, height),
                   beyond(y + half_y, height)};
    const Ints seen = usable & (box[0] < box[1]) & (box[2] < box[3]);
    for (int f = 0; f < 4; ++f) box[f] = seen ? (f % 2 ? (box[f] - 1) / TILE + 1 : box[f] / TILE) : Ints{};
    const Floats log2e = all(1.44269504f), scaled[4] = {-0.5f * log2e * a, -log2e * b, -0.5f * log2e * c, level};
    for (int f = 0; f < 4; ++f) std::memcpy(in[f < 3 ? 2 + f : 5], &scaled[f], sizeof scaled[f]);
    for (int k = 0; k < count; ++k) {
        const float hidden = p.occlusion_depth ? in[6][k] + p.occlusion_depth[first + k] : 0.f;
        splats[first + k] = {in[0][k], in[1][k], in[2][k], in[3][k], in[4][k], in[5][k], in[6][k], hidden};
        spans[first + k] = {uint16_t(box[0][k]), uint16_t(box[1][k]), uint16_t(box[2][k]), uint16_t(box[3][k])};
    }
}

// Stable counting sort: each(i, visit) calls visit(bucket, counts) for the buckets of item i of 0 .. count-1, where counts
// is 0 for nothing at all; place(i, at, counts) hears where it goes in each. Sets begin[0 .. buckets]; allocate(total) is
// called before the first place.
template <class Each, class Allocate, class Place>
inline void sort_into(int64_t threads, int64_t count, int64_t buckets, int64_t* begin, const Each& each,
                      const Allocate& allocate, const Place& place) {
    int64_t ranges = count / 16384 < 8 ? count / 16384 : 8;  // by itself each, and no other order for any number
    ranges = thread_count(threads) < ranges ? thread_count(threads) : ranges;
    const int64_t grain = ranges > 1 ? (count + ranges - 1) / ranges : count + 1;
    if (ranges < 1) ranges = 1;
    Buffer<uint32_t> next(ranges * buckets);
    std::memset(next.data, 0, sizeof(uint32_t) * size_t(ranges * buckets));
    parallel_ranges(threads, count, grain, [&](int64_t first, int64_t end) {
        uint32_t* const counted = next.data + first / grain * buckets;
        for (int64_t i = first; i < end; ++i)
            each(i, [&](int64_t bucket, uint32_t counts) { counted[bucket] += counts; });
    });
    int64_t total = 0;
    for (int64_t bucket = 0; bucket < buckets; ++bucket) {
        begin[bucket] = total;
        for (int64_t range = 0; range < ranges; ++range) {
            const int64_t here = next[range * buckets + bucket];
            next[range * buckets + bucket] = uint32_t(total);
            total += here;
        }
    }
    begin[buckets] = total;
    allocate(total);
    parallel_ranges(threads, count, grain, [&](int64_t first, int64_t end) {
        uint32_t* const at = next.data + first / grain * buckets;
        for (int64_t i = first; i < end; ++i)
            each(i, [&](int64_t bucket, uint32_t counts) {
                place(i, at[bucket], counts);
                at[bucket] += counts;
            });
    });
}

// Order of floats as order of unsigned integers; -0 sorts as +0.
inline uint32_t sortable(float value) {
    uint32_t bits;
    value += 0.f;
    std::memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// For a picture of width x height samples, SIDE x SIDE a pixel: the splats by row, and for tile t the rows
// entries[tile_begin[t] .. tile_begin[t+1]) of those that touch it, in depth order; none where a feature is not finite.
// Where it is LINKED, what entry e makes belongs into slot slot_of[e] of slot_count; those of row i are slot_begin[i] ..
// slot_end[i]-1, in a fixed order.
template <int SIDE, bool LINKED = false>
class Bins {
public:
    // features: a row of `channels` for each splat, or null.
    Bins(const Projected& p, const float* features, int64_t channels, int64_t width, int64_t height, int64_t threads)
        : tiles_x((width + TILE - 1) / TILE), tiles_y((height + TILE - 1) / TILE), splats(p.count),
          tile_begin(tiles_x * tiles_y), spans(p.count), items(p.count), other(p.count) {
        order(gather(p, features, channels, width, height, threads), threads);
        if (LINKED) make_room(p.count);
        sort_into(
            threads, count, tiles(), tile_begin.data,
            [&](int64_t s, const auto& visit) { for_tiles(items[s], visit); },
            [&](int64_t total) {
                entries.allocate(entry_count = total);
                if (LINKED) slot_of.allocate(total);
            },
            [&](int64_t s, uint32_t at, uint32_t counts) {
                constexpr int64_t AHEAD = 16;
                const uint32_t row = items[s].row;
                uint32_t nowhere;  // a place is chosen, not branched on
                *(counts ? &entries[at] : &nowhere) = row;
                if (!LINKED) return;
                __builtin_prefetch(&slot_end[items[s + AHEAD < count ? s + AHEAD : s].row], 1);
                *(counts ? &slot_of[at] : &nowhere) = slot_end[row];
                slot_end[row] += counts;
            });
    }

    int64_t tiles() const { return tiles_x * tiles_y; }

    int64_t tiles_x, tiles_y, count = 0, entry_count = 0, slot_count = 0;
    Buffer<Splat> splats;
    Buffer<int64_t> tile_begin;
    Buffer<uint32_t> entries, slot_of, slot_begin, slot_end;

private:
    struct Item {  // a splat that is seen
        uint32_t key, row, place;  // its depth; which; the first tile << 2 | two rows << 1 | two columns, or MANY
    };
    static constexpr uint32_t MANY = ~0u;

    uint32_t place_of(const Span& k) const {
        const uint32_t columns = k.x1 - k.x0, rows = k.y1 - k.y0;
        return columns > 2 || rows > 2 ? MANY : uint32_t(k.y0 * tiles_x + k.x0) << 2 | (rows - 1) << 1 | (columns - 1);
    }

    // Calls visit(tile, 1) for the tiles that a splat touches. Small ones call it four times, with 0 for what is none: how
    // many tiles the next one touches is nothing that a processor could foretell.
    template <class Visit>
    void for_tiles(const Item& item, const Visit& visit) const {
        if (item.place != MANY) {
            const uint32_t wide = item.place & 1, high = item.place >> 1 & 1;
            const int64_t first = item.place >> 2, second = first + high * tiles_x;
            visit(first, 1u), visit(first + wide, wide), visit(second, high), visit(second + wide, wide & high);
            return;
        }
        const Span& k = spans[item.row];
        if (k.y1 - k.y0 > 4 && k.x1 - k.x0 > 2) return for_tiles_exactly(k, splats[item.row], visit);
        for (int64_t y = k.y0; y < k.y1; ++y)
            for (int64_t x = k.x0; x < k.x1; ++x) visit(y * tiles_x + x, 1u);
    }

    // Without the corners of its box that its ellipse leaves out.
    template <class Visit>
    void for_tiles_exactly(const Span& k, const Splat& s, const Visit& visit) const {
        const Ellipse<float> ellipse(s.a, s.b, s.c, s.level);
        constexpr float FIRST = 0.5f + Samples<SIDE>::low(0), LAST = 0.5f + Samples<SIDE>::high(TILE - 1);
        constexpr float STEP = float(TILE / SIDE);
        for (int64_t y = k.y0; y < k.y1; ++y) {
            float left, right;
            ellipse.span(float(y) * STEP + FIRST - s.y - 0.01f, float(y) * STEP + LAST - s.y + 0.01f, left, right);
            const float first = (left + s.x - LAST) / STEP, last = (right + s.x - FIRST) / STEP;
            if (!(first <= float(k.x1) && last >= float(k.x0))) continue;  // or NaN
            const int64_t x0 = first <= float(k.x0) ? k.x0 : int64_t(std::ceil(first));
            const int64_t x1 = last >= float(k.x1) ? k.x1 : int64_t(last) + 1;
            for (int64_t x = x0; x < x1 && x < k.x1; ++x) visit(y * tiles_x + x, 1u);
        }
    }

    struct Keys {  // of depth: the least and the largest
        uint32_t low = ~0u, high = 0;

        void take(const Keys& other) {
            low = other.low < low ? other.low : low;
            high = other.high > high ? other.high : high;
        }
    };

    // Makes the splats, and items of those that are seen.
    Keys gather(const Projected& p, const float* features, int64_t channels, int64_t width, int64_t height,
                int64_t threads) {
        constexpr int64_t GRAIN = 2048;
        struct Range {
            int64_t seen, tiles;
            Keys keys;
        };
        const int64_t ranges = (p.count + GRAIN - 1) / GRAIN;
        Buffer<Range> found(ranges);
        parallel_ranges(threads, p.count, GRAIN, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i += LANES)
                make_splats<SIDE>(p, i, end, width, height, splats.data, spans.data);
            Range range{0, 0, {}};
            for (int64_t i = begin; i < end; ++i) {
                if (spans[i].x0 == spans[i].x1) continue;
                if (features) foresee(features + (i + 32 < p.count ? i + 32 : i) * channels, channels);
                if (features && !all_finite(features + i * channels, channels)) {
                    spans[i] = {};
                    continue;
                }
                const uint32_t key = sortable(splats[i].depth);
                items[begin + range.seen++] = {key, uint32_t(i), place_of(spans[i])};
                range.keys.take({key, key});
                range.tiles += spans[i].tiles();
            }
            found[begin / GRAIN] = range;
        });
        int64_t total = 0;
        Keys keys;
        for (int64_t range = 0; range < ranges; ++range) {
            const int64_t from = range * GRAIN, seen = found[range].seen;
            if (count < from) std::memmove(items.data + count, items.data + from, sizeof(Item) * size_t(seen));
            count += seen;
            total += found[range].tiles;
            keys.take(found[range].keys);
        }
        if (total > ENTRIES_MAX) throw std::bad_alloc();
        return keys;
    }

    // Radix sort by as many bits as the keys differ in.
    void order(const Keys& keys, int64_t threads) {
        const uint32_t low = keys.low, high = keys.high;
        int bits = 0;
        while (low < high && bits < 32 && (high - low) >> bits) ++bits;
        const int passes = (bits + 11) / 12, digit = passes ? (bits + passes - 1) / passes : 0;
        Buffer<int64_t> begin(int64_t(1) << digit);
        for (int shift = 0; shift < bits; shift += digit) {
            const Item* const from = items.data;
            Item* const to = other.data;
            const auto each = [=](int64_t i, const auto& visit) {
                visit(((from[i].key - low) >> shift) & ((1u << digit) - 1), 1u);
            };
            sort_into(threads, count, int64_t(1) << digit, begin.data, each, [](int64_t) {},
                      [=](int64_t i, uint32_t at, uint32_t) { to[at] = from[i]; });
            items.swap(other);
        }
    }

    // Slots for all tiles of each row's span.
    void make_room(int64_t rows) {
        uint32_t total = 0;
        slot_begin.allocate(rows);
        slot_end.allocate(rows);
        for (int64_t i = 0; i < rows; ++i) {
            slot_begin[i] = slot_end[i] = total;
            total += uint32_t(spans[i].tiles());
        }
        slot_count = total;
    }

    Buffer<Span> spans;
    Buffer<Item> items, other;
};

}  // namespace
}  // namespace near_kernels
