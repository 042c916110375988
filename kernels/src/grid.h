// Rays through a sparse grid of surfels, LANES at a time, shared by grid_trace.cpp and grid_diffuse.cpp.
// Specification: kernels/twins/grid.py. Positions below are in cells: x = asset / cell + resolution / 2.
// Everything but NearGrid has internal linkage: the units that include this are compiled once per instruction set.
#pragma once
#include "ggx.h"

// Field for field as _GridView in kernels/grid.py.
struct NearGrid {
    const uint32_t *brick_mask;     // (bricks^3, 2) a bit per cell of a brick of 4^3 cells, Morton order
    const uint32_t *brick_room;     // (bricks^3,) 4 bits an octant: bricks along an edge of the empty cube that starts here
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

constexpr float FOLD = 3.0f;  // cells from which what is seen from behind sends nothing: nearer surfels are folds
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

// LANES rays that walk the grid together. The empty cube of bricks that lies before a ray is crossed in one step, as are
// empty blocks of 2^3 cells within a brick.
struct Walkers {
    FloatLanes origin[3], direction[3], inverse[3], normal[3], key, distance;
    IntLanes cell[3], low[3], high[3], up[3], first, last, place;
    BitLanes octant;  // 4 times its number: bit a is set where component a of the direction is positive

    // Puts the new rays of `lanes` at the grid's border or in it; returns which of them meet it. ray: a Ray's numbers.
    uint32_t enter(const NearGrid &g, uint32_t lanes, const float (*ray)[LANES]) {
        const IntLanes fresh = unpack(lanes);
        const float size = float(g.resolution);
        FloatLanes o[3], d[3], t = all(0.0f), leave = all(INFINITY);
        IntLanes finite = fresh;
        BitLanes eighth = {};
        for (int a = 0; a < 3; ++a) {
            o[a] = load_lanes<FloatLanes>(ray[a]), d[a] = load_lanes<FloatLanes>(ray[3 + a]);
            finite &= (magnitude(o[a]) < 1e9f) & (magnitude(d[a]) < 1e9f);
            const IntLanes rises = d[a] >= 0.0f;
            const FloatLanes tiny = rises ? all(1e-9f) : all(-1e-9f), along = magnitude(d[a]) > 1e-9f ? d[a] : tiny;
            const FloatLanes inv = 1.0f / along, zero = -o[a] * inv, end = (size - o[a]) * inv;
            const FloatLanes near = rises ? zero : end, far = rises ? end : zero;
            t = near > t ? near : t;
            leave = far < leave ? far : leave;
            origin[a] = fresh ? o[a] : origin[a];
            direction[a] = fresh ? along : direction[a];
            inverse[a] = fresh ? inv : inverse[a];
            normal[a] = fresh ? load_lanes<FloatLanes>(ray[6 + a]) : normal[a];
            up[a] = fresh ? rises : up[a];
            eighth |= BitLanes(rises) & (1u << a << 2);
        }
        octant = fresh ? eighth : octant;
        place = fresh ? all_int(-1) : place;
        key = fresh ? all(INFINITY) : key;
        distance = fresh ? all(INFINITY) : distance;
        for (int a = 0; a < 3; ++a) cell[a] = fresh ? to_int(clamp(o[a] + t * d[a], 0.0f, size - 1.0f)) : cell[a];
        return pack(finite & (t <= leave));
    }

    uint32_t met() const { return pack(place >= 0); }  // lanes that hit something, if not yet the first

    Hit hit(int lane) const { return {place[lane], distance[lane]}; }

    // The empty box around each lane's cell, from low up to high, or the cell itself; returns which cells have surfels,
    // those from first to last.
    uint32_t look(const NearGrid &g) {
        const BitLanes x = BitLanes(cell[0]), y = BitLanes(cell[1]), z = BitLanes(cell[2]);
        const IntLanes brick = IntLanes(((z >> 2) * uint32_t(g.bricks) + (y >> 2)) * uint32_t(g.bricks) + (x >> 2));
        const BitLanes bit = (x & 1) | (y & 1) << 1 | (z & 1) << 2 | (x & 2) << 2 | (y & 2) << 3 | (z & 2) << 4;
        BitLanes room, word, before;
        const IntLanes half = 2 * brick + IntLanes(bit >> 5);
        fetch(g.brick_room, brick, room);
        fetch(g.brick_mask, half, word);
        const IntLanes far = IntLanes(room >> octant & 15), empty = far > 0;
        const IntLanes size = empty ? 4 : 2 + IntLanes((word >> (bit & 24) & 255) != 0);
        const IntLanes beyond = empty ? 4 * far - 4 : all_int(0);
        for (int a = 0; a < 3; ++a) {
            const IntLanes corner = cell[a] & -size;
            low[a] = up[a] ? corner : corner - beyond;
            high[a] = corner + size + (up[a] ? beyond : all_int(0));
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
        IntLanes rest = unpack(lanes);
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
            exit[a] = (__builtin_convertvector(up[a] ? high[a] : low[a], FloatLanes) - origin[a]) * inverse[a];
            beyond[a] = up[a] ? high[a] : low[a] - 1;
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

// Traces rays until none is left: next(slot, ray) -> bool writes the next one, done(slot, hit) takes what it met, after
// which next may have more. A slot, of SLOTS, holds one ray at a time. Two teams walk in turn, so that one computes
// while the other waits for memory.
constexpr int TEAMS = 2, SLOTS = TEAMS * LANES;
constexpr int REFILL = 4;  // idle lanes of a team for which it is worth asking for rays

template <bool ANY = false, class Next, class Done>
inline void walk(const NearGrid &g, const Next &next, const Done &done) {
    Walkers team[TEAMS] = {};
    Ray ray;
    float rays[9][LANES] = {};
    uint32_t live[TEAMS] = {}, full[TEAMS];
    for (bool more = true;;) {
        for (int i = 0; i < TEAMS; ++i) {
            const uint32_t idle = ~live[i] & ((1u << LANES) - 1);
            if (!more || __builtin_popcount(idle) < REFILL) continue;
            uint32_t fresh = 0;
            for (uint32_t rest = idle; rest; rest &= rest - 1) {
                const int k = __builtin_ctz(rest);
                if (!(more = next(i * LANES + k, ray))) break;
                float part[9];
                std::memcpy(part, &ray, sizeof part);
                for (int c = 0; c < 9; ++c) rays[c][k] = part[c];
                fresh |= 1u << k;
            }
            const uint32_t entered = team[i].enter(g, fresh, rays);
            for (uint32_t rest = fresh & ~entered; rest; rest &= rest - 1) done(i * LANES + __builtin_ctz(rest), SKY);
            more |= (fresh & ~entered) != 0;
            live[i] |= entered;
        }
        if (!more && !(live[0] | live[1])) return;
        for (int i = 0; i < TEAMS; ++i) full[i] = team[i].look(g) & live[i];
        for (int i = 0; i < TEAMS; ++i)
            if (full[i]) team[i].test(g, full[i]);
        for (int i = 0; i < TEAMS; ++i) {
            const uint32_t stopped = (team[i].step(g) | (ANY ? team[i].met() : 0)) & live[i];
            for (uint32_t rest = stopped; rest; rest &= rest - 1) {
                const int k = __builtin_ctz(rest);
                done(i * LANES + k, team[i].hit(k));
            }
            more |= stopped != 0;
            live[i] &= ~stopped;
        }
    }
}

inline Vec3 lifted(const NearGrid &g, const float *position, Vec3 normal) { return load(position) + g.lift * normal; }

}  // namespace
