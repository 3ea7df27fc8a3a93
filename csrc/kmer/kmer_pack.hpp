// Letters to 2 bits each, four to a byte, the first letter in the highest bits.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../core/cpu.hpp"
#include "../sequence/alphabet.hpp"

namespace seqtile {

/// Bytes that pack_run may write for `letters` letters: whole blocks of 64 letters, and room for
/// reads of 16 bytes at each letter.
constexpr std::size_t packed_size(std::size_t letters) noexcept {
    return (letters + 63) / 64 * 16 + 32;
}

namespace detail {

/// The reference.
inline std::size_t pack_run_scalar(Bytes letters, std::uint8_t* out) noexcept {
    ByteTable const& table = kDna.table();
    std::uint32_t byte = 0;
    for (std::size_t i = 0; i < letters.size(); ++i) {
        std::uint32_t const code = table[letters[i]];
        if (code > 3) {
            out[i / 4] = static_cast<std::uint8_t>(byte << 2 * (4 - i % 4));
            return i;
        }
        byte = byte << 2 | code;
        if (i % 4 == 3) out[i / 4] = static_cast<std::uint8_t>(byte);
    }
    std::size_t const last = letters.size() % 4;
    if (last != 0) out[letters.size() / 4] = static_cast<std::uint8_t>(byte << 2 * (4 - last));
    return letters.size();
}

#if defined(SEQTILE_X86)

// A letter's low half-byte names the capital it must be, 0xFF where there is none. Bits 2 and 1 of
// A C G T U are 00 01 11 10 10: the code is bit 2, then bit 1 XOR bit 2. Weights 4 and 1, then 16
// and 1, join neighbours to one byte per four letters. (Two instructions stand in their masked form
// for GCC 12 warns of its own header's other one.)

SEQTILE_TARGET_AVX512 inline std::size_t pack_run_avx512(Bytes letters,
                                                         std::uint8_t* out) noexcept {
    __m512i const names = _mm512_maskz_broadcast_i32x4(
        0xFFFF, _mm_setr_epi8(-1, 'A', -1, 'C', 'T', 'U', -1, 'G', -1, -1, -1, -1, -1, -1, -1, -1));
    __m512i const upper = _mm512_set1_epi8(static_cast<char>(0xDF));
    for (std::size_t i = 0; i < letters.size(); i += 64) {
        std::size_t const rest = letters.size() - i;
        __m512i const bytes = rest >= 64 ? _mm512_loadu_si512(letters.data() + i)
                                         : _mm512_maskz_loadu_epi8(~std::uint64_t{0} >> (64 - rest),
                                                                   letters.data() + i);
        __mmask64 const known = _mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(names, bytes),
                                                       _mm512_and_si512(bytes, upper));
        __m512i const low = _mm512_and_si512(_mm512_srli_epi16(bytes, 2), _mm512_set1_epi8(1));
        __m512i const codes = _mm512_ternarylogic_epi64(_mm512_srli_epi16(bytes, 1), low,
                                                        _mm512_set1_epi8(3), 0x28);  // (a ^ b) & c
        __m512i const pairs = _mm512_maddubs_epi16(codes, _mm512_set1_epi16(0x0104));
        __m512i const fours = _mm512_madd_epi16(pairs, _mm512_set1_epi32(0x00010010));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i / 4),
                         _mm512_maskz_cvtepi32_epi8(0xFFFF, fours));
        if (known != ~std::uint64_t{0}) {
            return i + static_cast<std::size_t>(std::countr_one(std::uint64_t{known}));
        }
    }
    return letters.size();
}

SEQTILE_TARGET_AVX2 inline std::size_t pack_run_avx2(Bytes letters, std::uint8_t* out) noexcept {
    __m256i const names = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(-1, 'A', -1, 'C', 'T', 'U', -1, 'G', -1, -1, -1, -1, -1, -1, -1, -1));
    __m256i const upper = _mm256_set1_epi8(static_cast<char>(0xDF));
    __m128i const first =
        _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    std::size_t i = 0;
    for (; i + 32 <= letters.size(); i += 32) {
        __m256i const bytes =
            _mm256_loadu_si256(reinterpret_cast<__m256i const*>(letters.data() + i));
        auto const known = static_cast<std::uint32_t>(_mm256_movemask_epi8(
            _mm256_cmpeq_epi8(_mm256_shuffle_epi8(names, bytes), _mm256_and_si256(bytes, upper))));
        __m256i const low = _mm256_and_si256(_mm256_srli_epi16(bytes, 2), _mm256_set1_epi8(1));
        __m256i const codes = _mm256_and_si256(_mm256_xor_si256(_mm256_srli_epi16(bytes, 1), low),
                                               _mm256_set1_epi8(3));
        __m256i const pairs = _mm256_maddubs_epi16(codes, _mm256_set1_epi16(0x0104));
        __m256i const fours =
            _mm256_shuffle_epi8(_mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00010010)),
                                _mm256_broadcastsi128_si256(first));
        std::array<std::uint32_t, 2> const packed{
            static_cast<std::uint32_t>(_mm256_extract_epi32(fours, 0)),
            static_cast<std::uint32_t>(_mm256_extract_epi32(fours, 4))};
        std::memcpy(out + i / 4, packed.data(), sizeof packed);
        if (known != ~std::uint32_t{0}) {
            return i + static_cast<std::size_t>(std::countr_one(known));
        }
    }
    return i + pack_run_scalar(letters.subspan(i), out + i / 4);
}

#endif

}  // namespace detail

/// Packs the letters up to the first that is not A, C, G, T or U, in either case, and returns their
/// number n. The first n letters of `out`, which holds packed_size(letters.size()) bytes, are
/// meaningful. Precondition: `supports(isa)`.
inline std::size_t pack_run(Bytes letters, std::uint8_t* out,
                            [[maybe_unused]] Isa isa = active_isa()) noexcept {
#if defined(SEQTILE_X86)
    if (isa == Isa::avx512) return detail::pack_run_avx512(letters, out);
    if (isa == Isa::avx2) return detail::pack_run_avx2(letters, out);
#endif
    return detail::pack_run_scalar(letters, out);
}

}  // namespace seqtile
