// Histogram of all 4^k k-mers, k <= 12.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "../core/raw_array.hpp"
#include "kmer.hpp"

namespace seqtile {

inline constexpr unsigned kMaxDenseK = 12;

/// How k-mers are counted: as wide K-mers at every J-th position, each of which stands for the J
/// k-mers in it (k = K - J + 1), in a table of Cell.
template <class C, unsigned Wide, unsigned Step>
struct DensePlan {
    using Cell = C;
    static constexpr unsigned K = Wide, J = Step, k = K - J + 1;
    static constexpr std::size_t cells = std::size_t{1} << 2 * K;
    static constexpr unsigned group = J == 3 ? 12 : 16;  ///< letters from one 64-bit word
    static_assert(group % J == 0 && group % 4 == 0 && group - J + K <= 32);
    static_assert(kPieceStep % group == 0);
};

/// Calls `body` with the plan of k. Increments per base are 1 / J, but a larger table misses the
/// cache more often; bytes instead of 32 bits make it smaller, at the price of a look at each wrap.
/// Chosen with benches/bench_kmer.py.
template <class Body>
decltype(auto) with_dense_plan(unsigned k, Body const& body) {
    switch (k) {
        case 1:
            return body(DensePlan<std::uint32_t, 4, 4>{});
        case 2:
            return body(DensePlan<std::uint32_t, 5, 4>{});
        case 3:
            return body(DensePlan<std::uint32_t, 6, 4>{});
        case 4:
            return body(DensePlan<std::uint32_t, 7, 4>{});
        case 5:
            return body(DensePlan<std::uint32_t, 8, 4>{});
        case 6:
            return body(DensePlan<std::uint32_t, 9, 4>{});
        case 7:
            return body(DensePlan<std::uint32_t, 9, 3>{});
        case 8:
            return body(DensePlan<std::uint32_t, 10, 3>{});
        case 9:
            return body(DensePlan<std::uint32_t, 10, 2>{});
        case 10:
            return body(DensePlan<std::uint8_t, 11, 2>{});
        case 11:
            return body(DensePlan<std::uint8_t, 11, 1>{});
        case 12:
            return body(DensePlan<std::uint8_t, 12, 1>{});
        default:
            throw std::invalid_argument("expected 1 <= k <= 12");
    }
}

namespace detail {

/// Counts the wide K-mers of a run; returns the number of windows they stand for, all but fewer
/// than J. `wrapped(code)` is called when a cell of 8 bits passes 255.
template <class Plan, class Wrapped>
std::size_t count_wide(PackedRun const& run, typename Plan::Cell* cells,
                       Wrapped const& wrapped) noexcept {
    constexpr std::uint64_t mask = kmer_mask(Plan::K);
    auto const count = [&](std::uint64_t code) {
        auto const cell = static_cast<typename Plan::Cell>(cells[code] + 1);
        cells[code] = cell;
        if constexpr (sizeof cell == 1) {
            if (cell == 0) [[unlikely]] {
                wrapped(code);
            }
        }
    };
    std::size_t i = 0;
    for (; i + Plan::group <= run.windows; i += Plan::group) {
        std::uint64_t const word = load_big_endian(run.packed + i / 4);
        __builtin_prefetch(run.ahead.data() + std::min(i, run.ahead.size()));
#pragma GCC unroll 16
        for (unsigned at = 0; at < Plan::group; at += Plan::J) {
            count(word >> (64 - 2 * (at + Plan::K)) & mask);
        }
    }
    for (; i + Plan::J <= run.windows; i += Plan::J) count(window_code(run.packed, i, Plan::K));
    return i;
}

/// Adds the table of wide K-mers to the counts of the k-mers at offset `At` in them: the table is a
/// box of 4^At x 4^k x 4^(J - 1 - At) cells, to be summed over the outer axes.
template <class Plan, unsigned At = 0>
void fold_wide(typename Plan::Cell const* cells, std::span<std::uint64_t> counts) noexcept {
    constexpr std::size_t before = std::size_t{1} << 2 * At;
    constexpr std::size_t after = std::size_t{1} << 2 * (Plan::J - 1 - At);
    auto const* cell = cells;
    for (std::size_t i = 0; i < before; ++i) {
        for (auto& count : counts) {
            std::uint64_t sum = 0;
            for (std::size_t j = 0; j < after; ++j) sum += cell[j];
            count += sum;
            cell += after;
        }
    }
    if constexpr (At + 1 < Plan::J) fold_wide<Plan, At + 1>(cells, counts);
}

}  // namespace detail

/// When the tables are used; the tests set it to small numbers.
struct DenseLimits {
    /// Windows after which a table of 32-bit cells is emptied into the counts.
    std::uint64_t full = std::numeric_limits<std::uint32_t>::max();
    /// Windows below which a table costs more than it saves; at most the number of its cells.
    std::uint64_t few = std::numeric_limits<std::uint64_t>::max();
};

/// Counts k-mers of any number of batches into the caller's 4^k counts, which must outlive it and
/// are complete after flush(). Memory: a table per thread of at most 16 MB.
class DenseCounter {
  public:
    /// `counts.size() == 4^k`.
    DenseCounter(unsigned k, std::span<std::uint64_t> counts, DenseLimits limits = {})
        : k_(k), limits_(limits), counts_(counts) {
        limits_.full = std::max<std::uint64_t>(limits.full, kPackedLetters);
        with_dense_plan(k, [](auto) {});
        if (counts.size() != std::size_t{1} << 2 * k) {
            throw std::invalid_argument("counts must have 4^k elements");
        }
    }

