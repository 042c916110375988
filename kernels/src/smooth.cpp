// Means over the points around, of those that mirror the same. Specification: kernels/twins/smooth.py.
#include <vector>

#include "api.h"
#include "lanes.h"
#include "threads.h"

namespace {

constexpr float TURN = 0.35f;  // of a lobe's alpha: deviation of normals that count
constexpr float RANGE = 0.05f; // of roughness that counts
constexpr float OFF = 2.0f;    // pixels off a point's plane up to which others count
constexpr float LEAST = 0.02f; // alpha below which a reflection is as sharp as it is
constexpr float LOG2_E = 1.44269504f;
constexpr int64_t MOST = 16;   // channels

// Points by component, so that neighbours in a row of the picture are one vector: place, normal, roughness, values.
class Columns {
public:
    Columns(int64_t count, int64_t channels) : padded(count + LANES), numbers(size_t((7 + channels) * padded), 0.0f) {}

    void set(int64_t point, int64_t column, float value) { numbers[size_t(column * padded + point)] = value; }
    FloatLanes get(int64_t point, int64_t column) const {
        return load_lanes<FloatLanes>(&numbers[size_t(column * padded + point)]);
    }

private:
    int64_t padded;
    std::vector<float> numbers;
};

}  // namespace

// pixel (count,), ascending; position, plane, normal (count, 3): plane is geometric, normal of shading; roughness, size
// (count,): a pixel's edge there; lead (count,): null, or whose mean is a point's own; values, out (count, channels), MOST
// channels at most.
NEAR_KERNEL(points_smooth)(const int32_t *pixel, const float *position, const float *plane, const float *normal,
                           const float *roughness, const float *size, const int32_t *lead, const float *values,
                           int64_t count, int64_t channels, int64_t width, int64_t height, int64_t reach, float *out,
                           int64_t threads) {
    return near_kernels::guard([&] {
        std::vector<int32_t> first(size_t(width * height) + 1, 0), busy(size_t(count) + 1, 0);
        for (int64_t i = 0; i < count; ++i) ++first[size_t(pixel[i]) + 1];
        for (size_t p = 0; p < size_t(width * height); ++p) first[p + 1] += first[p];
        Columns columns(count, channels);
        near_kernels::parallel_ranges(threads, count, 4096, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                for (int64_t c = 0; c < 3; ++c)
                    columns.set(i, c, position[3 * i + c]), columns.set(i, 3 + c, normal[3 * i + c]);
                columns.set(i, 6, roughness[i]);
                bool any = false;
                for (int64_t c = 0; c < channels; ++c) {
                    columns.set(i, 7 + c, values[channels * i + c]);
                    any |= values[channels * i + c] != 0.0f;
                }
                busy[size_t(i) + 1] = any;
            }
        });
        for (int64_t i = 0; i < count; ++i) busy[size_t(i) + 1] += busy[size_t(i)];  // points before that mirror anything
        near_kernels::parallel_ranges(threads, count, 512, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                if (lead && lead[i] != i) continue;
                std::memcpy(out + channels * i, values + channels * i, sizeof(float) * size_t(channels));
                const float alpha = roughness[i] * roughness[i];
                if (alpha < LEAST) continue;
                const float turn = -0.5f * LOG2_E / (TURN * TURN * alpha * alpha), range = -0.5f * LOG2_E / (RANGE * RANGE);
                const float *p = position + 3 * i, *n = plane + 3 * i, *m = normal + 3 * i;
                const int64_t x = pixel[i] % width, y = pixel[i] / width;
                const int64_t top = y > reach ? y - reach : 0, bottom = y + reach < height ? y + reach : height - 1;
                const int64_t left = x > reach ? x - reach : 0, right = x + reach < width ? x + reach : width - 1;
                const auto start = [&](int64_t row) { return int64_t(first[size_t(row * width + left)]); };
                const auto stop = [&](int64_t row) { return int64_t(first[size_t(row * width + right) + 1]); };
                bool any = false;
                for (int64_t row = top; row <= bottom; ++row) any |= busy[size_t(stop(row))] > busy[size_t(start(row))];
                if (!any) continue;
                FloatLanes total = all(0.0f), sums[MOST] = {};
                for (int64_t row = top; row <= bottom; ++row) {
                    const int64_t end_of_row = stop(row);
                    for (int64_t j = start(row); j < end_of_row; j += LANES) {
                        const auto at = [&](int64_t c) { return columns.get(j, c); };
                        FloatLanes off = all(0.0f), apart = all(0.0f);
                        for (int c = 0; c < 3; ++c) {
                            off += (at(c) - p[c]) * n[c];
                            const FloatLanes d = at(3 + c) - m[c];
                            apart += d * d;
                        }
                        const FloatLanes rough = at(6) - roughness[i], bent = turn * apart + range * rough * rough;
                        const IntLanes others = (ORDINAL < int32_t(end_of_row - j)) & (ORDINAL != int32_t(i - j));
                        const IntLanes counts = others & (magnitude(off) < OFF * size[i]) & (bent > -8.0f * LOG2_E);
                        if (!pack(counts)) continue;
                        const FloatLanes weight = counts ? exp2_of(counts ? bent : all(0.0f)) : all(0.0f);
                        total += weight;
                        for (int64_t c = 0; c < channels; ++c) sums[c] += counts ? weight * at(7 + c) : all(0.0f);
                    }
                }
                const float over = 1.0f / (1.0f + sum(total));
                for (int64_t c = 0; c < channels; ++c) out[channels * i + c] = (out[channels * i + c] + sum(sums[c])) * over;
            }
        });
        for (int64_t i = 0; lead && i < count; ++i)
            if (lead[i] != i) std::memcpy(out + channels * i, out + channels * lead[i], sizeof(float) * size_t(channels));
    });
}
