// Light maps: mip pyramid, lookup, energy blocks, irradiance and GGX-prefiltered radiance.
// Specification: kernels/twins/ggx.py. A light map is equirect; its texels here are RGB0.
#include "ggx.h"

#include "api.h"
#include "around.h"
#include "threads.h"

namespace {

using near_kernels::guard;
using near_kernels::parallel_ranges;

constexpr double PI_D = 3.14159265358979323846;
constexpr int64_t WIDEST = 4096;  // texels in a row of level 1; kernels/ggx.py keeps maps below

// One row of a box filter that is `wide` texels wide, wrapping.
void blur_row(Float4 *row, int64_t width, float wide) {
    Float4 copy[WIDEST];
    for (int64_t x = 0; x < width; ++x) copy[x] = row[x];
    const float reach = 0.5f * (wide - 1.0f);
    const int64_t whole = int64_t(reach);
    const float part = reach - float(whole);
    for (int64_t x = 0; x < width; ++x) {
        Float4 sum = part * (copy[(x - whole - 1) & (width - 1)] + copy[(x + whole + 1) & (width - 1)]);
        for (int64_t k = -whole; k <= whole; ++k) sum += copy[(x + k) & (width - 1)];
        row[x] = sum * (1.0f / wide);
    }
}

}  // namespace

// map (rows, columns, 3) -> level 0, (height, 2 height, 4); area means on the sphere.
NEAR_KERNEL(light_resample)(const float *map, int64_t rows, int64_t columns, float *texels, int64_t height,
                            int64_t threads) {
    return guard([&] {
        const int64_t width = 2 * height;
        parallel_ranges(threads, height, 8, [&](int64_t begin, int64_t end) {
            for (int64_t y = begin; y < end; ++y) {
                Float4 *out = reinterpret_cast<Float4 *>(texels) + y * width;
                if (rows == height && columns == width) {
                    const float *in = map + 3 * y * width;
                    for (int64_t x = 0; x < width; ++x) out[x] = Float4{in[3 * x], in[3 * x + 1], in[3 * x + 2], 0.0f};
                    continue;
                }
                for (int64_t x = 0; x < width; ++x) out[x] = Float4{0, 0, 0, 0};
                const double top = double(y) * rows / height, bottom = double(y + 1) * rows / height;
                for (int64_t r = int64_t(top); r < rows && r < bottom; ++r) {
                    const double a = top > r ? top : double(r), b = bottom < r + 1 ? bottom : double(r + 1);
                    const double solid = std::cos(PI_D * a / rows) - std::cos(PI_D * b / rows);
                    for (int64_t x = 0; x < width; ++x) {
                        const double left = double(x) * columns / width, right = double(x + 1) * columns / width;
                        for (int64_t c = int64_t(left); c < columns && c < right; ++c) {
                            const double from = left > c ? left : double(c), to = right < c + 1 ? right : double(c + 1);
                            const float *in = map + 3 * (r * columns + c);
                            out[x] += float(solid * (to - from)) * Float4{in[0], in[1], in[2], 1.0f};
                        }
                    }
                }
                for (int64_t x = 0; x < width; ++x) out[x] = out[x] / out[x][3] * Float4{1, 1, 1, 0};
            }
        });
    });
}

// Fills levels 1 .. levels-1 behind level 0: means over solid angle, then near the poles, where texels are narrower
// than high, a box filter along the row as wide as texels are high.
NEAR_KERNEL(light_reduce)(float *texels, int64_t height, int64_t levels, int64_t threads) {
    return guard([&] {
        const Pyramid p{texels, int32_t(height), int32_t(levels)};
        for (int64_t k = 1; k < levels; ++k) {
            const int64_t rows = height >> k, width = 2 * rows;
            const Float4 *fine = reinterpret_cast<const Float4 *>(pyramid_level(p, int(k - 1)));
            Float4 *out = reinterpret_cast<Float4 *>(const_cast<float *>(pyramid_level(p, int(k))));
            parallel_ranges(threads, rows, 16, [&](int64_t begin, int64_t end) {
                for (int64_t y = begin; y < end; ++y) {
                    const float step = PI / float(2 * rows);
                    const float upper = std::sin((2.0f * y + 0.5f) * step), lower = std::sin((2.0f * y + 1.5f) * step);
                    const float a = 0.5f * upper / (upper + lower), b = 0.5f * lower / (upper + lower);
                    const Float4 *f = fine + 4 * y * width, *g = f + 2 * width;
                    for (int64_t x = 0; x < width; ++x)
                        out[y * width + x] = a * (f[2 * x] + f[2 * x + 1]) + b * (g[2 * x] + g[2 * x + 1]);
                }
            });
        }
        for (int64_t k = 1; k < levels; ++k) {
            const int64_t rows = height >> k, width = 2 * rows;
            Float4 *out = reinterpret_cast<Float4 *>(const_cast<float *>(pyramid_level(p, int(k))));
            parallel_ranges(threads, rows, 16, [&](int64_t begin, int64_t end) {
                for (int64_t y = begin; y < end; ++y) {
                    const float wide = 1.0f / std::sin((float(y) + 0.5f) * PI / float(rows));
                    const float most = float(width) - 1.0f;
                    if (wide > 1.05f) blur_row(out + y * width, width, wide < most ? wide : most);
                }
            });
        }
    });
}

