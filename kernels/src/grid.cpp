// Rays through a sparse grid of surfels, gathers over their hit tables, and traced specular reflections.
// Specification: kernels/twins/grid.py. Positions below are in cells: x = asset / cell + resolution / 2.
#include <vector>

#include "ggx.h"

#include "api.h"
#include "threads.h"

// Field for field as _View in kernels/grid.py.
struct NearGrid {
    const uint32_t *brick_mask;     // (bricks^3, 2) a bit per cell of a brick of 4^3 cells, Morton order
    const int32_t *brick_distance;  // (bricks^3,) bricks to the nearest one with surfels, by the longest axis
    const uint32_t *brick_first;    // (bricks^3, 2) the first occupied cell of each half of the mask
    const uint32_t *cell_first;     // first surfel of the occupied cell, and the end
    const float *plane;             // (count, 4) normal and offset, ordered by cell
    const float *position;          // (count, 3) in cells, ordered by cell
    const int32_t *surfel;          // (count,) the caller's index
    const int32_t *place;           // (count,) the reverse: where the caller's surfel lies
    int64_t count;
    int32_t resolution, bricks;     // cells and bricks along an edge
    float cell, dilation, skip, lift;
};

namespace {

using near_kernels::guard;
using near_kernels::parallel_ranges;

constexpr float BACK_PENALTY = 0.5f;  // cells by which a surfel seen from behind counts as farther away
constexpr float EDGE = 0.1f;          // cells by which a surfel reaches over a convex edge
constexpr float ALIKE = 0.5f;         // cosine above which a close neighbour is taken for the same wall

struct Ray {
    Vec3 origin, direction, normal;  // of the surface it leaves, zero if unknown
};

struct Hit {
    int32_t place;  // in cell order, -1 for sky
    float distance;
};

constexpr Hit SKY = {-1, INFINITY};

// Where two surfels of a cell meet in a convex edge, each ends at the other's plane.
inline bool beyond_edge(const NearGrid &g, uint32_t first, uint32_t last, uint32_t i, Vec3 h) {
    const Vec3 n = load(g.plane + 4 * size_t(i)), position = load(g.position + 3 * size_t(i));
    for (uint32_t j = first; j < last; ++j) {
        const float *p = g.plane + 4 * size_t(j);
        if (dot(load(p), h) > p[3] + EDGE && dot(load(p), position) < p[3] &&
            dot(n, load(g.position + 3 * size_t(j))) < g.plane[4 * size_t(i) + 3])
            return true;
    }
    return false;
}

// LANES rays that walk the grid together. Empty space around a brick is crossed in one step, as are empty blocks of 2^3
// cells within a brick.
struct Walkers {
    FloatLanes origin[3], direction[3], inverse[3], normal[3], key, distance;
    IntLanes cell[3], low[3], high[3], first, last, place;

    // Puts the lane's ray at the grid's border or in it; false where it misses the grid.
    bool enter(const NearGrid &g, int lane, const Ray &r) {
        const float o[3] = {r.origin.x, r.origin.y, r.origin.z}, d[3] = {r.direction.x, r.direction.y, r.direction.z};
        const float n[3] = {r.normal.x, r.normal.y, r.normal.z};
        const float size = float(g.resolution);
        float t = 0.0f, leave = INFINITY;
        for (int a = 0; a < 3; ++a) {
            if (!(std::fabs(o[a]) < 1e9f && std::fabs(d[a]) < 1e9f)) return false;
            const float along = std::fabs(d[a]) > 1e-9f ? d[a] : 1e-9f, inv = 1.0f / along;
            const float near = ((along > 0 ? 0.0f : size) - o[a]) * inv, far = ((along > 0 ? size : 0.0f) - o[a]) * inv;
            t = near > t ? near : t;
            leave = far < leave ? far : leave;
            origin[a][lane] = o[a];
            direction[a][lane] = along;
            inverse[a][lane] = inv;
            normal[a][lane] = n[a];
        }
        place[lane] = -1;
        key[lane] = distance[lane] = INFINITY;
        for (int a = 0; a < 3; ++a) cell[a][lane] = int32_t(clamp(o[a] + t * d[a], 0.0f, size - 1.0f));
        return t <= leave;
    }

