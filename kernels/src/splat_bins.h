// From projected Gaussians to lists per tile: cull, sort by depth, scatter. The lists keep the depth order and do not
// depend on the number of threads.
#pragma once
#include "splat_items.h"

namespace near_kernels {
namespace {

// How many runs of tiles threads are to take, each in one go.
inline int64_t count_runs(int64_t tiles, int64_t threads) {
    constexpr int64_t LONGEST = 32;  // tiles of a run, and runs of a thread at least
    const int64_t runs = tiles / LONGEST, least = LONGEST * thread_count(threads);
    return runs > least ? runs : least < tiles ? least : tiles;
}

// A splat in a tile; where it is LINKED, what it makes there belongs into a slot.
template <bool LINKED>
struct Entry {
    uint32_t row;
    Entry(uint32_t row, uint32_t) : row(row) {}
};
template <>
struct Entry<true> {
    uint32_t row, slot;
    Entry(uint32_t row, uint32_t slot) : row(row), slot(slot) {}
};

// For a picture of width x height samples, SIDE x SIDE a pixel: the splats by row, and for tile t the entries[tile_begin[t]
// .. tile_begin[t+1]) of those that touch it, in depth order; none where a feature is not finite. Where it is LINKED, there
// are slot_count slots; those of row i are slot_begin[i] .. slot_end[i]-1, in a fixed order.
template <int SIDE, bool LINKED = false>
class Bins {
public:
    // features: a row of `channels` for each splat, or null.
    Bins(const Projected& p, const float* features, int64_t channels, int64_t width, int64_t height, int64_t threads)
        : tiles_x((width + TILE - 1) / TILE), tiles_y((height + TILE - 1) / TILE), splats(p.count + LANES),
          tile_begin(tiles_x * tiles_y), spans(p.count + LANES), items(p.count), other(p.count), form(p, threads) {
        gather(p, features, channels, width, height, threads);
        order(threads);
        if (LINKED) make_room(p.count, threads);
        sort_into(
            threads, count, tiles(), tile_begin.data,
            [&](int64_t first, int64_t end, uint32_t* counts) { tally(first, end, counts); },
            [&](int64_t total) {
                entry_count = total;
                entries.allocate(total + RANGES);
                return [&](int64_t first, int64_t end, uint32_t* at) { put(first, end, at); };
            });
    }

    int64_t tiles() const { return tiles_x * tiles_y; }

    int64_t tiles_x, tiles_y, count = 0, entry_count = 0, slot_count = 0;
    Buffer<Splat> splats;
    Buffer<int64_t> tile_begin;
    Buffer<Entry<LINKED>> entries;
    Buffer<uint32_t> slot_begin, slot_end;

private:
    static constexpr int64_t GRAIN = 2048;  // rows that one thread takes at a time

    // Counts the tiles that items touch: small ones by where they begin and of what kind they are, which is one look each.
    void tally(int64_t first, int64_t end, uint32_t* counts) const {
        Buffer<uint32_t> kinds(16 * tiles());
        std::memset(kinds.data, 0, sizeof(uint32_t) * size_t(16 * tiles()));
        const Form own = form;
        for (int64_t s = first; s < end; ++s) {
            const uint32_t place = own.place(items[s]);
            if (place != own.many()) ++kinds[place];
            else for_many(own.row(items[s]), [=](int64_t tile) { ++counts[tile]; });
        }
        for (int64_t t = 0; t < tiles(); ++t) {
            uint32_t beyond[4] = {};  // of each column: of these rows or more
            for (int y = 2; y >= 0; --y) {
                const uint32_t* const row = &kinds[16 * t + 4 * y];
                uint32_t more = 0;
                for (int x = 2; x >= 0; --x) {
                    more += row[x];
                    beyond[x] += more;
                    if (beyond[x]) counts[t + y * tiles_x + x] += beyond[x];
                }
            }
        }
    }

