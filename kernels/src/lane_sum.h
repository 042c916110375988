// The sum of a vector's lanes, of whatever width.
#pragma once
#include <cstring>

namespace {

template <class Lanes>
inline float sum(Lanes v) {
    float lane[sizeof v / sizeof(float)];
    std::memcpy(lane, &v, sizeof v);
    for (size_t half = sizeof v / sizeof(float) / 2; half; half /= 2)
        for (size_t k = 0; k < half; ++k) lane[k] += lane[k + half];
    return lane[0];
}

}  // namespace