    Hit hit(int lane) const { return {place[lane], distance[lane]}; }

    // The empty box around each lane's cell, from low up to high, or the cell itself; returns which cells have surfels,
    // those from first to last.
    uint32_t look(const NearGrid &g) {
        const BitLanes x = BitLanes(cell[0]), y = BitLanes(cell[1]), z = BitLanes(cell[2]);
        const IntLanes brick = IntLanes(((z >> 2) * uint32_t(g.bricks) + (y >> 2)) * uint32_t(g.bricks) + (x >> 2));
        const BitLanes bit = (x & 1) | (y & 1) << 1 | (z & 1) << 2 | (x & 2) << 2 | (y & 2) << 3 | (z & 2) << 4;
        IntLanes far;
        BitLanes word, before;
        const IntLanes half = 2 * brick + IntLanes(bit >> 5);
        fetch(g.brick_distance, brick, far);
        fetch(g.brick_mask, half, word);
        const IntLanes step = 2 + IntLanes((word >> (bit & 24) & 255) != 0), empty = far > 0;
        for (int a = 0; a < 3; ++a) {
            const IntLanes corner = cell[a] & -step, nearest = cell[a] >> 2;
            low[a] = empty ? (nearest - far + 1) * 4 : corner;
            high[a] = empty ? (nearest + far) * 4 : corner + step;
        }
        const BitLanes here = BitLanes{} + 1 << (bit & 31);
        const IntLanes full = IntLanes((word & here) != 0);
        const uint32_t any = pack(full);
        if (any) {
            fetch(g.brick_first, half, before);
            const IntLanes occupied = full ? IntLanes(before + count_bits(word & (here - 1))) : all_int(0);
            fetch(g.cell_first, occupied, first);
            fetch(g.cell_first + 1, occupied, last);
        }
        return any;
    }

    // Tests the surfels of the cells of `lanes`: keeps those with the least key = distance + penalty.
    void test(const NearGrid &g, uint32_t lanes) {
        IntLanes rest = (all_int(int32_t(lanes)) >> ORDINAL & 1) != 0;
        const float bound = 0.5f + g.dilation;
        const IntLanes oriented = normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2] > 0.0f;
        for (IntLanes at = first; pack(rest); at += 1, rest &= at < last) {
            FloatLanes n[4], point[3];
            fetch_rows(g.plane, rest ? at : first, n);
            const FloatLanes facing = n[0] * direction[0] + n[1] * direction[1] + n[2] * direction[2];
            const FloatLanes t = (n[3] - (n[0] * origin[0] + n[1] * origin[1] + n[2] * origin[2])) / facing;
            IntLanes meets = rest & (t > 0.0f);
            for (int a = 0; a < 3; ++a) {
                point[a] = origin[a] + t * direction[a];
                meets &= magnitude(point[a] - to_float(cell[a]) - 0.5f) <= bound;
            }
            const FloatLanes alike = n[0] * normal[0] + n[1] * normal[1] + n[2] * normal[2];
            meets &= ~((t < g.skip) & (~oriented | (facing >= 0.0f) | (alike > ALIKE)));
            const FloatLanes k = facing < 0.0f ? t : t + BACK_PENALTY;
            meets &= k < key;
            for (uint32_t edge = pack(meets & (last - first > 1)); edge; edge &= edge - 1) {
                const int i = __builtin_ctz(edge);
                if (beyond_edge(g, uint32_t(first[i]), uint32_t(last[i]), uint32_t(at[i]),
                                {point[0][i], point[1][i], point[2][i]}))
                    meets[i] = 0;
            }
            key = meets ? k : key;
            distance = meets ? t : distance;
            place = meets ? at : place;
        }
    }

