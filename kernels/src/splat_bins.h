// From projected Gaussians to lists per tile: cull, sort by depth, scatter. The lists keep the depth order and do not
// depend on the number of threads.
#pragma once
#include <cmath>
#include <cstdint>
#include <new>

#include "splat_lanes.h"
#include "threads.h"

namespace near_kernels {
namespace {

constexpr float ALPHA_MIN = 1.f / 255.f;  // fainter contributions are skipped
constexpr float ALPHA_MAX = 0.999f;
constexpr float TRANSMITTANCE_MIN = 1e-4f;  // a pixel stops before the Gaussian that would bring it here
constexpr float CLOSED = 1.f / 6;  // a surface that lets no more through hides what lies behind it

constexpr int64_t ENTRIES_MAX = int64_t(1) << 27;  // 1 GiB of lists: more is no picture but a mistake

// Uninitialised memory that frees itself, one element longer than asked for.
template <class T>
struct Buffer {
    T* data = nullptr;
    Buffer() = default;
    explicit Buffer(int64_t count) { allocate(count); }
    ~Buffer() { ::operator delete(data, std::align_val_t(64)); }
    Buffer(const Buffer&) = delete;
    void allocate(int64_t count) {
        data = static_cast<T*>(::operator new(sizeof(T) * size_t(count + 1), std::align_val_t(64)));
    }
    T& operator[](int64_t i) const { return data[i]; }
};

// What kernels/splat.py calls a Projection, N rows each.
struct Projected {
    const float *mean, *conic, *depth;
    const int32_t* radius;
    const float* opacity;
    int64_t count;
    const float* occlusion_depth = nullptr;  // metres behind a Gaussian that closes a surface; null: none
};

struct alignas(64) Splat {  // one cache line
    float x, y, a, b, c, opacity, depth;
    int32_t x0, x1, y0, y1;  // samples where it can reach ALPHA_MIN, end exclusive
    float hidden;            // the depth from which it hides all where it closes a surface
};

// Fills `splat` from row i for a picture of width x height samples, SIDE x SIDE a pixel; false where it cannot touch the
// picture or holds a value that is not finite.
template <int SIDE>
inline bool make_splat(const Projected& p, int64_t i, int64_t width, int64_t height, Splat& splat) {
    const float x = p.mean[2 * i], y = p.mean[2 * i + 1], o = p.opacity[i], z = p.depth[i];
    const float a = p.conic[3 * i], b = p.conic[3 * i + 1], c = p.conic[3 * i + 2];
    const float determinant = a * c - b * b;
    if (p.radius[i] <= 0 || !(o >= ALPHA_MIN) || !(determinant > 0) || !(a > 0) ||
        !std::isfinite(x + y + o + z + a + b + c))
        return false;
    // The ellipse sigma = ln(255 opacity) is where alpha falls to 1/255; its half extents, and a little for rounding.
    const float reach = 2.f * std::log(255.f * o) / determinant;
    const float half_x = std::sqrt(std::fmax(reach * c, 0.f)) * 1.0001f + 0.01f;
    const float half_y = std::sqrt(std::fmax(reach * a, 0.f)) * 1.0001f + 0.01f;
    const auto clamp = [](float v, int64_t end) { return int32_t(std::fmin(std::fmax(v, 0.f), float(end))); };
    // Column i of the samples lies FIRST to LAST behind i / SIDE; so do rows.
    constexpr float FIRST = 0.5f - Samples<SIDE>::OUTER, LAST = SIDE == 1 ? 0.5f : Samples<SIDE>::OUTER;
    const auto begin = [&](float low, int64_t end) { return clamp(std::ceil(SIDE * (low - LAST)), end); };
    const auto beyond = [&](float high, int64_t end) { return clamp(std::floor(SIDE * (high - FIRST)) + 1.f, end); };
    const int32_t x0 = begin(x - half_x, width), x1 = beyond(x + half_x, width);
    const int32_t y0 = begin(y - half_y, height), y1 = beyond(y + half_y, height);
    splat = {x, y, a, b, c, o, z, x0, x1, y0, y1, p.occlusion_depth ? z + p.occlusion_depth[i] : 0.f};
    return splat.x0 < splat.x1 && splat.y0 < splat.y1;
}

inline bool all_finite(const float* values, int64_t count) {
    float zero = 0;
    for (int64_t i = 0; i < count; ++i) zero += values[i] - values[i];
    return zero == 0;
}

// A splat on its way through the sort, with the tiles it touches (ends exclusive).
struct Keyed {
    uint32_t key, row;
    uint16_t x0, x1, y0, y1;

