// Radix sort of k-mer codes.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace seqtile {
namespace detail {

/// Up to this many codes are sorted by insertion.
inline constexpr std::size_t kInsertionSize = 24;
/// Bits of a digit at most: 2,048 places to write to stay in the caches.
inline constexpr unsigned kMaxDigit = 11;
/// More codes than this do not fit the second-level cache twice.
inline constexpr std::size_t kCachedCodes = std::size_t{1} << 16;

using Codes = std::span<std::uint64_t>;

inline void insertion_sort(Codes codes) noexcept {
    for (std::size_t i = 1; i < codes.size(); ++i) {
        std::uint64_t const code = codes[i];
        std::size_t at = i;
        for (; at > 0 && codes[at - 1] > code; --at) codes[at] = codes[at - 1];
        codes[at] = code;
    }
}

/// Where the codes of each digit begin, counted for the `digit` bits from `shift` up.
using Places = std::array<std::uint32_t, std::size_t{1} << kMaxDigit>;

inline void sizes_to_places(Places& places, std::size_t count) noexcept {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t const size = places[i];
        places[i] = sum;
        sum += size;
    }
}

inline void sort_range(Codes codes, Codes other, unsigned bits) noexcept;

/// Too many codes for the cache: parts by the highest digit, each sorted on its own.
inline void sort_by_parts(Codes codes, Codes other, unsigned bits) noexcept {
    unsigned const digit = std::min(bits, 8U);
    unsigned const shift = bits - digit;
    std::size_t const mask = (std::size_t{1} << digit) - 1;
    std::array<std::size_t, 257> ends{};
    for (std::uint64_t const code : codes) ++ends[(code >> shift & mask) + 1];
    for (std::size_t i = 1; i <= mask; ++i) ends[i] += ends[i - 1];
    for (std::uint64_t const code : codes) other[ends[code >> shift & mask]++] = code;
    std::copy(other.begin(), other.end(), codes.begin());
    std::size_t begin = 0;  // ends[i] is now the end of the codes with digit i
    for (std::size_t i = 0; i <= mask; ++i) {
        std::size_t const size = ends[i] - begin;
        sort_range(codes.subspan(begin, size), other.subspan(begin, size), shift);
        begin = ends[i];
    }
}

/// Two stable passes over the highest digits, the lower of them first, bring codes into order but
/// for those that agree in both; these few are then sorted among themselves.
inline void sort_cached(Codes codes, Codes other, unsigned bits) noexcept {
    auto const enough = static_cast<unsigned>(std::bit_width(codes.size())) + 6;
    unsigned const used = std::min({bits, enough, 2 * kMaxDigit});
    unsigned const low = used / 2, high = used - low;
    unsigned const shift = bits - used;
    std::uint64_t const low_mask = (std::uint64_t{1} << low) - 1;
    std::uint64_t const high_mask = (std::uint64_t{1} << high) - 1;
    Places lows, highs;
    std::fill_n(lows.begin(), low_mask + 1, 0);
    std::fill_n(highs.begin(), high_mask + 1, 0);
    for (std::uint64_t const code : codes) {
        ++lows[code >> shift & low_mask];
        ++highs[code >> (shift + low) & high_mask];
    }
    sizes_to_places(lows, low_mask + 1);
    sizes_to_places(highs, high_mask + 1);
    for (std::uint64_t const code : codes) other[lows[code >> shift & low_mask]++] = code;
    for (std::uint64_t const code : other) codes[highs[code >> (shift + low) & high_mask]++] = code;
    if (shift == 0) return;
    for (std::size_t i = 1; i < codes.size(); ++i) {
        if (codes[i - 1] <= codes[i]) continue;
        std::uint64_t const top = codes[i] >> shift;
        std::size_t begin = i - 1, end = i + 1;
        while (begin > 0 && codes[begin - 1] >> shift == top) --begin;
        while (end < codes.size() && codes[end] >> shift == top) ++end;
        sort_range(codes.subspan(begin, end - begin), other.subspan(begin, end - begin), shift);
        i = end;
    }
}

inline void sort_range(Codes codes, Codes other, unsigned bits) noexcept {
    if (codes.size() <= kInsertionSize) return insertion_sort(codes);
    if (bits == 0) return;
    codes.size() > kCachedCodes ? sort_by_parts(codes, other, bits)
                                : sort_cached(codes, other, bits);
}

}  // namespace detail

/// Sorts codes that differ in their lowest `bits` bits only. `other` has the same size and is
/// overwritten.
inline void sort_codes(std::span<std::uint64_t> codes, std::span<std::uint64_t> other,
                       unsigned bits) noexcept {
    detail::sort_range(codes, other, bits);
}

}  // namespace seqtile
