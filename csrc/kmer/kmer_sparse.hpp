// Table of the k-mers that occur, sorted by code, k <= 32.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "../core/raw_array.hpp"
#include "kmer_roll.hpp"
#include "kmer_sort.hpp"

namespace seqtile {
/// The k-mers that occurred: codes in order, and how often each.
class SparseTable {
  public:
    SparseTable() = default;
    /// Memory for up to `room` k-mers is reserved, and taken up as they come.
    explicit SparseTable(std::size_t room) : codes_(room), counts_(room) {}

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    void resize(std::size_t size) noexcept { size_ = size; }
    [[nodiscard]] std::span<std::uint64_t> codes() noexcept { return codes_.span().first(size_); }
    [[nodiscard]] std::span<std::uint64_t> counts() noexcept { return counts_.span().first(size_); }
    [[nodiscard]] std::span<std::uint64_t const> codes() const noexcept {
        return codes_.span().first(size_);
    }
    [[nodiscard]] std::span<std::uint64_t const> counts() const noexcept {
        return counts_.span().first(size_);
    }

    [[nodiscard]] SparseTable copy() const {
        SparseTable other(size_);
        other.resize(size_);
        std::copy_n(codes_.data(), size_, other.codes_.data());
        std::copy_n(counts_.data(), size_, other.counts_.data());
        return other;
    }

  private:
    RawArray<std::uint64_t> codes_, counts_;
    std::size_t size_ = 0;
};

/// Counts k-mers of any number of batches. Codes go to *parts* by their highest bits; each part is
/// sorted in the cache and merged with what the table has of it.
///
/// Memory: 16 bytes per different k-mer, for the old table and for the new one while a batch is
/// merged; then also 8 bytes for each window of a round (some of the parts, together 2^25 windows,
/// or an eighth of the batch where that is more) and for the largest part, per thread. Batches of
/// few letters are kept, a byte per letter, until they are 2^26 letters, or one per different k-mer
/// where that is more.
class SparseCounter {
  public:
    /// 256 MB. The codes of the batch are made anew in every round (benches/bench_kmer.py).
    static constexpr std::size_t kRound = std::size_t{1} << 25;

    SparseCounter(unsigned k, bool canonical, std::size_t round = kRound)
        : k_(k), canonical_(canonical), round_(std::max<std::size_t>(round, 1)) {
        if (k < 1 || k > kMaxK) throw std::invalid_argument("expected 1 <= k <= 32");
        unsigned const bits = std::min(2 * k, kPartBits);
        shift_ = 2 * k - bits;
        parts_ = std::size_t{1} << bits;
        begins_.resize(parts_ + 1);
    }

    /// Counts every window of known letters. If there is a byte that is no nucleotide letter,
    /// returns the first and counts nothing.
    std::optional<Place> add(Sequences sequences, std::size_t threads = 1, Isa isa = active_isa()) {
        std::size_t letters = 0;
        for (std::size_t i = 0; i < sequences.size(); ++i) letters += sequences[i].size() + 1;
        std::size_t const enough = std::max(2 * round_, size());
        if (letters >= enough / 4) return count(sequences, threads, isa);
        if (auto const refused = find_refused(sequences, kNone, isa)) return refused;
        for (std::size_t i = 0; i < sequences.size(); ++i) {
            Bytes const sequence = sequences[i];
            pending_.insert(pending_.end(), sequence.begin(), sequence.end());
            pending_.push_back('N');  // no window from one sequence to the next
        }
        if (pending_.size() >= enough) flush(threads, isa);
        return std::nullopt;
    }

    /// Counts what was kept. The table is complete after it.
    void flush(std::size_t threads = 1, Isa isa = active_isa()) {
        if (pending_.empty()) return;
        count(Sequences(pending_.data(), 1, pending_.size()), threads, isa);
        pending_ = {};
    }

    /// Number of different k-mers in the table.
    [[nodiscard]] std::size_t size() const noexcept { return table_.size(); }
    [[nodiscard]] SparseTable const& table() const noexcept { return table_; }

    /// Hands the table over and begins anew.
    [[nodiscard]] SparseTable release() noexcept {
        std::fill(begins_.begin(), begins_.end(), std::size_t{0});
        return std::exchange(table_, SparseTable{});
    }