    int64_t tiles() const { return int64_t(x1 - x0) * (y1 - y0); }
};

// Stable radix sort by key, 11 bits a pass; `other` is scratch of the same size. Returns the one that holds the result.
inline Keyed* sort_by_key(Keyed* rows, Keyed* other, int64_t count) {
    constexpr int BITS = 11, BUCKETS = 1 << BITS;
    for (int shift = 0; shift < 32; shift += BITS) {
        int64_t begin[BUCKETS + 1] = {};
        for (int64_t i = 0; i < count; ++i) ++begin[((rows[i].key >> shift) & (BUCKETS - 1)) + 1];
        for (int b = 0; b < BUCKETS; ++b) begin[b + 1] += begin[b];
        for (int64_t i = 0; i < count; ++i) other[begin[(rows[i].key >> shift) & (BUCKETS - 1)]++] = rows[i];
        Keyed* swap = rows;
        rows = other;
        other = swap;
    }
    return rows;
}

// Order of floats as order of unsigned integers; -0 sorts as +0.
inline uint32_t sortable(float value) {
    uint32_t bits;
    value += 0.f;
    std::memcpy(&bits, &value, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// For a picture of width x height samples, SIDE x SIDE a pixel: the splats by row, and for tile t the rows
// entries[tile_begin[t] .. tile_begin[t+1]) of those that touch it, in depth order. The s-th visible splat in depth order
// is sorted[s]; its tiles, row by row, have their entries at slots[first[s] .. first[s+1]).
template <int SIDE>
class Bins {
public:
    // features: (N, channels) or null; a Gaussian with a feature that is not finite is left out.
    Bins(const Projected& p, const float* features, int64_t channels, int64_t width, int64_t height, int64_t threads)
        : tiles_x((width + TILE - 1) / TILE), tiles_y((height + TILE - 1) / TILE), splats(p.count),
          tile_begin(tiles_x * tiles_y), first(p.count), keys(p.count), other_keys(p.count) {
        order(p, features, channels, width, height, threads);
        scatter(threads);
    }

    // The splat of entry e. The one `ahead` entries on is fetched into the cache, and its features where there are any.
    const Splat& at(int64_t e, const float* features, int64_t channels, int64_t ahead = 8) const {
        if (e + ahead >= 0 && e + ahead < entry_count) {
            const int64_t row = entries[e + ahead];
            __builtin_prefetch(&splats[row]);
            for (int64_t c = 0; features && c < channels; c += 16) __builtin_prefetch(features + row * channels + c);
        }
        return splats[entries[e]];
    }

    int64_t tiles_x, tiles_y, count = 0, entry_count = 0;
    Buffer<Splat> splats;
    Buffer<int64_t> tile_begin, first;
    Buffer<uint32_t> entries, slots;
    const Keyed* sorted = nullptr;

private:
    void order(const Projected& p, const float* features, int64_t channels, int64_t width, int64_t height,
               int64_t threads) {
        parallel_ranges(threads, p.count, 2048, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                Splat& s = splats[i];
                const bool seen =
                    make_splat<SIDE>(p, i, width, height, s) && (!features || all_finite(features + i * channels, channels));
                const auto tile = [&](int32_t pixel) { return uint16_t(seen ? pixel / TILE : 0); };
                const auto tile_end = [&](int32_t pixel) { return uint16_t(seen ? (pixel - 1) / TILE + 1 : 0); };
                keys[i] = {sortable(s.depth), uint32_t(i), tile(s.x0), tile_end(s.x1), tile(s.y0), tile_end(s.y1)};
            }
        });
        for (int64_t i = 0; i < p.count; ++i)
            if (keys[i].x0 < keys[i].x1) keys[count++] = keys[i];
        sorted = sort_by_key(keys.data, other_keys.data, count);
    }

    // Counting sort of (splat, tile) by tile: a histogram per range of splats, prefix sums, then each range by itself.
    void scatter(int64_t threads) {
        const int64_t tiles = tiles_x * tiles_y, ranges = count < 16384 ? 1 : 8, grain = (count + ranges) / ranges;
        first[0] = 0;
        for (int64_t s = 0; s < count; ++s) first[s + 1] = first[s] + sorted[s].tiles();
        if (first[count] > ENTRIES_MAX) throw std::bad_alloc();
        Buffer<int64_t> place(ranges * tiles);
        std::memset(place.data, 0, sizeof(int64_t) * size_t(ranges * tiles));
        parallel_ranges(threads, count, grain, [&](int64_t begin, int64_t end) {
            int64_t* counts = place.data + begin / grain * tiles;
            for (int64_t s = begin; s < end; ++s) for_tiles(sorted[s], [&](int64_t tile) { ++counts[tile]; });
        });
        for (int64_t tile = 0; tile < tiles; ++tile) {
            tile_begin[tile] = entry_count;
            for (int64_t range = 0; range < ranges; ++range) {
                const int64_t here = place[range * tiles + tile];
                place[range * tiles + tile] = entry_count;
                entry_count += here;
            }
        }
        tile_begin[tiles] = entry_count;
        entries.allocate(entry_count);
        slots.allocate(entry_count);
        parallel_ranges(threads, count, grain, [&](int64_t begin, int64_t end) {
            int64_t* next = place.data + begin / grain * tiles;
            int64_t slot = first[begin];
            for (int64_t s = begin; s < end; ++s)
                for_tiles(sorted[s], [&](int64_t tile) {
                    entries[next[tile]] = sorted[s].row;
                    slots[slot++] = uint32_t(next[tile]++);
                });
        });
    }

    template <class Visit>
    void for_tiles(const Keyed& k, const Visit& visit) const {
        for (int64_t y = k.y0; y < k.y1; ++y)
            for (int64_t x = k.x0; x < k.x1; ++x) visit(y * tiles_x + x);
    }

    Buffer<Keyed> keys, other_keys;
};

}  // namespace
}  // namespace near_kernels
