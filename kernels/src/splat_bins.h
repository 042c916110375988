// From projected Gaussians to lists per tile: cull, sort by depth, scatter. The lists keep the depth order and do not depend
// on the number of threads.
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

// Uninitialised memory that frees itself.
template <class T>
struct Buffer {
    T* data;
    explicit Buffer(int64_t count) : data(static_cast<T*>(::operator new(sizeof(T) * size_t(count + 1)))) {}
    ~Buffer() { ::operator delete(data); }
    Buffer(const Buffer&) = delete;
    T& operator[](int64_t i) const { return data[i]; }
};

// What kernels/splat.py calls a Projection, N rows each.
struct Projected {
    const float *mean, *conic, *depth;
    const int32_t* radius;
    const float* opacity;
    int64_t count;
};

struct Splat {
    float x, y, a, b, c, opacity, depth;
    int32_t id;
    int32_t x0, x1, y0, y1;  // pixels where it can reach ALPHA_MIN, end exclusive
};

// Fills `splat` from row i; false where it cannot touch the picture or holds a value that is not finite.
inline bool make_splat(const Projected& p, int64_t i, int64_t width, int64_t height, Splat& splat) {
    const float x = p.mean[2 * i], y = p.mean[2 * i + 1], o = p.opacity[i], z = p.depth[i];
    const float a = p.conic[3 * i], b = p.conic[3 * i + 1], c = p.conic[3 * i + 2];
    const float determinant = a * c - b * b;
    if (p.radius[i] <= 0 || !(o >= ALPHA_MIN) || !(determinant > 0) || !(a > 0) || !std::isfinite(x + y + o + z + a + b + c))
        return false;
    // The ellipse sigma = ln(255 opacity) is where alpha falls to 1/255; its half extents, and a little for rounding.
    const float reach = 2.f * std::log(255.f * o) / determinant;
    const float half_x = std::sqrt(std::fmax(reach * c, 0.f)) * 1.0001f + 0.01f;
    const float half_y = std::sqrt(std::fmax(reach * a, 0.f)) * 1.0001f + 0.01f;
    const auto clamp = [](float v, int64_t end) { return int32_t(std::fmin(std::fmax(v, 0.f), float(end))); };
    splat = {x, y, a, b, c, o, z, int32_t(i),
             clamp(std::ceil(x - half_x - 0.5f), width), clamp(std::floor(x + half_x + 0.5f), width),
             clamp(std::ceil(y - half_y - 0.5f), height), clamp(std::floor(y + half_y + 0.5f), height)};
    return splat.x0 < splat.x1 && splat.y0 < splat.y1;
}

inline bool all_finite(const float* values, int64_t count) {
    float zero = 0;
    for (int64_t i = 0; i < count; ++i) zero += values[i] - values[i];
    return zero == 0;
}

struct Keyed {
    uint32_t key;
    uint32_t row;
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

// Splats in depth order, and for tile t the indices entries[tile_begin[t] .. tile_begin[t+1]) into them. The k-th tile of
// splat s (row by row) has its entry at slots[first[s] + k].
class Bins {
public:
    // features: (N, channels) or null; a Gaussian with a feature that is not finite is left out.
    Bins(const Projected& p, const float* features, int64_t channels, int64_t width, int64_t height, int64_t threads)
        : tiles_x((width + TILE - 1) / TILE), tiles_y((height + TILE - 1) / TILE), splats(p.count), tile_begin(tiles_x * tiles_y),
          first(p.count) {
        order(p, features, channels, width, height, threads);
        scatter(threads);
    }
    ~Bins() {
        delete entries;
        delete slots;
    }

    int64_t tiles_x, tiles_y, count = 0, entry_count = 0;
    Buffer<Splat> splats;
    Buffer<int64_t> tile_begin, first;
    Buffer<uint32_t>*entries = nullptr, *slots = nullptr;

private:
    void order(const Projected& p, const float* features, int64_t channels, int64_t width, int64_t height, int64_t threads) {
        Buffer<Splat> made(p.count);
        parallel_ranges(threads, p.count, 2048, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i)
                if (!make_splat(p, i, width, height, made[i]) || (features && !all_finite(features + i * channels, channels)))
                    made[i].id = -1;
        });
        Buffer<Keyed> keys(p.count), scratch(p.count);
        for (int64_t i = 0; i < p.count; ++i)
            if (made[i].id >= 0) keys[count++] = {sortable(made[i].depth), uint32_t(i)};
        const Keyed* sorted = sort_by_key(keys.data, scratch.data, count);
        parallel_ranges(threads, count, 4096, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) splats[i] = made[sorted[i].row];
        });
    }

    // Counting sort of (splat, tile) by tile: a histogram per range of splats, their prefix sums, then each range on its own.
    void scatter(int64_t threads) {
        const int64_t tiles = tiles_x * tiles_y, ranges = count < 16384 ? 1 : 8, grain = (count + ranges - 1) / ranges;
        Buffer<int64_t> place(ranges * tiles);
        std::memset(place.data, 0, sizeof(int64_t) * size_t(ranges * tiles));
        parallel_chunks(threads, count ? ranges : 0, [&](int64_t range) {
            for (int64_t s = range * grain; s < smaller(count, (range + 1) * grain); ++s)
                for_tiles(splats[s], [&](int64_t tile) { ++place[range * tiles + tile]; });
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
        int64_t next = 0;
        for (int64_t s = 0; s < count; ++s) {
            first[s] = next;
            for_tiles(splats[s], [&](int64_t) { ++next; });
        }
        first[count] = next;
        if (entry_count > int64_t(1) << 31) throw std::bad_alloc();
        entries = new Buffer<uint32_t>(entry_count);
        slots = new Buffer<uint32_t>(entry_count);
        parallel_chunks(threads, count ? ranges : 0, [&](int64_t range) {
            for (int64_t s = range * grain; s < smaller(count, (range + 1) * grain); ++s) {
                int64_t slot = first[s];
                for_tiles(splats[s], [&](int64_t tile) {
                    const int64_t entry = place[range * tiles + tile]++;
                    (*entries)[entry] = uint32_t(s);
                    (*slots)[slot++] = uint32_t(entry);
                });
            }
        });
    }

    static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

    template <class Visit>
    void for_tiles(const Splat& s, const Visit& visit) const {
        for (int64_t y = s.y0 / TILE; y <= (s.y1 - 1) / TILE; ++y)
            for (int64_t x = s.x0 / TILE; x <= (s.x1 - 1) / TILE; ++x) visit(y * tiles_x + x);
    }
};

}  // namespace
}  // namespace near_kernels
