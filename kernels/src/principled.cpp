// The Principled BSDF for opaque surfaces, term by term. Specification: kernels/twins/principled.py.
#include "api.h"
#include "ggx.h"
#include "threads.h"

using near_kernels::guard;
using near_kernels::parallel_ranges;

// base (count, 3), roughness, metallic, cosine (count,); irradiance (count, diffuse, 3), specular (count, glossy, 2, 3).
// brdf (side, side, 2), scale and bias by roughness and cosine; dielectric (size, size), Fresnel's over Schlick's formula;
// f0 of dielectrics. Out (count, diffuse + glossy, 3).
NEAR_KERNEL(principled_evaluate)(const float *base, const float *roughness, const float *metallic, const float *cosine,
                                 int64_t count, const float *irradiance, int64_t diffuse, const float *specular,
                                 int64_t glossy, const float *brdf, int64_t side, const float *dielectric, int64_t size,
                                 double f0, float *out, int64_t threads) {
    return guard([&] {
        const float own = float(f0);
        parallel_ranges(threads, count, 1024, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const float r = clamp(roughness[i], 0.0f, 1.0f), c = clamp(cosine[i], 0.0f, 1.0f), metal = metallic[i];
                const float y = r * float(side - 1), x = c * float(side - 1);
                const int64_t row = int64_t(y) < side - 2 ? int64_t(y) : side - 2;
                const int64_t column = int64_t(x) < side - 2 ? int64_t(x) : side - 2;
                const float fy = y - float(row), fx = x - float(column);
                const float *low = brdf + 2 * (side * row + column), *high = low + 2 * side;
                float sides[2];  // scale and bias
                for (int k = 0; k < 2; ++k)
                    sides[k] = (1.0f - fy) * ((1.0f - fx) * low[k] + fx * low[2 + k]) +
                               fy * ((1.0f - fx) * high[k] + fx * high[2 + k]);
                const float single = std::fmax(sides[0] + sides[1], 1e-3f), lost = (1.0f - single) / single;
                const auto compensate = [&](float reflected) { return 1.0f + (reflected * (20.0f / 21) + 1.0f / 21) * lost; };
                const int64_t place = size * int64_t(std::nearbyint(r * float(size - 1))) +
                                      int64_t(std::nearbyint(c * float(size - 1)));
                const float exact = compensate(own) * dielectric[place], coat = (1.0f - metal) * exact;
                const float sent = (1.0f - metal) * (1.0f - exact * (own * sides[0] + sides[1])) / PI;
                float *to = out + 3 * (diffuse + glossy) * i;
                for (int k = 0; k < 3; ++k) {
                    const float color = base[3 * i + k], mirror = metal * compensate(color);
                    const float first = color * mirror + own * coat, last = mirror + coat;
                    for (int64_t j = 0; j < diffuse; ++j) to[3 * j + k] = irradiance[3 * (diffuse * i + j) + k] * color * sent;
                    for (int64_t j = 0; j < glossy; ++j) {
                        const float *glare = specular + 6 * (glossy * i + j);
                        to[3 * (diffuse + j) + k] = first * glare[k] + last * glare[3 + k];
                    }
                }
            }
        });
    });
}
