// out[i] = table[in[i]] over bytes, with the largest entry seen.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bytes.hpp"
#include "cpu.hpp"

namespace seqtile {
namespace detail {

/// The reference. In every kernel of this file a null `out` only checks.
inline std::uint8_t lookup_scalar(Bytes in, ByteTable const& table, std::uint8_t* out) noexcept {
    std::uint8_t highest = 0;
    for (std::size_t i = 0; i < in.size(); ++i) {
        std::uint8_t const entry = table[in[i]];
        highest = std::max(highest, entry);
        if (out != nullptr) out[i] = entry;
    }
    return highest;
}

#if defined(SEQTILE_X86)

SEQTILE_TARGET_AVX2 inline std::uint8_t highest_lane(__m256i bytes) noexcept {
    __m128i half = _mm_max_epu8(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
    half = _mm_max_epu8(half, _mm_srli_si128(half, 8));
    half = _mm_max_epu8(half, _mm_srli_si128(half, 4));
    half = _mm_max_epu8(half, _mm_srli_si128(half, 2));
    half = _mm_max_epu8(half, _mm_srli_si128(half, 1));
    return static_cast<std::uint8_t>(_mm_extract_epi8(half, 0));
}

SEQTILE_TARGET_AVX512 inline std::uint8_t lookup_avx512(Bytes in, ByteTable const& table,
                                                        std::uint8_t* out) noexcept {
    __m512i const low = _mm512_loadu_si512(table.data());
    __m512i const high = _mm512_loadu_si512(table.data() + 64);
    __m512i const other = _mm512_set1_epi8(static_cast<char>(table[128]));
    __m512i highest = _mm512_setzero_si512();
    std::size_t i = 0;
    for (; i + 64 <= in.size(); i += 64) {
        __m512i const bytes = _mm512_loadu_si512(in.data() + i);
        __m512i const entries = _mm512_mask_mov_epi8(_mm512_permutex2var_epi8(low, bytes, high),
                                                     _mm512_movepi8_mask(bytes), other);
        highest = _mm512_max_epu8(highest, entries);
        if (out != nullptr) _mm512_storeu_si512(out + i, entries);
    }
    if (i < in.size()) {
        __mmask64 const rest = ~std::uint64_t{0} >> (64 - (in.size() - i));
        __m512i const bytes = _mm512_maskz_loadu_epi8(rest, in.data() + i);
        __m512i const entries = _mm512_mask_mov_epi8(_mm512_permutex2var_epi8(low, bytes, high),
                                                     _mm512_movepi8_mask(bytes), other);
        highest = _mm512_mask_max_epu8(highest, rest, highest, entries);
        if (out != nullptr) _mm512_mask_storeu_epi8(out + i, rest, entries);
    }
    alignas(64) std::array<std::uint8_t, 64> lanes;  // GCC 12 warns of its extracting intrinsics
    _mm512_store_si512(lanes.data(), highest);
    auto const* const halves = reinterpret_cast<__m256i const*>(lanes.data());
    return highest_lane(_mm256_max_epu8(_mm256_load_si256(halves), _mm256_load_si256(halves + 1)));
}

/// Adds (XOR) the entries of a row to the bytes that are of it: their high half-byte is `name`.
SEQTILE_TARGET_AVX2 inline __m256i look_at_row(__m256i entries, __m256i bytes,
                                               std::uint8_t const* row,
                                               std::uint8_t const* name) noexcept {
    __m256i const outside = _mm256_set1_epi8(0x70);  // a high half-byte above 0 gets bit 7
    __m256i const found = _mm256_load_si256(reinterpret_cast<__m256i const*>(row));
    __m256i const half = _mm256_load_si256(reinterpret_cast<__m256i const*>(name));
    __m256i const index = _mm256_adds_epu8(_mm256_xor_si256(bytes, half), outside);
    return _mm256_xor_si256(entries, _mm256_shuffle_epi8(found, index));
}

/// Rows of 16 entries, each XOR the entry of the bytes from 128 up: a row of zeros need not be
/// looked at (letters fill four rows), and those bytes come out right without a blend. Two rows
/// that are alike, as those of capitals and small letters often are, are looked at as one.
SEQTILE_TARGET_AVX2 inline std::uint8_t lookup_avx2(Bytes in, ByteTable const& table,
                                                    std::uint8_t* out) noexcept {
    constexpr std::size_t small = 'a' - 'A';  // the bit between them
    __m256i const other = _mm256_set1_epi8(static_cast<char>(table[128]));
    alignas(32) std::array<std::uint8_t, 256> rows;   // each row twice, for the two lanes
    alignas(32) std::array<std::uint8_t, 256> names;  // its high half-byte, 32 times
    std::size_t pairs = 0, singles = rows.size();     // bytes of both up to, and from
    bool const looks_for_pairs = in.size() >= 512;    // which takes as long as some letters
    unsigned paired = 0;                              // a bit for each row
    for (std::size_t row = 0; row < 128; row += 16) {
        __m128i const entries =
            _mm_loadu_si128(reinterpret_cast<__m128i const*>(table.data() + row));
        __m256i const both = _mm256_xor_si256(_mm256_broadcastsi128_si256(entries), other);
        if ((paired >> row / 16 & 1) != 0 || _mm256_testz_si256(both, both) != 0) continue;
        std::size_t at = singles - 32;
        if (looks_for_pairs && (row & small) == 0 &&
            std::memcmp(&table[row], &table[row + small], 16) == 0) {
            paired |= 1U << (row + small) / 16;
            at = pairs;
            pairs += 32;
        } else {
            singles = at;
        }
        _mm256_store_si256(reinterpret_cast<__m256i*>(rows.data() + at), both);
        _mm256_store_si256(reinterpret_cast<__m256i*>(names.data() + at),
                           _mm256_set1_epi8(static_cast<char>(row)));
    }
    __m256i const capital = _mm256_set1_epi8(static_cast<char>(~small));
    __m256i highest = _mm256_setzero_si256();
    std::size_t i = 0;
    for (; i + 32 <= in.size(); i += 32) {
        __m256i const bytes = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(in.data() + i));
        __m256i const capitals = _mm256_and_si256(bytes, capital);
        __m256i entries = other;
        for (std::size_t at = 0; at < pairs; at += 32) {
            entries = look_at_row(entries, capitals, rows.data() + at, names.data() + at);
        }
        for (std::size_t at = singles; at < rows.size(); at += 32) {
            entries = look_at_row(entries, bytes, rows.data() + at, names.data() + at);
        }
        highest = _mm256_max_epu8(highest, entries);
        if (out != nullptr) _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), entries);
    }
    return std::max(highest_lane(highest),
                    lookup_scalar(in.subspan(i), table, out == nullptr ? out : out + i));
}

