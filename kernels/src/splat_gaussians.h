// What a projected Gaussian becomes before it is drawn: a splat, and the tiles that its box meets.
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

constexpr int32_t ENTRIES_MAX = 1 << 27;  // 512 MiB of lists: more is no picture but a mistake

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

// Order of floats as order of unsigned integers; -0 sorts as +0.
inline uint32_t sortable(float value) {
    uint32_t bits;
    value += 0.f;
    std::memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

inline Bits sortable(Floats value) {
    Ints bits;
    value += 0.f;
    std::memcpy(&bits, &value, sizeof bits);
    return Bits(bits ^ (bits >> 31 | INT32_MIN));
}

struct Span {  // of tiles, ends exclusive; none: a splat that touches no pixel
    uint16_t x0, x1, y0, y1;

    int64_t tiles() const { return int64_t(x1 - x0) * (y1 - y0); }
};

// LANES rows of W columns each, column by column; zeros beyond `count` rows.
template <int W, int... K>
inline void load_columns(const float* from, int64_t count, Floats* columns, std::integer_sequence<int, K...>) {
    alignas(64) float padded[W * LANES];
    if (count < LANES) {
        std::memset(padded, 0, sizeof padded);
        std::memcpy(padded, from, sizeof(float) * size_t(W * count));
        from = padded;
    }
    const Floats first = load(from), second = load(from + LANES);
    if (W == 2) {
        columns[0] = __builtin_shufflevector(first, second, 2 * K...);
        columns[1] = __builtin_shufflevector(first, second, 2 * K + 1 ...);
        return;
    }
    const Floats third = load(from + 2 * LANES);
#define NEAR_COLUMN(c)                                                                                      \
    __builtin_shufflevector(__builtin_shufflevector(first, second, (3 * K + c < 2 * LANES ? 3 * K + c : 0)...), third, \
                            (3 * K + c < 2 * LANES ? K : 3 * K + c - LANES)...)
    columns[0] = NEAR_COLUMN(0), columns[1] = NEAR_COLUMN(1), columns[2] = NEAR_COLUMN(2);
#undef NEAR_COLUMN
}
template <int W>
inline void load_columns(const float* from, int64_t count, Floats* columns) {
    load_columns<W>(from, count, columns, std::make_integer_sequence<int, LANES>());
}
template <class Lanes, class Value>
inline Lanes load_some(const Value* from, int64_t count) {
    Lanes v = {};
    if (count < LANES) std::memcpy(&v, from, sizeof(Value) * size_t(count));
    else std::memcpy(&v, from, sizeof v);
    return v;
}

// Which samples of a row, or of a column, lie between `low` and `high`, of `count` that it has: the first one, and beyond.
template <int SIDE>
inline void find_box(Floats low, Floats high, int64_t count, Ints* box) {
    // Column i of the samples lies FIRST to LAST behind i / SIDE; so do rows.
    constexpr float FIRST = 0.5f - Samples<SIDE>::OUTER, LAST = SIDE == 1 ? 0.5f : Samples<SIDE>::OUTER;
    const auto limit = [=](Floats v) { return lower(higher(v, all(0.f)), all(float(count))); };
    const Floats begin = limit(float(SIDE) * (low - LAST));
    box[0] = to_int(begin) - Ints(to_float(to_int(begin)) < begin);  // rounded up
    box[1] = to_int(limit(float(SIDE) * (high - FIRST) + 1.f));
}

// LANES splats: which are seen, in bits; the first tile << 4 | (rows - 1) << 2 | (columns - 1) of each, MANY beyond 3;
// and their spans.
struct Made {
    uint32_t seen;
    Bits place;
    Ints tiles, columns, rows;  // of the span: the first one, and beyond << 16
};
constexpr uint32_t MANY = ~0u;

// Makes splats of LANES rows from `first` on for a picture of width x height samples, SIDE x SIDE a pixel. The span is empty
// of what is not seen: it cannot touch the picture or holds a value that is not finite. Rows beyond the last one are
// written, too.
template <int SIDE>
inline Made make_splats(const Projected& p, int64_t first, int64_t width, int64_t height, Splat* splats) {
    const int64_t count = p.count - first < LANES ? p.count - first : LANES;
    const int64_t ahead = first + 64 < p.count ? first + 64 : first;  // rows further, to come to the cache meanwhile
    for (int64_t k = 0; k < 2 * LANES; k += 16) __builtin_prefetch(p.mean + 2 * ahead + k);
    for (int64_t k = 0; k < 3 * LANES; k += 16) __builtin_prefetch(p.conic + 3 * ahead + k);
    __builtin_prefetch(p.depth + ahead), __builtin_prefetch(p.radius + ahead), __builtin_prefetch(p.opacity + ahead);
    Floats mean[2], conic[3];
    load_columns<2>(p.mean + 2 * first, count, mean);
    load_columns<3>(p.conic + 3 * first, count, conic);
    const Floats x = mean[0], y = mean[1], a = conic[0], b = conic[1], c = conic[2];
    const Floats depth = load_some<Floats>(p.depth + first, count);
    const Floats o = load_some<Ints>(p.radius + first, count) > 0 ? load_some<Floats>(p.opacity + first, count) : all(0.f);
    const Floats determinant = a * c - b * b, total = x + y + o + depth + a + b + c, level = log2_of(o);
    const Ints usable = (o >= ALPHA_MIN) & (determinant > 0.f) & (a > 1e-30f) & (total - total == 0.f);
    // The ellipse sigma = ln(255 opacity) is where alpha falls to 1/255; its half extents, and a little for rounding.
    const Floats reach = 2.f * 0.69314718f * higher(level - LEVEL_MIN, all(0.f)) / determinant;
    const Floats half_x = root(reach * c) * 1.0001f + 0.01f, half_y = root(reach * a) * 1.0001f + 0.01f;
    Ints box[4];
    find_box<SIDE>(x - half_x, x + half_x, width, box);
    find_box<SIDE>(y - half_y, y + half_y, height, box + 2);
    const Ints seen = usable & (box[0] < box[1]) & (box[2] < box[3]);
    for (int f = 0; f < 4; ++f)  // of tiles
        box[f] = seen ? (f % 2 ? ((box[f] - 1) >> TILE_BITS) + 1 : box[f] >> TILE_BITS) : Ints{};
    const Floats log2e = all(1.44269504f);
    Floats hidden = all(0.f);
    if (p.occlusion_depth) hidden = depth + load_some<Floats>(p.occlusion_depth + first, count);
    Floats low[4] = {x, y, -0.5f * log2e * a, -log2e * b}, high[4] = {-0.5f * log2e * c, level, depth, hidden};
    turn(low), turn(high);
    store_rows(low, high, &splats[first].x);
    const Ints columns = box[1] - box[0], rows = box[3] - box[2];
    const Ints few = (columns <= 3) & (rows <= 3);
    const Bits place = Bits(box[2] * int32_t((width + TILE - 1) / TILE) + box[0]) << 4 | Bits(rows - 1) << 2 | Bits(columns - 1);
    return {pack(seen), few ? place : Bits{} + MANY, columns * rows, box[0] | box[1] << 16, box[2] | box[3] << 16};
}

}  // namespace
}  // namespace near_kernels
