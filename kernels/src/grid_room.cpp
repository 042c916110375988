// How far rays can go through a grid without meeting a brick that has surfels.
#include <cstring>
#include <initializer_list>
#include <memory>

#include "api.h"
#include "threads.h"

using near_kernels::guard;
using near_kernels::parallel_ranges;

// full (n, n, n), z slowest: which bricks have surfels. room likewise: NearGrid.brick_room, the edges of empty cubes.
NEAR_KERNEL(grid_room)(const uint8_t *full, int64_t n, uint32_t *room, int64_t threads) {
    return guard([&] {
        const int64_t line = n + 1, plane = line * line, whole = plane * line;  // beyond the border all is empty
        const std::unique_ptr<uint8_t[]> edges(new uint8_t[size_t(8 * whole)]);
        const auto turn = [&](int64_t octant, int axis, int64_t i) { return octant >> axis & 1 ? i : n - 1 - i; };
        parallel_ranges(threads, 8, 1, [&](int64_t begin, int64_t end) {
            std::memset(edges.get() + begin * whole, 15, size_t((end - begin) * whole));
            for (int64_t octant = begin; octant < end; ++octant)
                for (int64_t z = n - 1; z >= 0; --z)
                    for (int64_t y = n - 1; y >= 0; --y) {
                        uint8_t *here = edges.get() + octant * whole + z * plane + y * line;
                        const uint8_t *brick = full + (turn(octant, 2, z) * n + turn(octant, 1, y)) * n;
                        for (int64_t x = n - 1; x >= 0; --x) {
                            // a cube is empty if its corner is, and the seven that are one smaller and start beside it
                            uint8_t least = 14;
                            for (const int64_t beside : {int64_t(1), line, line + 1, plane, plane + 1, plane + line,
                                                         plane + line + 1})
                                least = here[x + beside] < least ? here[x + beside] : least;
                            here[x] = brick[turn(octant, 0, x)] ? 0 : uint8_t(least + 1);
                        }
                    }
        });
        parallel_ranges(threads, n, 8, [&](int64_t begin, int64_t end) {
            for (int64_t z = begin; z < end; ++z)
                for (int64_t y = 0; y < n; ++y)
                    for (int64_t x = 0; x < n; ++x) {
                        uint32_t found = 0;
                        for (int64_t octant = 0; octant < 8; ++octant)
                            found |= uint32_t(edges[size_t(octant * whole + turn(octant, 2, z) * plane +
                                                           turn(octant, 1, y) * line + turn(octant, 0, x))])
                                     << 4 * octant;
                        room[(z * n + y) * n + x] = found;
                    }
        });
    });
}
