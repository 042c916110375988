// What stands around, seen from one place, and as it is seen from another: a panorama of radiance with its distances.
// Specification: kernels/twins/around.py. Everything but NearAround has internal linkage, as in grid.h.
#pragma once
#include "ggx.h"

// Field for field as _AroundView in kernels/around.py.
struct NearAround {
    const float *color;     // pyramid of premultiplied RGB, without what is mirrored, and cover
    const float *mirrored;  // pyramid of what is mirrored there, and cover; null where nothing is
    const float *depth;     // pyramid of cover per metre, and cover
    float place[12];        // row-major 3x4: from an origin to metres from the place it is seen from, map axes
    int32_t height, levels;
};

namespace {

constexpr int STEPS = 4;               // towards the place at which a ray meets what is around
constexpr float MET = 1e-3f;           // of its distance, by which that place may be off
constexpr int DEPTH_ROWS = 32;         // distances are never looked up more coarsely: things end where they end
constexpr float NOTHING = 0.02f;       // cover below which a ray meets nothing
constexpr float LEAST_COVER = 1e-3f;
constexpr float WHOLE = 1 - 1e-6f;      // cover from which nothing is seen behind: sums of weights are rounded
constexpr float FARTHEST = 1e6f;       // metres

inline VecLanes place_in(const NearAround &a, const VecLanes &o) {
    const float *m = a.place;
    return {m[0] * o.x + m[1] * o.y + m[2] * o.z + m[3], m[4] * o.x + m[5] * o.y + m[6] * o.z + m[7],
            m[8] * o.x + m[9] * o.y + m[10] * o.z + m[11]};
}

// Radiance along LANES rays from p, metres, in directions d, unit: of what is around, and of `far` where nothing is.
// Rays meet it where it is as far away as they are: where |p + t d| over its distance is 1, which grows evenly along a
// ray that goes towards a plane, so that secants find it (Szirmay-Kalos et al. 2005). met: null, or how much of each ray
// meets it; what is mirrored there is then left out.
inline void look_around(const NearAround &a, const Pyramid &far, const VecLanes &p, const VecLanes &d,
                        FloatLanes far_lod, FloatLanes near_lod, Float4 *out, FloatLanes *met = nullptr) {
    const Pyramid depth{a.depth, a.height, a.levels}, color{a.color, a.height, a.levels};
    const float coarsest = a.height > DEPTH_ROWS ? std::log2(float(a.height) / DEPTH_ROWS) : 0.0f;
    const FloatLanes level = clamp(near_lod, 0.0f, coarsest);
    const FloatLanes along = p.x * d.x + p.y * d.y + p.z * d.z, beside = p.x * p.x + p.y * p.y + p.z * p.z;
    VecLanes q = d;
    FloatLanes t, r, cover, slope, ahead, before = all(0.0f), past = all(0.0f);
    IntLanes empty, done;
    Float4 seen[LANES];
    for (int step = 0;; ++step) {
        sample(depth, q, level, seen);
        float near[2][LANES];
        for (int k = 0; k < LANES; ++k) near[0][k] = seen[k][0], near[1][k] = seen[k][1];
        cover = load_lanes<FloatLanes>(near[1]);
        empty = cover < NOTHING;
        const FloatLanes nearness = at_least(load_lanes<FloatLanes>(near[0]) / at_least(cover, LEAST_COVER), 1 / FARTHEST);
        r = 1.0f / nearness;
        if (step == 0) {
            t = r, slope = nearness, done = empty;
            if (!pack(~empty)) break;  // from where all is empty no step leads elsewhere
        } else {
            ahead = root(at_least(t * (t + 2.0f * along) + beside, 0.0f)) * nearness - 1.0f;
            if (step == STEPS || !pack(~(done | (magnitude(ahead) < MET)))) break;
            const FloatLanes steeper = (ahead - before) / (t - past);
            slope = step > 1 && steeper > 1 / FARTHEST ? steeper : slope;
            before = ahead, past = t;
            t = clamp(t - ahead / slope, 1e-4f, FARTHEST);
        }
        q = {done ? d.x : p.x + t * d.x, done ? d.y : p.y + t * d.y, done ? d.z : p.z + t * d.z};
    }
    if (met) *met = cover;
    const bool near_shows = pack(cover > 0.0f) != 0, far_shows = pack(cover < WHOLE) != 0;
    if (far_shows || !near_shows) sample(far, d, far_lod, out);
    if (!near_shows) {
        for (int k = 0; k < LANES; ++k) out[k] *= Float4{1, 1, 1, 0};
        return;
    }
    const FloatLanes closer = log2_of(clamp(t / r, 0.0625f, 4.0f));  // what is closer fills more of the panorama's view
    sample(color, q, near_lod + (empty ? all(0.0f) : closer), seen);
    float share[LANES];
    std::memcpy(share, &cover, sizeof share);
    for (int k = 0; k < LANES && !far_shows; ++k) out[k] = Float4{0, 0, 0, 0};
    for (int k = 0; k < LANES; ++k) {
        const Float4 near = seen[k] * (share[k] / clamp(seen[k][3], LEAST_COVER, INFINITY));
        out[k] = (near + (1.0f - share[k]) * out[k]) * Float4{1, 1, 1, 0};
    }
    if (!a.mirrored || met) return;
    sample({a.mirrored, a.height, a.levels}, d, near_lod, seen);  // it lies far behind what mirrors it
    for (int k = 0; k < LANES; ++k)
        out[k] += seen[k] * (share[k] / clamp(seen[k][3], LEAST_COVER, INFINITY)) * Float4{1, 1, 1, 0};
}

}  // namespace