  private:
    static constexpr unsigned kPartBits = 10;
    static constexpr std::size_t kLine = 8;  ///< codes of a cache line
    using Sizes = std::vector<std::size_t>;

    /// A batch that is being counted.
    struct Work {
        Sequences sequences;
        std::size_t windows;
        Isa isa;
        std::vector<Sizes> next;  // for each thread: where it writes the next code of each part
        Sizes sizes;              // of the parts
        RawArray<std::uint64_t> codes;                // of a round
        std::vector<RawArray<std::uint64_t>> others;  // of each thread, for sorting
        SparseTable table;                            // what comes of it
        Sizes begins;                                 // of its parts
    };

    std::optional<Place> count(Sequences sequences, std::size_t threads, Isa isa) {
        threads = std::max<std::size_t>(threads, 1);
        return canonical_ ? count_as<true>(sequences, threads, isa)
                          : count_as<false>(sequences, threads, isa);
    }

    template <bool kCanonical>
    std::optional<Place> count_as(Sequences sequences, std::size_t threads, Isa isa) {
        Work work{.sequences = sequences,
                  .windows = kmer_windows(sequences, k_),
                  .isa = isa,
                  .next = std::vector<Sizes>(threads, Sizes(parts_)),
                  .sizes = Sizes(parts_),
                  .codes = {},
                  .others = std::vector<RawArray<std::uint64_t>>(threads),
                  .table = {},
                  .begins = Sizes(parts_ + 1)};
        if (auto const refused = measure<kCanonical>(work)) return refused;
        if (work.windows == 0) return std::nullopt;
        work.table = SparseTable(table_.size() + work.windows);
        std::size_t const largest = *std::max_element(work.sizes.begin(), work.sizes.end());
        for (auto& other : work.others) other = RawArray<std::uint64_t>(largest);
        std::size_t const room = std::max(round_, work.windows / 8);
        for (std::size_t first = 0; first < parts_;) {
            std::size_t last = first, size = 0;
            while (last < parts_ && (last == first || size + work.sizes[last] <= room)) {
                size += work.sizes[last++];
            }
            if (work.codes.size() < size) work.codes = RawArray<std::uint64_t>(size);
            count_parts<kCanonical>(work, first, last);
            first = last;
        }
        table_ = std::move(work.table);
        begins_ = std::move(work.begins);
        return std::nullopt;
    }

    /// How many codes each thread has for each part. Returns the first byte refused, if any.
    template <bool kCanonical>
    std::optional<Place> measure(Work& work) const {
        auto const refused =
            split_windows(work.sequences, k_, 0, work.windows, work.next.size(),
                          [&](std::size_t thread, std::size_t begin, std::size_t end) {
                              Sizes& sizes = work.next[thread];
                              RawArray<std::uint64_t> codes(kRunCodes);
                              auto const add = [&](std::size_t, PackedRun const& run) {
                                  std::size_t const size = take_codes<kCanonical>(
                                      run, k_, {shift_, 0, parts_}, codes.data(), work.isa);
                                  for (std::size_t i = 0; i < size; ++i)
                                      ++sizes[codes[i] >> shift_];
                              };
                              return for_each_run(work.sequences, k_, begin, end, add, work.isa);
                          });
        for (Sizes const& sizes : work.next) {
            for (std::size_t i = 0; i < parts_; ++i) work.sizes[i] += sizes[i];
        }
        return refused;
    }

