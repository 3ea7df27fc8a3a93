// The codes of all windows of a run, or of those that lie in a range.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "../core/cpu.hpp"
#include "kmer.hpp"

namespace seqtile {

/// Which codes to take: those with `code >> shift` in [first, first + count).
struct CodeRange {
    unsigned shift;
    std::uint64_t first, count;
};

/// Room for the codes of any run: whole vectors are written.
inline constexpr std::size_t kRunCodes = kPackedLetters + 8;

namespace detail {

/// The reference: forward and reverse code roll on letter by letter.
template <bool kCanonical>
std::size_t take_codes_scalar(PackedRun const& run, unsigned k, CodeRange range,
                              std::uint64_t* out) noexcept {
    std::uint64_t const mask = kmer_mask(k);
    unsigned const top = 2 * k - 2;
    std::uint64_t forward = window_code(run.packed, 0, k);
    std::uint64_t reverse = reverse_complement_code(forward, k);
    std::size_t size = 0;
    for (std::size_t i = 0;;) {
        std::uint64_t const code = kCanonical ? std::min(forward, reverse) : forward;
        out[size] = code;  // no branch: it could not be predicted
        size += (code >> range.shift) - range.first < range.count ? 1 : 0;
        if (++i == run.windows) return size;
        std::size_t const at = i + k - 1;
        std::uint64_t const letter = run.packed[at / 4] >> (6 - 2 * (at % 4)) & 3;
        forward = (forward << 2 | letter) & mask;
        if constexpr (kCanonical) reverse = reverse >> 2 | (3 - letter) << top;
    }
}

#if defined(SEQTILE_X86)

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // of GCC 12's own header (bug 105593)
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

/// Eight windows at a time, four from each of two bytes: the 8 bytes from there on in big-endian
/// order, and the ninth, shifted together. The reverse complement swaps the two letters of each
/// half-byte by table, the half-bytes, and the bytes.
template <bool kCanonical>
SEQTILE_TARGET_AVX512 std::size_t take_codes_avx512(PackedRun const& run, unsigned k,
                                                    CodeRange range, std::uint64_t* out) noexcept {
    alignas(64) std::array<std::uint8_t, 64> head{}, ninth{}, reversed{};
    for (std::size_t lane = 0; lane < 8; ++lane) {
        for (std::size_t byte = 0; byte < 8; ++byte) {
            head[lane * 8 + byte] = static_cast<std::uint8_t>(lane / 4 + 7 - byte);
            reversed[lane * 8 + byte] = static_cast<std::uint8_t>(lane % 2 * 8 + 7 - byte);
        }
        ninth[lane * 8] = static_cast<std::uint8_t>(lane / 4 + 8);
    }
    __m512i const heads = _mm512_load_si512(head.data());
    __m512i const ninths = _mm512_load_si512(ninth.data());
    __m512i const bytes_reversed = _mm512_load_si512(reversed.data());
    __m512i const left = _mm512_set_epi64(6, 4, 2, 0, 6, 4, 2, 0);
    __m512i const right = _mm512_set_epi64(2, 4, 6, 8, 2, 4, 6, 8);
    __m512i const unused = _mm512_set1_epi64(64 - 2 * static_cast<std::int64_t>(k));
    __m512i const half = _mm512_set1_epi8(0x0F);
    // Entry ab, two letters, is their complements in the order ba.
    __m512i const swapped = _mm512_maskz_broadcast_i32x4(
        0xFFFF, _mm_setr_epi8(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0));
    __m512i const shift = _mm512_set1_epi64(range.shift);
    __m512i const first = _mm512_set1_epi64(static_cast<std::int64_t>(range.first));
    __m512i const count = _mm512_set1_epi64(static_cast<std::int64_t>(range.count));
    std::size_t size = 0;
    for (std::size_t i = 0; i < run.windows; i += 8) {
        __m512i const bytes = _mm512_maskz_broadcast_i32x4(
            0xFFFF, _mm_loadu_si128(reinterpret_cast<__m128i const*>(run.packed + i / 4)));
        __m512i const high = _mm512_permutexvar_epi8(heads, bytes);
        __m512i const low = _mm512_maskz_permutexvar_epi8(0x0101010101010101, ninths, bytes);
        __m512i codes = _mm512_srlv_epi64(
            _mm512_or_si512(_mm512_sllv_epi64(high, left), _mm512_srlv_epi64(low, right)), unused);
        if constexpr (kCanonical) {
            __m512i const lows = _mm512_shuffle_epi8(swapped, _mm512_and_si512(codes, half));
            __m512i const highs =
                _mm512_shuffle_epi8(swapped, _mm512_and_si512(_mm512_srli_epi64(codes, 4), half));
            __m512i const joined = _mm512_or_si512(_mm512_slli_epi64(lows, 4), highs);
            __m512i const reverse =
                _mm512_srlv_epi64(_mm512_shuffle_epi8(joined, bytes_reversed), unused);
            codes = _mm512_min_epu64(codes, reverse);
        }
        __m512i const part = _mm512_sub_epi64(_mm512_srlv_epi64(codes, shift), first);
        std::size_t const rest = run.windows - i;
        auto const present = static_cast<__mmask8>(rest < 8 ? (1U << rest) - 1 : 0xFF);
        __mmask8 const taken = _mm512_mask_cmplt_epu64_mask(present, part, count);
        _mm512_storeu_si512(out + size, _mm512_maskz_compress_epi64(taken, codes));
        size += static_cast<std::size_t>(std::popcount(unsigned{taken}));
    }
    return size;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#endif

}  // namespace detail

/// Writes the codes of the windows of a run that lie in `range`, in order, and returns their
/// number. `out` has room for kRunCodes; `run.packed` has 16 readable bytes at each window.
template <bool kCanonical>
std::size_t take_codes(PackedRun const& run, unsigned k, CodeRange range, std::uint64_t* out,
                       [[maybe_unused]] Isa isa = active_isa()) noexcept {
#if defined(SEQTILE_X86)
    if (isa == Isa::avx512) return detail::take_codes_avx512<kCanonical>(run, k, range, out);
#endif
    return detail::take_codes_scalar<kCanonical>(run, k, range, out);
}

}  // namespace seqtile