    /// Counts every window of known letters. Returns the first byte that is no nucleotide letter;
    /// the counts are then meaningless. Threads share the windows.
    std::optional<Place> add(Sequences sequences, std::size_t threads = 1, Isa isa = active_isa()) {
        return with_dense_plan(k_, [&](auto plan) {
            return add_with<decltype(plan)>(sequences, std::max<std::size_t>(threads, 1), isa);
        });
    }

    /// Empties the tables into the counts.
    void flush() {
        with_dense_plan(k_, [&](auto plan) {
            for (std::size_t i = 1; i < lanes_.size(); ++i) {
                gather<decltype(plan)>(lanes_[i], lanes_[0]);
            }
            for (Lane& lane : lanes_) empty<decltype(plan)>(lane);
        });
    }

  private:
    template <class Plan>
    using Cell = typename Plan::Cell;

    /// What one thread counts into.
    struct Lane {
        RawArray<std::uint32_t> words;  // the wide table, in one of these
        RawArray<std::uint8_t> bytes;
        std::vector<std::uint32_t> single;  // k-mers at the ends of runs, with the 32-bit table
        std::uint64_t windows = 0;          // since it was emptied

        template <class T>
        RawArray<T>& wide() noexcept {
            if constexpr (sizeof(T) == 1) {
                return bytes;
            } else {
                return words;
            }
        }
    };

    template <class Plan>
    std::optional<Place> add_with(Sequences sequences, std::size_t threads, Isa isa) {
        std::size_t const windows = kmer_windows(sequences, k_);
        seen_ += windows;
        std::uint64_t const few = std::min<std::uint64_t>(limits_.few, Plan::cells);
        if (lanes_.empty() && seen_ < few) {
            return earlier(find_refused(sequences, k_, isa), add_few(sequences, windows, isa));
        }
        if (few != 0) threads = std::clamp<std::size_t>(windows / few, 1, threads);
        if (lanes_.size() < threads) lanes_.resize(threads);
        return split_windows(
            sequences, k_, 0, windows, threads,
            [&](std::size_t part, std::size_t begin, std::size_t end) {
                Lane& lane = lanes_[part];
                if (lane.wide<Cell<Plan>>().size() == 0) lane = make_lane<Plan>();
                return for_each_run(
                    sequences, k_, begin, end,
                    [&](std::size_t, PackedRun const& run) { count<Plan>(run, lane); }, isa);
            });
    }