    // Puts items into the lists of their tiles. Small ones into four or nine each, of which some are spare: how many tiles
    // the next one touches is nothing that a processor could foretell.
    void put(int64_t first, int64_t end, uint32_t* at) {
        const Form own = form;
        const int64_t across = tiles_x, none = tiles(), last = end - 1;
        const uint64_t* const from = items.data;
        Entry<LINKED>* const to = entries.data;
        uint32_t* const ends = slot_end.data;
        for (int64_t s = first; s < end; ++s) {
            const uint32_t row = own.row(from[s]), place = own.place(from[s]);
            if (LINKED) __builtin_prefetch(&ends[own.row(from[s + 16 < last ? s + 16 : last])], 1);
            if (place == own.many()) {
                put_many(row, at);
                continue;
            }
            uint32_t slot = LINKED ? ends[row] : 0;
            const auto add = [=, &slot](int64_t tile, uint32_t counts) {
                const uint32_t here = at[tile];
                to[here] = Entry<LINKED>(row, slot);
                if (LINKED) slot += counts;
                at[tile] = here + counts;
            };
            const int64_t tile = place >> 4;
            const uint32_t columns = place & 3, rows = place >> 2 & 3;
            const auto add_if = [&](bool some, int64_t y, int64_t x) {
                add(some ? tile + y * across + x : none + 3 * y + x, some);
            };
            add(tile, 1);
            add_if(columns > 0, 0, 1);
            add_if(rows > 0, 1, 0);
            add_if(columns > 0 && rows > 0, 1, 1);
            if (columns > 1 || rows > 1) {
                add_if(columns > 1, 0, 2);
                add_if(columns > 1 && rows > 0, 1, 2);
                add_if(rows > 1, 2, 0);
                add_if(rows > 1 && columns > 0, 2, 1);
                add_if(rows > 1 && columns > 1, 2, 2);
            }
            if (LINKED) ends[row] = slot;
        }
    }
    // Apart, so that the loop above has all registers.
    [[gnu::noinline]] void put_many(uint32_t row, uint32_t* at) {
        for_many(row, [&](int64_t tile) {
            entries[at[tile]++] = Entry<LINKED>(row, LINKED ? slot_end[row]++ : 0);
        });
    }

    // Calls visit(tile) for the tiles that a splat touches, by its span.
    template <class Visit>
    void for_many(uint32_t row, const Visit& visit) const {
        const Span& k = spans[row];
        if (k.y1 - k.y0 > 4 && k.x1 - k.x0 > 2) return for_tiles_exactly(k, splats[row], visit);
        for (int64_t y = k.y0; y < k.y1; ++y)
            for (int64_t x = k.x0; x < k.x1; ++x) visit(y * tiles_x + x);
    }

    // Without the corners of its box that its ellipse leaves out; some rows of tiles at once.
    template <class Visit>
    void for_tiles_exactly(const Span& k, const Splat& s, const Visit& visit) const {
        const Ellipse<Floats> ellipse(all(s.a), all(s.b), all(s.c), all(s.level));
        constexpr float FIRST = 0.5f + Samples<SIDE>::low(0), LAST = 0.5f + Samples<SIDE>::high(TILE - 1);
        constexpr float STEP = float(TILE / SIDE);
        for (int64_t y = k.y0; y < k.y1; y += LANES) {
            const Floats top = (float(y) + ORDINALS) * STEP - s.y;
            Floats left, right;
            ellipse.span(top + (FIRST - 0.01f), top + (LAST + 0.01f), left, right);
            const Floats first = (left + (s.x - LAST)) / STEP, last = (right + (s.x - FIRST)) / STEP;
            const Ints met = (first <= float(k.x1)) & (last >= float(k.x0));  // not where it is NaN
            const auto limit = [&](Floats v) { return lower(higher(v, all(k.x0)), all(k.x1)); };
            const Floats from = limit(first), to = limit(last + 1.f);
            const Ints begin = to_int(from) - Ints(to_float(to_int(from)) < from), beyond = met ? to_int(to) : Ints{};
            const int64_t rows = k.y1 - y < LANES ? k.y1 - y : LANES;
            for (int64_t row = 0; row < rows; ++row)
                for (int64_t x = begin[row]; x < beyond[row]; ++x) visit((y + row) * tiles_x + x);
        }
    }

