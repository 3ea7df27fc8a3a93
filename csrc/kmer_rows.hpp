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

namespace seqtile {

/// Counts the k-mers of each sequence into its row of `out`, sequences x `width`. The column of a
/// code is `columns[code]` (4^k elements, below `width`). With `normalize` a row is divided by its
/// sum, if that is not 0. Returns the first byte that is no nucleotide letter. Threads share rows.
template <class T>
std::optional<Place> kmer_rows(Sequences sequences, unsigned k,
                               std::span<std::uint32_t const> columns, std::size_t width,
                               bool normalize, T* out, std::size_t threads,
                               Isa isa = active_isa()) {
    constexpr auto exact = std::size_t{1} << std::numeric_limits<T>::digits;
    std::atomic<std::size_t> first = kNone;  // sequence refused
    parallel_for(sequences.size(), threads, [&](std::size_t begin, std::size_t end) {
        for (std::size_t s = begin; s < end; ++s) {
            T* const row = out + s * width;
            std::fill_n(row, width, T{0});
            std::size_t total = 0;
            std::vector<std::size_t> large;  // where T does not hold every whole number
            if (sequences[s].size() >= exact) large.resize(width);
            auto const count = [&](PackedRun const& run) {
                total += run.windows;
                for (std::size_t i = 0; i < run.windows; ++i) {
                    std::size_t const column = columns[window_code(run.packed, i, k)];
                    if (large.empty()) {
                        row[column] += T{1};
                    } else {
                        ++large[column];
                    }
                }
            };
            if (for_each_run(sequences[s], k, count, isa) != kNone) {
                std::size_t seen = first;
                while (s < seen && !first.compare_exchange_weak(seen, s)) {
                }
                return;
            }
            for (std::size_t i = 0; i < large.size(); ++i) row[i] = static_cast<T>(large[i]);
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