    std::optional<Place> add_few(Sequences sequences, std::size_t windows, Isa isa) {
        return for_each_run(
            sequences, k_, 0, windows,
            [&](std::size_t, PackedRun const& run) {
                for (std::size_t i = 0; i < run.windows; ++i) {
                    ++counts_[window_code(run.packed, i, k_)];
                }
            },
            isa);
    }

    template <class Plan>
    Lane make_lane() {
        Lane lane;
        auto& wide = lane.wide<Cell<Plan>>();
        wide = RawArray<Cell<Plan>>(Plan::cells, Pages::large);
        std::fill_n(wide.data(), Plan::cells, Cell<Plan>{0});
        if (Plan::J > 1 && sizeof(Cell<Plan>) > 1) lane.single.resize(counts_.size());
        return lane;
    }

    template <class Plan>
    void count(PackedRun const& run, Lane& lane) noexcept {
        auto* const cells = lane.wide<Cell<Plan>>().data();
        // Threads meet in the counts, but rarely: a wrap in 256 increments, and ends of runs.
        auto const add = [&](std::uint64_t code, std::uint64_t count) {
            std::atomic_ref(counts_[code]).fetch_add(count, std::memory_order_relaxed);
        };
        std::size_t i = detail::count_wide<Plan>(run, cells, [&](std::uint64_t code) {
            for (unsigned at = 0; at < Plan::J; ++at) {
                add(code >> 2 * at & kmer_mask(Plan::k), 256);
            }
        });
        for (; i < run.windows; ++i) {
            std::uint64_t const code = window_code(run.packed, i, Plan::k);
            if constexpr (sizeof(Cell<Plan>) > 1) {
                ++lane.single[code];
            } else {
                add(code, 1);
            }
        }
        lane.windows += run.windows;
        if constexpr (sizeof(Cell<Plan>) > 1) {
            if (lane.windows > limits_.full - kPackedLetters) {
                std::lock_guard const lock(emptying_);
                empty<Plan>(lane);
            }
        }
    }

    /// Moves what a table of 32-bit cells has into another one, if that has room.
    template <class Plan>
    void gather(Lane& from, Lane& to) noexcept {
        if (sizeof(Cell<Plan>) == 1 || from.words.size() == 0 || to.words.size() == 0) return;
        if (from.windows > limits_.full - kPackedLetters - to.windows) return;
        for (std::size_t i = 0; i < Plan::cells; ++i) {
            to.words[i] += std::exchange(from.words[i], 0);
        }
        for (std::size_t i = 0; i < from.single.size(); ++i) {
            to.single[i] += std::exchange(from.single[i], 0);
        }
        to.windows += std::exchange(from.windows, 0);
    }

    template <class Plan>
    void empty(Lane& lane) noexcept {
        auto& wide = lane.wide<Cell<Plan>>();
        if (lane.windows == 0 || wide.size() == 0) return;
        detail::fold_wide<Plan>(wide.data(), counts_);
        std::fill_n(wide.data(), Plan::cells, Cell<Plan>{0});
        for (std::size_t i = 0; i < lane.single.size(); ++i) counts_[i] += lane.single[i];
        std::fill(lane.single.begin(), lane.single.end(), 0);
        lane.windows = 0;
    }

    unsigned k_;
    DenseLimits limits_;
    std::span<std::uint64_t> counts_;
    std::vector<Lane> lanes_;
    std::uint64_t seen_ = 0;
    std::mutex emptying_;
};

/// Adds each count to that of the canonical k-mer, and leaves 0 at the others.
inline void fold_canonical(unsigned k, std::span<std::uint64_t> counts) noexcept {
    for (std::uint64_t code = 0; code < counts.size(); ++code) {
        std::uint64_t const other = reverse_complement_code(code, k);
        if (other < code) {
            counts[other] += counts[code];
            counts[code] = 0;
        }
    }
}

}  // namespace seqtile