    // Moves every lane to the first cell behind its box; returns which are done.
    uint32_t step(const NearGrid &g) {
        FloatLanes exit[3];
        IntLanes beyond[3];
        for (int a = 0; a < 3; ++a) {
            const IntLanes up = direction[a] > 0.0f;
            exit[a] = (__builtin_convertvector(up ? high[a] : low[a], FloatLanes) - origin[a]) * inverse[a];
            beyond[a] = up ? high[a] : low[a] - 1;
        }
        FloatLanes t = exit[0] < exit[1] ? exit[0] : exit[1];
        t = t < exit[2] ? t : exit[2];
        IntLanes done = t > key;
        for (int a = 0; a < 3; ++a) {
            const FloatLanes x = origin[a] + t * direction[a];
            const FloatLanes from = __builtin_convertvector(low[a], FloatLanes);
            const FloatLanes to = __builtin_convertvector(high[a] - 1, FloatLanes);
            const FloatLanes above = x > from ? x : from, inside = above < to ? above : to;
            cell[a] = exit[a] <= t ? beyond[a] : __builtin_convertvector(inside, IntLanes);
            done |= BitLanes(cell[a]) >= uint32_t(g.resolution);
        }
        for (int a = 0; a < 3; ++a) cell[a] &= ~done;  // idle lanes stay in the grid
        return pack(done);
    }
};

// Traces rays until none is left: next(lane, ray) -> bool writes the next one, done(lane, hit) takes what it met. A
// lane holds one ray at a time.
template <class Next, class Done>
inline void walk(const NearGrid &g, const Next &next, const Done &done) {
    Walkers w = {};
    Ray ray;
    uint32_t live = 0;
    for (bool more = true;;) {
        for (uint32_t idle = ~live & ((1u << LANES) - 1); idle && more; idle &= idle - 1) {
            const int k = __builtin_ctz(idle);
            while ((more = next(k, ray))) {
                if (w.enter(g, k, ray)) {
                    live |= 1u << k;
                    break;
                }
                done(k, SKY);
            }
        }
        if (!live) return;
        if (const uint32_t full = w.look(g) & live) w.test(g, full);
        const uint32_t stopped = w.step(g);
        for (uint32_t rest = stopped & live; rest; rest &= rest - 1) {
            const int k = __builtin_ctz(rest);
            done(k, w.hit(k));
        }
        live &= ~stopped;
    }
}

// What grid_trace_specular sums up for one surfel.
struct Reflected {
    Float4 sum[4];  // open F0, F90, traced F0, F90
    float hits, weights;
};

// Directions by component, (3, padded), padded with zeros to a multiple of LANES.
struct Directions {
    const float *xyz;
    int64_t count, padded;

    Directions(const float *from, int64_t count)
        : xyz(from), count(count), padded((count + LANES - 1) / LANES * LANES) {}
    FloatLanes cosine(Vec3 n, int64_t j) const {  // max(0, n . direction)
        const auto at = [&](int c) { return load_lanes<FloatLanes>(xyz + c * padded + j); };
        return at_least(n.x * at(0) + n.y * at(1) + n.z * at(2), 0.0f);
    }
};

// Irradiance from the open directions and from all of them; open(j): a mask of directions j to j + LANES - 1.
template <class Open>
inline void add_sky(const Directions &d, const float *sky, Vec3 n, float scale, const Open &open, float *seen,
                    float *whole) {
    FloatLanes part[3] = {}, total[3] = {};
    for (int64_t j = 0; j < d.padded; j += LANES) {
        const FloatLanes cosine = d.cosine(n, j);
        const IntLanes mask = open(j);
        for (int c = 0; c < 3; ++c) {
            const FloatLanes light = cosine * load_lanes<FloatLanes>(sky + c * d.padded + j);
            total[c] += light;
            part[c] += mask ? light : all(0.0f);
        }
    }
    for (int c = 0; c < 3; ++c) seen[c] = scale * sum(part[c]), whole[c] = scale * sum(total[c]);
}

// A row of LANES entries of a table, `beyond` behind its end.
inline IntLanes entries(const int32_t *row, int64_t left, int32_t beyond) {
    if (left >= LANES) return load_lanes<IntLanes>(row);
    IntLanes out = all_int(beyond);
    std::memcpy(&out, row, size_t(left) * sizeof *row);
    return out;
}

