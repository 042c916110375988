// Attention in float32 with the matrix unit of Intel processors (AMX), whose products take bfloat16 and add in float32.
// A float is cut into two bfloat16 parts, the second what the first leaves over: together 16 of its 24 bits. A product
// is that of the first parts plus those of a first and a second; its error is about 2^-17.
// Specification: kernels/twins/attention.py. The file is empty where the compiler has no such unit to aim at.
#if defined(__AMX_BF16__) && defined(__AVX512F__)
#include <memory>
#include <vector>

#include "api.h"
#include "lanes.h"
#include "threads.h"

namespace near_kernels {
namespace {

constexpr int CHANNELS = 64;      // of a head
constexpr int KEYS = 128;         // that are looked at together; their scores stay in the first cache
constexpr int GROUP = 32;         // queries whose scores lie there
constexpr int CHUNK = 1024;       // queries of a thread; every chunk prepares the keys anew
constexpr int STEP = 32;          // terms that one product of tiles adds up: 16 dwords of two bfloat16
constexpr int PARTS = 2;          // of a number; those of two keys' weights take the place of two keys' scores
constexpr float LOWEST = -1e30f;  // below any score; the difference of two is still finite

struct alignas(64) Tile {
    BitLanes row[LANES];
};

// The parts of 16 pairs of numbers go to equal rows of PARTS tiles. Terms t and t + 16 of a product share a dword.
inline void split(FloatLanes low, FloatLanes high, BitLanes* parts) {
    for (int i = 0; i < PARTS; ++i) {
        const BitLanes a = (BitLanes(low) + 0x8000u) & 0xffff0000u, b = (BitLanes(high) + 0x8000u) & 0xffff0000u;
        parts[i * LANES] = a >> 16 | b;
        low -= FloatLanes(a);
        high -= FloatLanes(b);
    }
}

inline void transpose(Tile& tile) {
    for (int d = LANES / 2; d; d /= 2) {
        const IntLanes low = ORDINAL + (((ORDINAL & d) != 0) & (LANES - d)), high = low + d;
        for (int i = 0; i < LANES; ++i) {
            if (i & d) continue;
            const __m512i a = (__m512i)tile.row[i], b = (__m512i)tile.row[i + d];
            tile.row[i] = (BitLanes)_mm512_permutex2var_epi32(a, (__m512i)low, b);
            tile.row[i + d] = (BitLanes)_mm512_permutex2var_epi32(a, (__m512i)high, b);
        }
    }
}

// Two rows of tiles times two columns, added to the tiles 0 to 3; each has its PARTS one behind the other.
inline void multiply(const Tile* upper, const Tile* lower, const Tile* left, const Tile* right) {
    for (int i = 0; i < PARTS; ++i) {
        _tile_loadd(4, upper + i, 64);
        _tile_loadd(5, lower + i, 64);
        for (int j = 0; j < PARTS - i; ++j) {
            _tile_loadd(6, left + j, 64);
            _tile_loadd(7, right + j, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
}

// 2^x for x <= 0, error below 2e-7.
inline FloatLanes power_of_two(FloatLanes x) {
    const FloatLanes n = (FloatLanes)_mm512_roundscale_ps((__m512)x, 0), f = x - n;
    const FloatLanes power =
        1.f + f * (0.693147004f + f * (0.240222424f + f * (0.0555073358f + f * (0.00967151299f + f * 0.00132647273f))));
    return (FloatLanes)_mm512_scalef_ps((__m512)power, (__m512)n);
}

inline FloatLanes larger(FloatLanes a, FloatLanes b) { return a > b ? a : b; }

struct Group {
    Tile query[2][CHANNELS / STEP][PARTS];  // columns: 16 queries each
    Tile out[CHANNELS / LANES][2];          // rows: channels, columns: queries; sum of the values by weight
    FloatLanes top[2], sum[2];              // the highest score so far, the sum of weights 2^(score - top)
};

struct Keys {
    Tile key[KEYS / LANES][CHANNELS / STEP][PARTS];    // rows: keys
    Tile value[KEYS / STEP][CHANNELS / LANES][PARTS];  // rows: channels
    Tile score[KEYS / STEP][2][2];  // rows: keys, columns: queries; afterwards the parts of the weights in their place
};

// 16 floats of a row, `stride` apart; zeros below the last of `count` rows.
inline FloatLanes part_of_row(const float* rows, int64_t row, int64_t count, int64_t stride, int channel) {
    return row < count ? load_lanes<FloatLanes>(rows + row * stride + channel) : FloatLanes{};
}

void load_queries(Group& group, const float* q, int64_t count, int64_t stride) {
    const float scale = 0.180336880f;  // log2(e) / sqrt(CHANNELS): weights are powers of two
    for (int column = 0; column < 2; ++column) {
        group.top[column] = all(LOWEST);
        for (int h = 0; h < CHANNELS / STEP; ++h) {
            Tile* tile = group.query[column][h];
            for (int r = 0; r < LANES; ++r)
                split(scale * part_of_row(q, LANES * column + r, count, stride, STEP * h),
                      scale * part_of_row(q, LANES * column + r, count, stride, STEP * h + LANES), &tile->row[r]);
            for (int i = 0; i < PARTS; ++i) transpose(tile[i]);
        }
    }
}

void load_keys(Keys& keys, const float* k, const float* v, int64_t count) {
    for (int r = 0; r < KEYS; ++r)
        for (int h = 0; h < CHANNELS / STEP; ++h)
            split(part_of_row(k, r, count, CHANNELS, STEP * h), part_of_row(k, r, count, CHANNELS, STEP * h + LANES),
                  &keys.key[r / LANES][h]->row[r % LANES]);
    for (int s = 0; s < KEYS / STEP; ++s)
        for (int c = 0; c < CHANNELS / LANES; ++c) {
            Tile* tile = keys.value[s][c];
            for (int r = 0; r < LANES; ++r)
                split(part_of_row(v, STEP * s + r, count, CHANNELS, LANES * c),
                      part_of_row(v, STEP * s + LANES + r, count, CHANNELS, LANES * c), &tile->row[r]);
            for (int i = 0; i < PARTS; ++i) transpose(tile[i]);
        }
}

void score(Keys& keys, const Group& group, int steps) {
    for (int s = 0; s < steps; ++s) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (int h = 0; h < CHANNELS / STEP; ++h)
            multiply(keys.key[2 * s][h], keys.key[2 * s + 1][h], group.query[0][h], group.query[1][h]);
        _tile_stored(0, &keys.score[s][0][0], 64);
        _tile_stored(1, &keys.score[s][1][0], 64);
        _tile_stored(2, &keys.score[s][0][1], 64);
        _tile_stored(3, &keys.score[s][1][1], 64);
    }
}

// Scores to weights, of the first `count` keys.
void weigh(Keys& keys, Group& group, int steps, int64_t count) {
    for (int column = 0; column < 2; ++column) {
        for (int64_t r = count; r < steps * STEP; ++r)
            keys.score[r / STEP][column][r % STEP / LANES].row[r % LANES] = BitLanes(all(LOWEST));
        FloatLanes tops[4] = {group.top[column], all(LOWEST), all(LOWEST), all(LOWEST)};  // none waits for another
        for (int s = 0; s < steps; ++s)
            for (int r = 0; r < LANES; r += 2)
                for (int i = 0; i < 4; ++i)
                    tops[i] = larger(tops[i], FloatLanes(keys.score[s][column][i / 2].row[r + i % 2]));
        const FloatLanes top = larger(larger(tops[0], tops[1]), larger(tops[2], tops[3]));
        const FloatLanes shrink = power_of_two(group.top[column] - top);
        FloatLanes sum = group.sum[column] * shrink;
        for (auto& out : group.out)
            for (BitLanes& row : out[column].row) row = BitLanes(FloatLanes(row) * shrink);
        for (int s = 0; s < steps; ++s) {
            Tile* tile = keys.score[s][column];
            for (int r = 0; r < LANES; ++r) {
                const FloatLanes a = power_of_two(FloatLanes(tile[0].row[r]) - top);
                const FloatLanes b = power_of_two(FloatLanes(tile[1].row[r]) - top);
                sum += a + b;
                split(a, b, &tile->row[r]);
            }
        }
        group.top[column] = top;
        group.sum[column] = sum;
    }
}

void add_values(const Keys& keys, Group& group, int steps) {
    for (int c = 0; c < CHANNELS / LANES; c += 2) {
        _tile_loadd(0, &group.out[c][0], 64);
        _tile_loadd(1, &group.out[c][1], 64);
        _tile_loadd(2, &group.out[c + 1][0], 64);
        _tile_loadd(3, &group.out[c + 1][1], 64);
        for (int s = 0; s < steps; ++s)
            multiply(keys.value[s][c], keys.value[s][c + 1], keys.score[s][0], keys.score[s][1]);
        _tile_stored(0, &group.out[c][0], 64);
        _tile_stored(1, &group.out[c][1], 64);
        _tile_stored(2, &group.out[c + 1][0], 64);
        _tile_stored(3, &group.out[c + 1][1], 64);
    }
}

void store(Group& group, float* out, int64_t count, int64_t stride) {
    for (int column = 0; column < 2; ++column)
        for (int c = 0; c < CHANNELS / LANES; ++c) {
            Tile& tile = group.out[c][column];
            for (BitLanes& row : tile.row) row = BitLanes(FloatLanes(row) / group.sum[column]);
            transpose(tile);
            for (int r = 0; r < LANES && LANES * column + r < count; ++r)
                std::memcpy(out + (LANES * column + r) * stride + LANES * c, &tile.row[r], sizeof tile.row[r]);
        }
}

// The shape of all eight tiles: 16 rows of 64 bytes.
void configure() {
    struct alignas(64) {
        uint8_t palette = 1, start_row = 0, reserved[14] = {};
        uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
        uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } shape;
    _tile_loadconfig(&shape);
}

}  // namespace
}  // namespace near_kernels

using namespace near_kernels;

// q (N,H,64), k (H,T,64), v (H,T,64) -> out (N,H,64); T >= 1.
NEAR_KERNEL(attention)(const float* q, const float* k, const float* v, int64_t rows, int64_t heads, int64_t count,
                       float* out, int64_t threads) {
    return guard([&] {
        const int64_t chunks = (rows + CHUNK - 1) / CHUNK, stride = heads * CHANNELS;
        parallel_chunks(threads, heads * chunks, [&](int64_t chunk) {
            const int64_t head = chunk / chunks, first = chunk % chunks * CHUNK;
            const int64_t here = rows - first < CHUNK ? rows - first : CHUNK;
            std::vector<Group> groups((here + GROUP - 1) / GROUP);
            const std::unique_ptr<Keys> keys(new Keys);
            const int64_t at = first * stride + head * CHANNELS;
            for (size_t g = 0; g < groups.size(); ++g)
                load_queries(groups[g], q + at + g * GROUP * stride, here - int64_t(g) * GROUP, stride);
            configure();
            for (int64_t t = 0; t < count; t += KEYS) {
                const int64_t some = count - t < KEYS ? count - t : KEYS, offset = (head * count + t) * CHANNELS;
                const int steps = int((some + STEP - 1) / STEP);
                load_keys(*keys, k + offset, v + offset, some);
                for (Group& group : groups) {
                    score(*keys, group, steps);
                    weigh(*keys, group, steps, some);
                    add_values(*keys, group, steps);
                }
            }
            _tile_release();
            for (size_t g = 0; g < groups.size(); ++g)
                store(groups[g], out + at + g * GROUP * stride, here - int64_t(g) * GROUP, stride);
        });
    });
}
#endif
