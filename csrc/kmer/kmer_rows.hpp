// A row of k-mer frequencies per sequence, and k-mers as text.
#pragma once

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kmer.hpp"
#include "kmer_dense.hpp"

namespace seqtile {

/// Up to here T holds every whole number.
template <class T>
inline constexpr auto kExactCounts = std::size_t{1} << std::numeric_limits<T>::digits;

/// Sums the counts of the codes of each column into a row; returns the sum of all.
template <class T>
std::uint64_t sum_columns(std::span<std::uint64_t const> counts,
                          std::span<std::uint32_t const> columns, std::span<T> row) {
    std::vector<std::uint64_t> sums(row.size());
    std::uint64_t total = 0;
    for (std::size_t code = 0; code < counts.size(); ++code) {
        sums[columns[code]] += counts[code];
        total += counts[code];
    }
    std::transform(sums.begin(), sums.end(), row.begin(),
                   [](std::uint64_t sum) { return static_cast<T>(sum); });
    return total;
}

/// Counts the k-mers of each sequence into its row of `out`, sequences x `width`. The column of a
/// code is `columns[code]` (4^k elements, below `width`). With `normalize` a row is divided by its
/// sum, if that is not 0. Returns the first byte that is no nucleotide letter. Threads share rows;
/// long sequences are counted as by DenseCounter.
template <class T>
std::optional<Place> kmer_rows(Sequences sequences, unsigned k,
                               std::span<std::uint32_t const> columns, std::size_t width,
                               bool normalize, T* out, std::size_t threads,
                               Isa isa = active_isa()) {
    std::size_t const few =  // letters that are not worth tables, and that T can count one by one
        std::min(std::max<std::size_t>(columns.size(), 4096), kExactCounts<T>);
    std::atomic<std::size_t> first = kNone;  // sequence refused
    std::size_t const parts =
        std::clamp<std::size_t>(threads, 1, std::max<std::size_t>(sequences.size(), 1));
    parallel_parts(parts, [&](std::size_t part) {
        std::vector<std::uint64_t> counts;  // of a long sequence
        for (std::size_t s = part; s < sequences.size(); s += parts) {
            T* const row = out + s * width;
            std::fill_n(row, width, T{0});
            std::size_t total = 0;
            bool refused = false;
            if (sequences[s].size() < few) {
                auto const count = [&](PackedRun const& run) {
                    total += run.windows;
                    for (std::size_t i = 0; i < run.windows; ++i) {
                        row[columns[window_code(run.packed, i, k)]] += T{1};
                    }
                };
                refused = for_each_run(sequences[s], k, count, isa) != kNone;
            } else {
                counts.assign(columns.size(), 0);
                DenseCounter counter(k, counts);
                Sequences const one(sequences[s].data(), 1, sequences[s].size());
                refused = counter.add(one, 1, isa).has_value();
                counter.flush();
                total = sum_columns(counts, columns, std::span(row, width));
            }
            if (refused) {
                std::size_t seen = first;
                while (s < seen && !first.compare_exchange_weak(seen, s)) {
                }
                return;
            }
            if (!normalize || total == 0) continue;
            for (std::size_t i = 0; i < width; ++i) row[i] /= static_cast<T>(total);
        }
    });
    if (first == kNone) return std::nullopt;
    std::size_t const at = find_above(sequences[first], kDna.table(), kDna.size());
    return Place{first, at};
}

/// The letters of each code, k per code, one after another; `out.size() == codes.size() * k`.
inline void kmer_letters(std::span<std::uint64_t const> codes, unsigned k,
                         MutableBytes out) noexcept {
    std::uint8_t* letter = out.data();
    for (std::uint64_t const code : codes) {
        for (unsigned i = k; i-- > 0;) {
            *letter++ = static_cast<std::uint8_t>("ACGT"[code >> 2 * i & 3]);
        }
    }
}

/// A line per k-mer: its letters, a tab, its count.
inline std::string kmer_lines(std::span<std::uint64_t const> codes,
                              std::span<std::uint64_t const> counts, unsigned k) {
    std::string text(codes.size() * (k + 22), '\0');  // 20 digits at most
    char* at = text.data();
    for (std::size_t i = 0; i < codes.size(); ++i) {
        kmer_letters(codes.subspan(i, 1), k, {reinterpret_cast<std::uint8_t*>(at), k});
        at += k;
        *at++ = '\t';
        at = std::to_chars(at, at + 20, counts[i]).ptr;
        *at++ = '\n';
    }
    text.resize(static_cast<std::size_t>(at - text.data()));
    return text;
}

}  // namespace seqtile