inline Vec3 lifted(const NearGrid &g, const float *position, Vec3 normal) { return load(position) + g.lift * normal; }

}  // namespace

// origin (count, 3) in cells; normal null or (count, 3).
NEAR_KERNEL(grid_trace)(const NearGrid *grid, const float *origin, const float *direction, const float *normal,
                        int64_t count, int32_t *hit, float *distance, int64_t threads) {
    return guard([&] {
        const NearGrid &g = *grid;
        parallel_ranges(threads, count, 256, [&](int64_t begin, int64_t end) {
            int64_t index[LANES];
            walk(g,
                 [&](int lane, Ray &ray) {
                     if (begin == end) return false;
                     const Vec3 n = normal ? load(normal + 3 * begin) : Vec3{0, 0, 0};
                     ray = {lifted(g, origin + 3 * begin, n), load(direction + 3 * begin), n};
                     index[lane] = begin++;
                     return true;
                 },
                 [&](int lane, Hit h) {
                     hit[index[lane]] = h.place < 0 ? -1 : g.surfel[h.place];
                     distance[index[lane]] = h.distance * g.cell;
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
            int32_t *entry[LANES];
            int64_t j = 0;
            walk(g,
                 [&](int lane, Ray &ray) {
                     for (; begin < end; ++begin, j = 0) {
                         const Vec3 n = load(g.plane + 4 * size_t(place[begin]));
                         for (; j < directions; ++j) {
                             const Vec3 d = load(direction + 3 * j);
                             entry[lane] = table + int64_t(row[begin]) * directions + j;
                             if (dot(d, n) > 0.0f) {
                                 ray = {lifted(g, g.position + 3 * size_t(place[begin]), n), d, n};
                                 ++j;
                                 return true;
                             }
                             *entry[lane] = -2;
                         }
                     }
                     return false;
                 },
                 [&](int lane, Hit h) { *entry[lane] = h.place < 0 ? -1 : g.surfel[h.place]; });
        });
    });
}

// direction and radiance (3, padded), see Directions. index (rows,): the caller's surfels; normal (rows, 3), shading;
// open (rows, directions).
NEAR_KERNEL(grid_trace_sky)(const NearGrid *grid, const int32_t *index, int64_t rows, const float *direction,
                            int64_t directions, const float *radiance, const float *normal, uint8_t *open, float *seen,
                            float *whole, int64_t threads) {
    return guard([&] {
        const NearGrid &g = *grid;
        const Directions d(direction, directions);
        parallel_ranges(threads, rows, 64, [&](int64_t begin, int64_t end) {
            uint8_t *entry[LANES];
            int64_t i = begin, j = 0;
            walk(g,
                 [&](int lane, Ray &ray) {
                     for (; i < end; ++i, j = 0) {
                         const size_t place = size_t(g.place[index[i]]);
                         const Vec3 n = load(g.plane + 4 * place);
                         for (; j < directions; ++j) {
                             const Vec3 l = {d.xyz[j], d.xyz[d.padded + j], d.xyz[2 * d.padded + j]};
                             entry[lane] = open + i * directions + j;
                             if (dot(l, n) > 0.0f) {
                                 ray = {lifted(g, g.position + 3 * place, n), l, n};
                                 ++j;
                                 return true;
                             }
                             *entry[lane] = 0;
                         }
                     }
                     return false;
                 },
                 [&](int lane, Hit h) { *entry[lane] = h.place < 0; });
            for (i = begin; i < end; ++i) {
                const auto is_open = [&](int64_t first) {
                    uint8_t byte[LANES] = {};
                    const int64_t left = directions - first < LANES ? directions - first : LANES;
                    std::memcpy(byte, open + i * directions + first, size_t(left));
                    IntLanes mask;
                    for (int k = 0; k < LANES; ++k) mask[k] = -int32_t(byte[k]);
                    return mask;
                };
                add_sky(d, radiance, load(normal + 3 * i), 1.0f, is_open, seen + 3 * i, whole + 3 * i);
            }
        });
    });
}

// direction and sky (3, padded), see Directions.
NEAR_KERNEL(grid_gather_sky)(const int32_t *table, int64_t count, int64_t directions, const float *direction,
                             const float *normal, const float *sky, float *seen, float *whole, int64_t threads) {
    return guard([&] {
        const Directions d(direction, directions);
        const float scale = 4.0f * PI / float(directions);
        parallel_ranges(threads, count, 512, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const int32_t *row = table + i * directions;
                const auto is_open = [&](int64_t j) { return entries(row + j, directions - j, -2) == -1; };
                add_sky(d, sky, load(normal + 3 * i), scale, is_open, seen + 3 * i, whole + 3 * i);
            }
        });
    });
}

