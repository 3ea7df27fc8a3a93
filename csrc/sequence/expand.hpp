// Bits to cells: a set bit becomes `on`, a clear one 0.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "../core/cpu.hpp"
#include "bits.hpp"

namespace seqtile {

/// What to write: `on` where a bit of `ones` is set, `unknown` where one of `unknowns` is, else 0.
/// The two share no set bit. Bits is a source of bits.hpp.
template <class T, class Bits>
struct CellBits {
    Bits ones;
    Bits unknowns;
    bool has_unknowns;  ///< else `unknowns` is not looked at
    T on;
    T unknown;
    std::uintptr_t ahead = 0;    ///< address of bytes to ask for meanwhile, if streamed:
    std::size_t ahead_step = 0;  ///< so many per 64 cells
};

/// Cells from `out` to the next cache line.
template <class T>
std::size_t cells_to_line(T const* out) noexcept {
    return (64 - reinterpret_cast<std::uintptr_t>(out) % 64) % 64 / sizeof(T);
}

namespace detail {

/// A hint; the address need not exist.
inline void ask_for(std::uintptr_t& address, std::size_t step) noexcept {
    __builtin_prefetch(reinterpret_cast<void const*>(address));
    address += step;
}

/// The reference.
template <EqualWord equal, class T, class Bits>
void expand_scalar(CellBits<T, Bits>& cells, std::size_t count, T* out) noexcept {
    for (std::size_t i = 0; i < count; i += 64) {
        std::size_t const size = std::min<std::size_t>(64, count - i);
        std::uint64_t ones = cells.ones.template take<equal>(size);
        std::uint64_t unknowns = cells.has_unknowns ? cells.unknowns.template take<equal>(size) : 0;
        for (std::size_t k = i; k < i + size; ++k, ones >>= 1, unknowns >>= 1) {
            out[k] = (ones & 1) != 0 ? cells.on : ((unknowns & 1) != 0 ? cells.unknown : T{});
        }
    }
}

#if defined(SEQTILE_X86)

/// The value in every lane of its size.
template <class T>
SEQTILE_TARGET_AVX512 __m512i fill_avx512(T value) noexcept {
    if constexpr (sizeof(T) == 4) return _mm512_set1_epi32(std::bit_cast<std::int32_t>(value));
    if constexpr (sizeof(T) == 2) return _mm512_set1_epi16(std::bit_cast<std::int16_t>(value));
    if constexpr (sizeof(T) == 1) return _mm512_set1_epi8(std::bit_cast<std::int8_t>(value));
}

/// One register of cells, from the low bits of `ones` and `unknowns`.
template <class T, bool has_unknowns = true>
SEQTILE_TARGET_AVX512 __m512i cells_avx512(std::uint64_t ones, std::uint64_t unknowns, __m512i on,
                                           __m512i unknown) noexcept {
    __m512i cells;
    if constexpr (sizeof(T) == 4) {
        cells = _mm512_maskz_mov_epi32(static_cast<__mmask16>(ones), on);
        if (has_unknowns) {
            cells = _mm512_mask_mov_epi32(cells, static_cast<__mmask16>(unknowns), unknown);
        }
    } else if constexpr (sizeof(T) == 2) {
        cells = _mm512_maskz_mov_epi16(static_cast<__mmask32>(ones), on);
        if (has_unknowns) {
            cells = _mm512_mask_mov_epi16(cells, static_cast<__mmask32>(unknowns), unknown);
        }
    } else {
        cells = _mm512_maskz_mov_epi8(ones, on);
        if (has_unknowns) cells = _mm512_mask_mov_epi8(cells, unknowns, unknown);
    }
    return cells;
}

template <bool stream>
SEQTILE_TARGET_AVX512 void store_line_avx512(__m512i values, void* out) noexcept {
    if constexpr (stream) {
        _mm512_stream_si512(static_cast<__m512i*>(out), values);
    } else {
        _mm512_store_si512(out, values);
    }
}

/// Fewer cells than a cache line has.
template <class T, class Bits>
SEQTILE_TARGET_AVX512 void expand_part_avx512(CellBits<T, Bits>& cells, std::size_t count,
                                              T* out) noexcept {
    if (count == 0) return;
    std::uint64_t const ones = cells.ones.template take<equal_avx512>(count);
    std::uint64_t const unknowns =
        cells.has_unknowns ? cells.unknowns.template take<equal_avx512>(count) : 0;
    __m512i const values =
        cells_avx512<T>(ones, unknowns, fill_avx512(cells.on), fill_avx512(cells.unknown));
    if constexpr (sizeof(T) == 4) {
        _mm512_mask_storeu_epi32(out, static_cast<__mmask16>(low_bits(count)), values);
    } else if constexpr (sizeof(T) == 2) {
        _mm512_mask_storeu_epi16(out, static_cast<__mmask32>(low_bits(count)), values);
    } else {
        _mm512_mask_storeu_epi8(out, low_bits(count), values);
    }
}

/// Whole cache lines.
template <bool stream, bool has_unknowns, class T, class Bits>
SEQTILE_TARGET_AVX512 void expand_lines_avx512(CellBits<T, Bits>& cells, std::size_t count,
                                               T* out) noexcept {
    constexpr std::size_t lanes = 64 / sizeof(T);
    __m512i const on = fill_avx512(cells.on);
    __m512i const unknown = fill_avx512(cells.unknown);
    Bits all_ones = cells.ones, all_unknowns = cells.unknowns;  // stay in registers
    std::uintptr_t ahead = cells.ahead;
    std::size_t i = 0;
    // Two loops, since a step that depends on the end would be a chain from line to line.
    for (; i + 64 <= count; i += 64) {
        if constexpr (stream) ask_for(ahead, cells.ahead_step);
        std::uint64_t const ones = all_ones.template take<equal_avx512>(64);
        std::uint64_t const unknowns =
            has_unknowns ? all_unknowns.template take<equal_avx512>(64) : 0;
        for (std::size_t lane = 0; lane < 64; lane += lanes) {
            store_line_avx512<stream>(
                cells_avx512<T, has_unknowns>(ones >> lane, unknowns >> lane, on, unknown),
                out + i + lane);
        }
    }
    for (; i < count; i += lanes) {
        std::uint64_t const ones = all_ones.template take<equal_avx512>(lanes);
        std::uint64_t const unknowns =
            has_unknowns ? all_unknowns.template take<equal_avx512>(lanes) : 0;
        store_line_avx512<stream>(cells_avx512<T, has_unknowns>(ones, unknowns, on, unknown),
                                  out + i);
    }
    cells.ones = all_ones;
    cells.unknowns = all_unknowns;
    cells.ahead = ahead;
}

template <class T, class Bits>
SEQTILE_TARGET_AVX512 void expand_avx512(CellBits<T, Bits>& cells, std::size_t count, T* out,
                                         bool stream) noexcept {
    std::size_t const head = std::min(count, cells_to_line(out));
    std::size_t const tail = (count - head) % (64 / sizeof(T));
    std::size_t const lines = count - head - tail;
    expand_part_avx512(cells, head, out);
    if (stream) {
        if (cells.has_unknowns) {
            expand_lines_avx512<true, true>(cells, lines, out + head);
        } else {
            expand_lines_avx512<true, false>(cells, lines, out + head);
        }
    } else if (cells.has_unknowns) {
        expand_lines_avx512<false, true>(cells, lines, out + head);
    } else {
        expand_lines_avx512<false, false>(cells, lines, out + head);
    }
    expand_part_avx512(cells, tail, out + head + lines);
}

template <class T>
SEQTILE_TARGET_AVX2 __m256i fill_avx2(T value) noexcept {
    if constexpr (sizeof(T) == 4) return _mm256_set1_epi32(std::bit_cast<std::int32_t>(value));
    if constexpr (sizeof(T) == 2) return _mm256_set1_epi16(std::bit_cast<std::int16_t>(value));
    if constexpr (sizeof(T) == 1) return _mm256_set1_epi8(std::bit_cast<std::int8_t>(value));
}

/// Lanes of ones where the low bits of `bits` are set, in lanes of T's size.
template <class T>
SEQTILE_TARGET_AVX2 __m256i lanes_avx2(std::uint64_t bits) noexcept {
    __m256i weights, spread;
    if constexpr (sizeof(T) == 4) {
        weights = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
        spread = _mm256_set1_epi32(static_cast<std::int32_t>(bits & 0xFF));
        return _mm256_cmpeq_epi32(_mm256_and_si256(spread, weights), weights);
    } else if constexpr (sizeof(T) == 2) {
        weights = _mm256_set_epi16(std::int16_t{-32768}, 16384, 8192, 4096, 2048, 1024, 512, 256,
                                   128, 64, 32, 16, 8, 4, 2, 1);
        spread = _mm256_set1_epi16(static_cast<std::int16_t>(bits));
        return _mm256_cmpeq_epi16(_mm256_and_si256(spread, weights), weights);
    } else {
        weights = _mm256_set1_epi64x(static_cast<std::int64_t>(0x8040201008040201U));
        __m256i const bytes =
            _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
        spread = _mm256_set1_epi32(static_cast<std::int32_t>(bits));
        spread = _mm256_shuffle_epi8(spread, bytes);
        return _mm256_cmpeq_epi8(_mm256_and_si256(spread, weights), weights);
    }
}

/// A cache line of cells.
template <class T>
SEQTILE_TARGET_AVX2 void expand_line_avx2(std::uint64_t ones, std::uint64_t unknowns, __m256i on,
                                          __m256i unknown, T* out, bool stream) noexcept {
    for (std::size_t lane = 0; lane < 64 / sizeof(T); lane += 32 / sizeof(T)) {
        __m256i values = _mm256_and_si256(lanes_avx2<T>(ones >> lane), on);
        if (unknowns != 0) {
            values =
                _mm256_or_si256(values, _mm256_and_si256(lanes_avx2<T>(unknowns >> lane), unknown));
        }
        auto* const target = reinterpret_cast<__m256i*>(out + lane);
        if (stream) {
            _mm256_stream_si256(target, values);
        } else {
            _mm256_store_si256(target, values);
        }
    }
}

template <class T, class Bits>
SEQTILE_TARGET_AVX2 void expand_avx2(CellBits<T, Bits>& cells, std::size_t count, T* out,
                                     bool stream) noexcept {
    constexpr std::size_t lanes = 64 / sizeof(T);
    __m256i const on = fill_avx2(cells.on);
    __m256i const unknown = fill_avx2(cells.unknown);
    std::size_t const head = std::min(count, cells_to_line(out));
    expand_scalar<equal_scalar>(cells, head, out);
    std::size_t i = head;
    for (; i + 64 <= count; i += 64) {
        if (stream) ask_for(cells.ahead, cells.ahead_step);
        std::uint64_t const ones = cells.ones.template take<equal_avx2>(64);
        std::uint64_t const unknowns =
            cells.has_unknowns ? cells.unknowns.template take<equal_avx2>(64) : 0;
        for (std::size_t lane = 0; lane < 64; lane += lanes) {
            expand_line_avx2(ones >> lane, unknowns >> lane, on, unknown, out + i + lane, stream);
        }
    }
    for (; i + lanes <= count; i += lanes) {
        std::uint64_t const ones = cells.ones.template take<equal_avx2>(lanes);
        std::uint64_t const unknowns =
            cells.has_unknowns ? cells.unknowns.template take<equal_avx2>(lanes) : 0;
        expand_line_avx2(ones, unknowns, on, unknown, out + i, stream);
    }
    expand_scalar<equal_scalar>(cells, count - i, out + i);
}

#elif defined(SEQTILE_NEON)

/// The low bits of `bits` as lanes of ones in lanes of T's size, and `value` in those.
template <class T>
uint8x16_t cells_neon(std::uint64_t bits, T value) noexcept {
    if constexpr (sizeof(T) == 4) {
        uint32x4_t const weights = {1, 2, 4, 8};
        uint32x4_t const set = vtstq_u32(vdupq_n_u32(static_cast<std::uint32_t>(bits)), weights);
        uint32x4_t const values = vdupq_n_u32(std::bit_cast<std::uint32_t>(value));
        return vreinterpretq_u8_u32(vandq_u32(set, values));
    } else if constexpr (sizeof(T) == 2) {
        uint16x8_t const weights = {1, 2, 4, 8, 16, 32, 64, 128};
        uint16x8_t const set = vtstq_u16(vdupq_n_u16(static_cast<std::uint16_t>(bits)), weights);
        return vreinterpretq_u8_u16(vandq_u16(set, vdupq_n_u16(value)));
    } else {
        uint8x16_t const weights = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
        uint8x16_t const spread = vcombine_u8(vdup_n_u8(static_cast<std::uint8_t>(bits)),
                                              vdup_n_u8(static_cast<std::uint8_t>(bits >> 8)));
        return vandq_u8(vtstq_u8(spread, weights), vdupq_n_u8(value));
    }
}

template <class T, class Bits>
void expand_neon(CellBits<T, Bits>& cells, std::size_t count, T* out) noexcept {
    constexpr std::size_t lanes = 16 / sizeof(T);
    std::size_t i = 0;
    for (; i + 64 <= count; i += 64) {
        std::uint64_t const ones = cells.ones.template take<equal_neon>(64);
        std::uint64_t const unknowns =
            cells.has_unknowns ? cells.unknowns.template take<equal_neon>(64) : 0;
        for (std::size_t lane = 0; lane < 64; lane += lanes) {
            uint8x16_t values = cells_neon(ones >> lane, cells.on);
            if (unknowns != 0) {
                values = vorrq_u8(values, cells_neon(unknowns >> lane, cells.unknown));
            }
            vst1q_u8(reinterpret_cast<std::uint8_t*>(out + i + lane), values);
        }
    }
    expand_scalar<equal_neon>(cells, count - i, out + i);
}

#endif

}  // namespace detail

/// Writes `count` cells to `out`, which is aligned for T. With `stream` whole cache lines go past
/// the caches; finish_stream() must then come before another thread may read them.
template <class T, class Bits>
void expand(CellBits<T, Bits> cells, std::size_t count, T* out, [[maybe_unused]] bool stream,
            [[maybe_unused]] Isa isa = active_isa()) noexcept {
    static_assert(sizeof(T) == 1 || sizeof(T) == 2 || sizeof(T) == 4);
#if defined(SEQTILE_X86)
    if (isa == Isa::avx512) return detail::expand_avx512(cells, count, out, stream);
    if constexpr (!std::is_same_v<Bits, ColumnsBits>) {
        if (isa == Isa::avx2) return detail::expand_avx2(cells, count, out, stream);
        detail::expand_scalar<equal_scalar>(cells, count, out);
    }
#else
#if defined(SEQTILE_NEON)
    if (isa == Isa::neon) return detail::expand_neon(cells, count, out);
#endif
    detail::expand_scalar<equal_scalar>(cells, count, out);
#endif
}

/// Orders the streamed cells of this thread before what it writes next.
inline void finish_stream() noexcept {
#if defined(SEQTILE_X86)
    _mm_sfence();
#endif
}

}  // namespace seqtile