// direction (count, 3), lod (count,) -> out (count, 3)
NEAR_KERNEL(light_sample)(const float *texels, int64_t height, int64_t levels, const float *direction, const float *lod,
                          int64_t count, float *out, int64_t threads) {
    return guard([&] {
        const Pyramid p{texels, int32_t(height), int32_t(levels)};
        parallel_ranges(threads, count, 2048, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i += LANES) {
                VecLanes d;
                FloatLanes level;
                for (int64_t k = 0; k < LANES; ++k) {
                    const int64_t at = i + k < end ? i + k : i;
                    d.x[k] = direction[3 * at], d.y[k] = direction[3 * at + 1], d.z[k] = direction[3 * at + 2];
                    level[k] = lod[at];
                }
                Float4 seen[LANES];
                sample(p, d, level, seen);
                for (int64_t k = 0; k < LANES && i + k < end; ++k)
                    for (int c = 0; c < 3; ++c) out[3 * (i + k) + c] = seen[k][c];
            }
        });
    });
}

// map (rows, columns, 3) at direction (count, 3): bilinear, the azimuth wraps, the outermost rows reach to the poles.
// to_map: row-major 3x3, turns directions into the map's frame. out (count, 3): times `strength`.
NEAR_KERNEL(light_lookup)(const float *map, int64_t rows, int64_t columns, const float *direction, int64_t count,
                          const float *to_map, double strength, float *out, int64_t threads) {
    return guard([&] {
        parallel_ranges(threads, count, 4096, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i += LANES) {
                VecLanes d;
                for (int64_t k = 0; k < LANES; ++k) {
                    const float *from = direction + 3 * (i + k < end ? i + k : i);
                    d.x[k] = from[0], d.y[k] = from[1], d.z[k] = from[2];
                }
                FloatLanes u, v;
                place_on_map(turn(to_map, d), u, v);
                const FloatLanes x = u * float(columns) - 0.5f, y = v * float(rows) - 0.5f;
                const IntLanes x0 = to_int(x + 1.0f) - 1, y0 = to_int(y + 1.0f) - 1, last = all_int(int32_t(rows - 1));
                const FloatLanes fx = x - to_float(x0), fy = y - to_float(y0);
                const IntLanes upper = clamp(y0, all_int(0), last), lower = clamp(y0 + 1, all_int(0), last);
                for (int64_t k = 0; k < LANES && i + k < end; ++k) {
                    const int64_t left = x0[k] < 0 ? columns - 1 : x0[k], right = x0[k] + 1 < columns ? x0[k] + 1 : 0;
                    for (int c = 0; c < 3; ++c) {
                        const auto at = [&](int64_t row, int64_t column) { return map[3 * (row * columns + column) + c]; };
                        const float top = at(upper[k], left) * (1.0f - fx[k]) + at(upper[k], right) * fx[k];
                        const float bottom = at(lower[k], left) * (1.0f - fx[k]) + at(lower[k], right) * fx[k];
                        out[3 * (i + k) + c] = float(strength) * (top * (1.0f - fy[k]) + bottom * fy[k]);
                    }
                }
            }
        });
    });
}

