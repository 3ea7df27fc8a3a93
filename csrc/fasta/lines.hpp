// Copies the letters of evenly wrapped lines, mapping each through a table.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../core/bytes.hpp"
#include "../core/cpu.hpp"
#include "../core/lookup.hpp"

namespace seqtile {

/// How many bytes past the last letter copy_lines may overwrite.
inline constexpr std::size_t kCopySlack = 64;

namespace detail {

inline bool is_line_end(std::uint8_t const* at, std::size_t gap) noexcept {
    return at[gap - 1] == '\n' && (gap == 1 || at[0] == '\r');
}

/// The reference; also serves where one line at a time through lookup() is fast enough.
inline std::size_t copy_lines_each(Bytes from, std::size_t width, std::size_t gap,
                                   ByteTable const& table, std::uint8_t* to, Isa isa) noexcept {
    std::size_t count = 0;
    for (; from.size() >= width + gap; from = from.subspan(width + gap), to += width, ++count) {
        if (!is_line_end(from.data() + width, gap)) break;
        if (lookup(from.first(width), table, to, isa) == kInvalid) break;
    }
    return count;
}

#if defined(SEQTILE_X86)
SEQTILE_TARGET_AVX512 inline std::size_t copy_lines_avx512(Bytes from, std::size_t width,
                                                           std::size_t gap, ByteTable const& table,
                                                           std::uint8_t* to) noexcept {
    __m512i const low = _mm512_loadu_si512(table.data());
    __m512i const high = _mm512_loadu_si512(table.data() + 64);
    std::size_t const whole = (width - 1) / 64 * 64;  // all but the last 1..64 letters
    __mmask64 const rest = ~std::uint64_t{0} >> (64 - (width - whole));
    std::uint8_t const* line = from.data();
    std::uint8_t const* const end = line + from.size();
    std::size_t count = 0;
    for (; static_cast<std::size_t>(end - line) >= width + gap; ++count) {
        if (!is_line_end(line + width, gap)) break;
        __mmask64 refused = 0;  // a byte from 128 up, or an entry from 128 up: kInvalid
        for (std::size_t i = 0; i < whole; i += 64) {
            __m512i const bytes = _mm512_loadu_si512(line + i);
            __m512i const entries = _mm512_permutex2var_epi8(low, bytes, high);
            refused |= _mm512_movepi8_mask(_mm512_or_si512(bytes, entries));
            _mm512_storeu_si512(to + i, entries);
        }
        __m512i const bytes = _mm512_maskz_loadu_epi8(rest, line + whole);
        __m512i const entries = _mm512_permutex2var_epi8(low, bytes, high);
        refused |= rest & _mm512_movepi8_mask(_mm512_or_si512(bytes, entries));
        _mm512_storeu_si512(to + whole, entries);
        if (refused != 0) break;
        line += width + gap;
        to += width;
    }
    return count;
}
#endif

}  // namespace detail

/// Copies the leading lines of `from` that have exactly `width` letters, then a line end of `gap`
/// bytes (1: LF, 2: CRLF), and no letter whose entry in `table` is kInvalid; returns how many.
/// The letters' entries come one after another to `to`, which has room for all of `from` and
/// kCopySlack more. Preconditions: `width` and `gap` as said and above 0; entries but kInvalid are
/// below 128; bytes from 128 up are kInvalid.
inline std::size_t copy_lines(Bytes from, std::size_t width, std::size_t gap,
                              ByteTable const& table, std::uint8_t* to,
                              Isa isa = active_isa()) noexcept {
#if defined(SEQTILE_X86)
    if (isa == Isa::avx512) return detail::copy_lines_avx512(from, width, gap, table, to);
#endif
    return detail::copy_lines_each(from, width, gap, table, to, isa);
}

}  // namespace seqtile