    // Makes the splats, and items of those that are seen.
    void gather(const Projected& p, const float* features, int64_t channels, int64_t width, int64_t height,
                int64_t threads) {
        struct Range {
            int64_t seen, tiles;
        };
        const int64_t ranges = (p.count + GRAIN - 1) / GRAIN;
        Buffer<Range> found(ranges);
        parallel_ranges(threads, p.count, GRAIN, [&](int64_t begin, int64_t end) {
            const Form own = form;
            uint64_t* to = items.data + begin;
            Ints tiles = {};
            for (int64_t i = begin; i < end; i += LANES) {
                const Made made = make_splats<SIDE>(p, i, width, height, splats.data);
                if (LINKED || any(Ints(made.place >= own.many()))) store_pairs(made.columns, made.rows, spans.data + i);
                uint32_t seen = made.seen;
                if (features) seen = leave_out(features + i * channels, i, end, channels, seen);
                for (; seen; seen &= seen - 1) {
                    const int k = __builtin_ctz(seen);
                    *to++ = own.item(sortable(p.depth[i + k]), made.place[k], i + k);
                }
                tiles = lower(tiles + made.tiles, Ints{} + 2 * ENTRIES_MAX);  // which would be too many anyway
            }
            Range range{to - items.data - begin, 0};
            for (int k = 0; k < LANES; ++k) range.tiles += tiles[k];
            found[begin / GRAIN] = range;
        });
        int64_t total = 0;
        for (int64_t range = 0; range < ranges; ++range) {
            const int64_t from = range * GRAIN, seen = found[range].seen;
            if (count < from) std::memmove(items.data + count, items.data + from, sizeof(uint64_t) * size_t(seen));
            count += seen;
            total += found[range].tiles;
        }
        if (total > ENTRIES_MAX) throw std::bad_alloc();
    }

    // Of up to LANES rows those that are seen, without what has a feature that is not finite.
    uint32_t leave_out(const float* features, int64_t first, int64_t end, int64_t channels, uint32_t seen) {
        const int64_t rows = end - first < LANES ? end - first : LANES;
        const int64_t ahead = end - first > 3 * LANES ? 2 * LANES : 0;
        foresee(features + ahead * channels, LANES * channels);
        if (all_finite(features, rows * channels)) return seen;
        for (int64_t k = 0; k < rows; ++k)
            if (!all_finite(features + k * channels, channels)) seen &= ~(1u << k), spans[first + k] = {};
        return seen;
    }

    // Radix sort by as many bits as the keys differ in.
    void order(int64_t threads) {
        const int most = count > 300'000 ? 8 : 12;  // bits of a digit: so many ends of lists are to be in the cache
        const int passes = (form.key_bits + most - 1) / most, digit = passes ? (form.key_bits + passes - 1) / passes : 0;
        Buffer<int64_t> begin(int64_t(1) << digit);
        for (int pass = 0; pass < passes; ++pass) {
            const int shift = form.row_bits + form.place_bits + pass * digit;
            const uint32_t mask = (1u << digit) - 1;
            const uint64_t* const from = items.data;
            uint64_t* const to = other.data;
            sort_into(
                threads, count, int64_t(1) << digit, begin.data,
                [=](int64_t first, int64_t end, uint32_t* counts) {
                    for (int64_t i = first; i < end; ++i) ++counts[uint32_t(from[i] >> shift) & mask];
                },
                [=](int64_t) {
                    return [=](int64_t first, int64_t end, uint32_t* at) {
                        for (int64_t i = first; i < end; ++i) to[at[uint32_t(from[i] >> shift) & mask]++] = from[i];
                    };
                });
            items.swap(other);
        }
    }

    // Slots for all tiles of each row's span.
    void make_room(int64_t rows, int64_t threads) {
        slot_begin.allocate(rows);
        slot_end.allocate(rows);
        Buffer<uint32_t> first((rows + GRAIN - 1) / GRAIN);
        parallel_ranges(threads, rows, GRAIN, [&](int64_t begin, int64_t end) {
            uint32_t total = 0;
            for (int64_t i = begin; i < end; ++i) total += uint32_t(spans[i].tiles());
            first[begin / GRAIN] = total;
        });
        for (int64_t begin = 0; begin < rows; begin += GRAIN) {
            const uint32_t here = first[begin / GRAIN];
            first[begin / GRAIN] = uint32_t(slot_count);
            slot_count += here;
        }
        parallel_ranges(threads, rows, GRAIN, [&](int64_t begin, int64_t end) {
            uint32_t at = first[begin / GRAIN];
            for (int64_t i = begin; i < end; ++i) {
                slot_begin[i] = slot_end[i] = at;
                at += uint32_t(spans[i].tiles());
            }
        });
    }

    Lookout lookout;
    Buffer<Span> spans;
    Buffer<uint64_t> items, other;
    Form form;
};

}  // namespace
}  // namespace near_kernels