// Energy and its centre in blocks of texels. row (height, 3): mean z, mean distance from the axis, solid angle of a
// texel; column (2 height, 2): cos and sin of azimuth. Out: energy and centroid (blocks, 2 blocks, 3).
NEAR_KERNEL(light_blocks)(const float *texels, int64_t height, const float *row, const float *column, int64_t blocks,
                          float *energy, float *centroid, int64_t threads) {
    return guard([&] {
        const int64_t side = height / blocks;
        parallel_ranges(threads, blocks, 1, [&](int64_t begin, int64_t end) {
            for (int64_t by = begin; by < end; ++by)
                for (int64_t bx = 0; bx < 2 * blocks; ++bx) {
                    Float4 total = {0, 0, 0, 0}, bright = {0, 0, 0, 0}, plain = {0, 0, 0, 0};
                    for (int64_t y = by * side; y < (by + 1) * side; ++y) {
                        const float z = row[3 * y], r = row[3 * y + 1], solid = row[3 * y + 2];
                        const Float4 *t = reinterpret_cast<const Float4 *>(texels) + y * 2 * height;
                        for (int64_t x = bx * side; x < (bx + 1) * side; ++x) {
                            const Float4 d = {r * column[2 * x], r * column[2 * x + 1], z, 1.0f};
                            total += solid * t[x];
                            bright += solid * luminance(t[x]) * d;
                            plain += solid * d;
                        }
                    }
                    const Float4 mean = bright[3] > 1e-30f ? bright / bright[3] : plain / plain[3];
                    for (int k = 0; k < 3; ++k) {
                        energy[3 * (by * 2 * blocks + bx) + k] = total[k];
                        centroid[3 * (by * 2 * blocks + bx) + k] = mean[k];
                    }
                }
        });
    });
}

// Sums over blocks with the lobe of n = v, c / (1 + (alpha^2 - 1) (1 + c) / 2)^2 for c = n . centroid > 0; a cosine
// where alpha^2 = 1. source (7, sources), sources a multiple of 16: centroid xyz, energy rgb, solid angle.
// out (count, 4): rgb, solid angle.
NEAR_KERNEL(light_convolve)(const float *source, int64_t sources, const float *normal, int64_t count, double alpha2,
                            float *out, int64_t threads) {
    return guard([&] {
        const float slope = 0.5f * (float(alpha2) - 1.0f), start = 1.0f + slope;
        parallel_ranges(threads, count, 32, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const Vec3 n = load(normal + 3 * i);
                float sum[4][16] = {};
                for (int64_t j = 0; j < sources; j += 16)
                    for (int k = 0; k < 16; ++k) {
                        const float *s = source + j + k;
                        const float c = n.x * s[0] + n.y * s[sources] + n.z * s[2 * sources], q = start + slope * c;
                        const float w = (c > 0.0f ? c : 0.0f) / (q * q);
                        sum[0][k] += w * s[3 * sources];
                        sum[1][k] += w * s[4 * sources];
                        sum[2][k] += w * s[5 * sources];
                        sum[3][k] += w * s[6 * sources];
                    }
                for (int c = 0; c < 4; ++c) {
                    float total = 0.0f;
                    for (int k = 0; k < 16; ++k) total += sum[c][k];
                    out[4 * i + c] = total;
                }
            }
        });
    });
}

// lobe (5, samples): direction about z, weight (adding up to 1), lod; samples a multiple of 16; normal (count, 3) ->
// out (count, 3)
NEAR_KERNEL(light_sample_lobe)(const float *texels, int64_t height, int64_t levels, const float *lobe, int64_t samples,
                               const float *normal, int64_t count, float *out, int64_t threads) {
    return guard([&] {
        const Pyramid p{texels, int32_t(height), int32_t(levels)};
        parallel_ranges(threads, count, 64, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const Vec3 n = load(normal + 3 * i);
                Vec3 s, t;
                tangents(n, s, t);
                Float4 sum = {0, 0, 0, 0};
                for (int64_t j = 0; j < samples; j += LANES) {
                    const auto l = [&](int c) { return load_lanes<FloatLanes>(lobe + c * samples + j); };
                    Float4 seen[LANES];
                    sample(p,
                           {l(0) * s.x + l(1) * t.x + l(2) * n.x, l(0) * s.y + l(1) * t.y + l(2) * n.y,
                            l(0) * s.z + l(1) * t.z + l(2) * n.z},
                           l(4), seen);
                    for (int k = 0; k < LANES; ++k) sum += lobe[3 * samples + j + k] * seen[k];
                }
                for (int c = 0; c < 3; ++c) out[3 * i + c] = sum[c];
            }
        });
    });
}