    /// A round: all codes of the parts [first, last), sorted and merged with the table's.
    template <bool kCanonical>
    void count_parts(Work& work, std::size_t first, std::size_t last) {
        Sizes begins(last - first);  // in work.codes
        std::size_t at = 0;
        for (std::size_t i = first; i < last; ++i) {
            begins[i - first] = at;
            for (Sizes& next : work.next) {
                std::size_t const size = next[i];
                next[i] = at;
                at += size;
            }
        }
        split_windows(work.sequences, k_, 0, work.windows, work.next.size(),
                      [&](std::size_t thread, std::size_t begin, std::size_t end) {
                          scatter<kCanonical>(work, thread, begin, end, first, last);
                          return std::optional<Place>{};
                      });
        auto const round = [&](std::size_t i) {
            return work.codes.span().subspan(begins[i - first], work.sizes[i]);
        };
        for_each_part(work, first, last, [&](std::size_t thread, std::size_t i) {
            auto const codes = round(i);
            sort_codes(codes, work.others[thread].span().first(codes.size()), shift_);
            work.begins[i + 1] = merge(codes, i, nullptr, nullptr);
        });
        for (std::size_t i = first; i < last; ++i) work.begins[i + 1] += work.begins[i];
        work.table.resize(work.begins[last]);
        for_each_part(work, first, last, [&](std::size_t, std::size_t i) {
            merge(round(i), i, work.table.codes().data() + work.begins[i],
                  work.table.counts().data() + work.begins[i]);
        });
    }

    /// Writes the codes of the parts [first, last) to their places by whole cache lines: a line per
    /// part is filled first.
    template <bool kCanonical>
    void scatter(Work& work, std::size_t thread, std::size_t begin, std::size_t end,
                 std::size_t first, std::size_t last) const {
        Sizes& next = work.next[thread];
        std::uint64_t* const codes = work.codes.data();
        std::size_t const count = last - first;
        RawArray<std::uint64_t> lines(count * kLine), taken(kRunCodes);
        Sizes filled(count);
        auto const put = [&](std::size_t, PackedRun const& run) {
            std::size_t const size =
                take_codes<kCanonical>(run, k_, {shift_, first, count}, taken.data(), work.isa);
            for (std::size_t i = 0; i < size; ++i) {
                std::size_t const part = (taken[i] >> shift_) - first;
                std::uint64_t* const line = lines.data() + part * kLine;
                std::size_t const at = filled[part]++;
                line[at] = taken[i];
                if (at != kLine - 1) continue;
                std::memcpy(codes + next[first + part], line, kLine * sizeof *line);
                next[first + part] += kLine;
                filled[part] = 0;
            }
        };
        for_each_run(work.sequences, k_, begin, end, put, work.isa);
        for (std::size_t part = 0; part < count; ++part) {
            std::copy_n(lines.data() + part * kLine, filled[part], codes + next[first + part]);
        }
    }

    /// Merges sorted codes with part `i` of the table into `codes` and `counts`, unless they are
    /// null; returns the number of different codes.
    std::size_t merge(std::span<std::uint64_t const> sorted, std::size_t i, std::uint64_t* codes,
                      std::uint64_t* counts) const noexcept {
        auto const all_codes = table_.codes(), all_counts = table_.counts();
        std::size_t old = begins_[i], size = 0;
        std::size_t const end = begins_[i + 1];
        auto const put = [&](std::uint64_t code, std::uint64_t count) {
            if (codes != nullptr) {
                codes[size] = code;
                counts[size] = count;
            }
            ++size;
        };
        for (std::size_t at = 0; at < sorted.size();) {
            std::uint64_t const code = sorted[at];
            std::size_t const begin = at++;
            while (at < sorted.size() && sorted[at] == code) ++at;
            for (; old < end && all_codes[old] < code; ++old) put(all_codes[old], all_counts[old]);
            std::uint64_t const before =
                old < end && all_codes[old] == code ? all_counts[old++] : 0;
            put(code, before + at - begin);
        }
        for (; old < end; ++old) put(all_codes[old], all_counts[old]);
        return size;
    }

    /// `body(thread, part)` for the parts [first, last); threads take the next when they are done.
    template <class Body>
    static void for_each_part(Work const& work, std::size_t first, std::size_t last,
                              Body const& body) {
        std::atomic<std::size_t> next = first;
        parallel_parts(work.others.size(), [&](std::size_t thread) {
            for (std::size_t i; (i = next.fetch_add(1)) < last;) body(thread, i);
        });
    }

    unsigned k_;
    bool canonical_;
    std::size_t round_;
    unsigned shift_ = 0;  // of a code, to its part
    std::size_t parts_ = 1;
    SparseTable table_;
    Sizes begins_;  // of the parts in the table
    std::vector<std::uint8_t> pending_;
};

}  // namespace seqtile