#elif defined(SEQTILE_NEON)

/// Two tables of 64 entries, each XOR the entry of the bytes from 128 up; an index outside a table
/// gives 0.
inline std::uint8_t lookup_neon(Bytes in, ByteTable const& table, std::uint8_t* out) noexcept {
    uint8x16_t const other = vdupq_n_u8(table[128]);
    uint8x16x4_t low, high;
    for (std::size_t row = 0; row < 4; ++row) {
        low.val[row] = veorq_u8(vld1q_u8(table.data() + row * 16), other);
        high.val[row] = veorq_u8(vld1q_u8(table.data() + 64 + row * 16), other);
    }
    uint8x16_t const half = vdupq_n_u8(64);
    uint8x16_t highest = vdupq_n_u8(0);
    std::size_t i = 0;
    for (; i + 16 <= in.size(); i += 16) {
        uint8x16_t const bytes = vld1q_u8(in.data() + i);
        uint8x16_t const found = vqtbx4q_u8(vqtbl4q_u8(low, bytes), high, vsubq_u8(bytes, half));
        uint8x16_t const entries = veorq_u8(found, other);
        highest = vmaxq_u8(highest, entries);
        if (out != nullptr) vst1q_u8(out + i, entries);
    }
    return std::max(vmaxvq_u8(highest),
                    lookup_scalar(in.subspan(i), table, out == nullptr ? out : out + i));
}

#endif

inline std::uint8_t lookup_any(Bytes in, ByteTable const& table, std::uint8_t* out,
                               [[maybe_unused]] Isa isa) noexcept {
#if defined(SEQTILE_X86)
    if (isa == Isa::avx512) return lookup_avx512(in, table, out);
    if (isa == Isa::avx2) return lookup_avx2(in, table, out);
#elif defined(SEQTILE_NEON)
    if (isa == Isa::neon) return lookup_neon(in, table, out);
#endif
    return lookup_scalar(in, table, out);
}

}  // namespace detail

/// Whether one entry serves all bytes from 128 up.
constexpr bool is_ascii_table(ByteTable const& table) noexcept {
    for (std::size_t byte = 129; byte < table.size(); ++byte) {
        if (table[byte] != table[128]) return false;
    }
    return true;
}

/// out[i] = table[in[i]] for each byte of `in`; returns the largest entry seen, 0 if there is none.
/// `out` holds as many bytes as `in` and may be `in` itself, but not overlap it otherwise.
/// Preconditions: `is_ascii_table(table)`, `supports(isa)`.
inline std::uint8_t lookup(Bytes in, ByteTable const& table, std::uint8_t* out,
                           Isa isa = active_isa()) noexcept {
    if (in.empty()) return 0;
    return detail::lookup_any(in, table, out, isa);
}

/// The largest entry of the bytes of `in`, 0 if there is none. Preconditions as for lookup.
inline std::uint8_t highest_entry(Bytes in, ByteTable const& table,
                                  Isa isa = active_isa()) noexcept {
    return detail::lookup_any(in, table, nullptr, isa);
}

}  // namespace seqtile