// direction (3, padded), see Directions; normal, direct, albedo, bounced, radiosity (count, 3).
NEAR_KERNEL(grid_bounce)(const int32_t *table, int64_t count, int64_t directions, const float *direction,
                         const float *normal, const float *direct, const float *albedo, int64_t rounds, float *bounced,
                         float *radiosity, int64_t threads) {
    return guard([&] {
        struct Seen {
            int32_t surfel;
            float weight;
        };
        constexpr int64_t GRAIN = 512;
        const Directions d(direction, directions);
        const float scale = 4.0f * PI / float(directions);
        std::vector<std::vector<Seen>> lists(size_t((count + GRAIN - 1) / GRAIN));
        std::vector<uint32_t> ends(static_cast<size_t>(count));
        std::vector<Float4> now(static_cast<size_t>(count)), next(static_cast<size_t>(count));
        parallel_ranges(threads, count, GRAIN, [&](int64_t begin, int64_t end) {
            std::vector<Seen> &list = lists[size_t(begin / GRAIN)];
            size_t used = 0;
            for (int64_t i = begin; i < end; ++i) {
                const Vec3 n = load(normal + 3 * i);
                const int32_t *row = table + i * directions;
                if (list.size() < used + size_t(d.padded)) list.resize(2 * list.size() + size_t(d.padded));
                for (int64_t j = 0; j < directions; j += LANES) {
                    const FloatLanes weight = scale * d.cosine(n, j);
                    const IntLanes hit = entries(row + j, directions - j, -2);
                    float w[LANES];
                    std::memcpy(w, &weight, sizeof w);
                    const IntLanes counts = (BitLanes(hit) < uint32_t(count)) & (weight > 0.0f);
                    for (uint32_t rest = pack(counts); rest; rest &= rest - 1) {
                        const int k = __builtin_ctz(rest);
                        list[used++] = {row[j + k], w[k]};
                    }
                }
                ends[size_t(i)] = uint32_t(used);
                const float *a = albedo + 3 * i, *e = direct + 3 * i;
                now[size_t(i)] = Float4{a[0] * e[0], a[1] * e[1], a[2] * e[2], 0.0f};
            }
        });
        for (int64_t round = 0; round < rounds; ++round) {
            parallel_ranges(threads, count, GRAIN, [&](int64_t begin, int64_t end) {
                const Seen *seen = lists[size_t(begin / GRAIN)].data(), *from = seen;
                for (int64_t i = begin; i < end; ++i) {
                    const Seen *to = seen + ends[size_t(i)];
                    Float4 sum = {0, 0, 0, 0}, sum2 = {0, 0, 0, 0};
                    for (; from + 1 < to; from += 2) {
                        sum += from[0].weight * now[size_t(from[0].surfel)];
                        sum2 += from[1].weight * now[size_t(from[1].surfel)];
                    }
                    if (from < to) sum += from->weight * now[size_t(from->surfel)], ++from;
                    sum += sum2;
                    const float *a = albedo + 3 * i, *e = direct + 3 * i;
                    for (int c = 0; c < 3; ++c) {
                        bounced[3 * i + c] = sum[c];
                        next[size_t(i)][c] = radiosity[3 * i + c] = a[c] * (e[c] + sum[c]);
                    }
                }
            });
            now.swap(next);
        }
    });
}

