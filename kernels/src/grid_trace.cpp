// Rays through the grid one by one, and hit tables.
#include "api.h"
#include "grid.h"
#include "threads.h"

namespace {

using near_kernels::guard;
using near_kernels::parallel_ranges;

}  // namespace

// origin (count, 3) in cells; normal null or (count, 3).
NEAR_KERNEL(grid_trace)(const NearGrid *grid, const float *origin, const float *direction, const float *normal,
                        int64_t count, int32_t *hit, float *distance, int64_t threads) {
    return guard([&] {
        const NearGrid &g = *grid;
        parallel_ranges(threads, count, 256, [&](int64_t begin, int64_t end) {
            int64_t index[SLOTS];
            walk(g,
                 [&](int slot, Ray &ray) {
                     if (begin == end) return false;
                     const Vec3 n = normal ? load(normal + 3 * begin) : Vec3{0, 0, 0};
                     ray = {lifted(g, origin + 3 * begin, n), load(direction + 3 * begin), n};
                     index[slot] = begin++;
                     return true;
                 },
                 [&](int slot, Hit h) {
                     hit[index[slot]] = h.place < 0 ? -1 : g.surfel[h.place];
                     distance[index[slot]] = h.distance * g.cell;
                 });
        });
    });
}

// place (rows,): which surfels, in cell order; row (rows,): where each one's directions go in the table.
NEAR_KERNEL(grid_trace_table)(const NearGrid *grid, const int32_t *place, const int32_t *row, int64_t rows,
                              const float *direction, int64_t directions, int32_t *table, int64_t threads) {
    return guard([&] {
        const NearGrid &g = *grid;
        parallel_ranges(threads, rows, 64, [&](int64_t begin, int64_t end) {
            int32_t *entry[SLOTS];
            int64_t j = 0;
            walk(g,
                 [&](int slot, Ray &ray) {
                     for (; begin < end; ++begin, j = 0) {
                         const Vec3 n = load(g.plane + 4 * size_t(place[begin]));
                         for (; j < directions; ++j) {
                             const Vec3 d = load(direction + 3 * j);
                             entry[slot] = table + int64_t(row[begin]) * directions + j;
                             if (dot(d, n) > 0.0f) {
                                 ray = {lifted(g, g.position + 3 * size_t(place[begin]), n), d, n};
                                 ++j;
                                 return true;
                             }
                             *entry[slot] = -2;
                         }
                     }
                     return false;
                 },
                 [&](int slot, Hit h) { *entry[slot] = h.place < 0 ? -1 : g.surfel[h.place]; });
        });
    });
}
