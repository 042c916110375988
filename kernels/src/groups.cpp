// Means over rows that belong together. Specification: kernels/twins/groups.py.
#include <cstdint>
#include <vector>

#include "api.h"

// values (rows, columns), weight, group (rows,): below count. Out: mean (count, columns), 0 where nothing weighs.
NEAR_KERNEL(groups_average)(const float *values, const float *weight, const int32_t *group, int64_t rows,
                            int64_t columns, int64_t count, float *mean) {
    return near_kernels::guard([&] {
        std::vector<double> sum(size_t(count * (columns + 1)), 0.0);
        for (int64_t i = 0; i < rows; ++i) {
            double *to = &sum[size_t(group[i] * (columns + 1))];
            const double w = weight[i];
            for (int64_t c = 0; c < columns; ++c) to[c] += w * double(values[columns * i + c]);
            to[columns] += w;
        }
        for (int64_t g = 0; g < count; ++g) {
            const double *of = &sum[size_t(g * (columns + 1))];
            for (int64_t c = 0; c < columns; ++c) mean[columns * g + c] = of[columns] > 0 ? float(of[c] / of[columns]) : 0;
        }
    });
}