// open and traced (count, 2, 3): factors of F0 and F90. radiosity (surfels, 3). asset_to_map row-major 3x3.
NEAR_KERNEL(grid_trace_specular)(const NearGrid *grid, const int32_t *index, const float *view, const float *normal,
                                 const float *roughness, int64_t count, const float *radiosity, const float *texels,
                                 int64_t height, int64_t levels, const float *asset_to_map, int64_t rays, int64_t seed,
                                 float *open, float *traced, float *blocked, int64_t threads) {
    return guard([&] {
        const NearGrid &g = *grid;
        const Pyramid map{texels, int32_t(height), int32_t(levels)};
        const Hammersley points(rays);
        constexpr int64_t GRAIN = 32;
        parallel_ranges(threads, count, GRAIN, [&](int64_t begin, int64_t end) {
            Reflected out[GRAIN] = {};
            struct Sample {
                Reflected *surfel;
                Float4 sky;
                float weight, fresnel;
            } sample_of[LANES], drawn[LANES];
            Vec3 toward[LANES], surface, origin;
            int64_t i = begin, ray_number = 0;
            const auto draw = [&] {  // the next LANES rays of surfel i
                const size_t place = size_t(g.place[index[i]]);
                surface = load(g.plane + 4 * place);
                origin = lifted(g, g.position + 3 * place, surface);
                const Lobe lobe(load(view + 3 * i), load(normal + 3 * i), surface, roughness[i],
                                hash(uint32_t(index[i]) ^ hash(uint32_t(seed))));
                VecLanes l;
                FloatLanes weight, fresnel, density;
                Float4 sky[LANES];
                lobe.draw(points, ray_number, l, weight, fresnel, density);
                sample(map, turn(asset_to_map, l), footprint(map, density, rays), sky);
                float component[5][LANES];
                const FloatLanes components[5] = {l.x, l.y, l.z, weight, fresnel};
                std::memcpy(component, components, sizeof component);
                for (int k = 0; k < LANES; ++k) {
                    toward[k] = {component[0][k], component[1][k], component[2][k]};
                    drawn[k] = {out + (i - begin), sky[k], component[3][k], component[4][k]};
                }
            };
            walk(g,
                 [&](int lane, Ray &ray) {
                     for (;;) {
                         if (ray_number == rays) ++i, ray_number = 0;
                         if (i == end) return false;
                         const int64_t k = ray_number % LANES;
                         if (k == 0) draw();
                         ++ray_number;
                         if (!(drawn[k].weight > 0.0f)) continue;
                         ray = {origin, toward[k], surface};
                         sample_of[lane] = drawn[k];
                         return true;
                     }
                 },
                 [&](int lane, Hit h) {
                     const Sample &a = sample_of[lane];
                     Reflected &o = *a.surfel;
                     Float4 seen = a.sky;
                     if (h.place >= 0) {
                         const float *sent = radiosity + 3 * size_t(g.surfel[h.place]);
                         seen = Float4{sent[0], sent[1], sent[2], 0.0f};
                     }
                     const float w90 = a.weight * a.fresnel, w0 = a.weight - w90;
                     o.sum[0] += w0 * a.sky;
                     o.sum[1] += w90 * a.sky;
                     o.sum[2] += w0 * seen;
                     o.sum[3] += w90 * seen;
                     o.weights += a.weight;
                     o.hits += h.place < 0 ? 0.0f : a.weight;
                 });
            const float scale = 1.0f / float(rays);
            for (int64_t k = begin; k < end; ++k) {
                const Reflected &o = out[k - begin];
                for (int f = 0; f < 2; ++f)
                    for (int c = 0; c < 3; ++c) {
                        open[6 * k + 3 * f + c] = scale * o.sum[f][c];
                        traced[6 * k + 3 * f + c] = scale * o.sum[2 + f][c];
                    }
                blocked[k] = o.weights > 0.0f ? o.hits / o.weights : 0.0f;
            }
        });
    });
}
