// Strings of bits from codes, one bit per cell of a one-hot array.
//
// A source gives them in order: take<equal>(count) is the next 64 bits, of which the lowest `count`
// (at most 64) are meant, and steps over those; `equal` is equal_word at the caller's level.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../core/cpu.hpp"

namespace seqtile {

static_assert(std::endian::native == std::endian::little);

/// The lowest `count` bits, at most 64 of them.
constexpr std::uint64_t low_bits(std::size_t count) noexcept {
    return count == 0 ? 0 : ~std::uint64_t{0} >> (64 - count);
}

// Bit i of a word tells whether codes[i] == value; 64 codes are read.

inline std::uint64_t equal_scalar(std::uint8_t const* codes, std::uint8_t value) noexcept {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < 64; ++i) word |= std::uint64_t{codes[i] == value} << i;
    return word;
}

#if defined(SEQTILE_X86)

SEQTILE_TARGET_AVX2 inline std::uint64_t equal_avx2(std::uint8_t const* codes,
                                                    std::uint8_t value) noexcept {
    __m256i const wanted = _mm256_set1_epi8(static_cast<char>(value));
    auto const* const from = reinterpret_cast<__m256i const*>(codes);
    __m256i const low = _mm256_cmpeq_epi8(_mm256_loadu_si256(from), wanted);
    __m256i const high = _mm256_cmpeq_epi8(_mm256_loadu_si256(from + 1), wanted);
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(low)) |
           std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(high))} << 32;
}

SEQTILE_TARGET_AVX512 inline std::uint64_t equal_avx512(std::uint8_t const* codes,
                                                        std::uint8_t value) noexcept {
    return _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(codes),
                                  _mm512_set1_epi8(static_cast<char>(value)));
}

#elif defined(SEQTILE_NEON)

inline std::uint64_t equal_neon(std::uint8_t const* codes, std::uint8_t value) noexcept {
    uint8x16_t const wanted = vdupq_n_u8(value);
    uint8x16_t const weights = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16x4_t set;
    for (std::size_t i = 0; i < 4; ++i) {
        set.val[i] = vandq_u8(vceqq_u8(vld1q_u8(codes + i * 16), wanted), weights);
    }
    uint8x16_t const sums =
        vpaddq_u8(vpaddq_u8(set.val[0], set.val[1]), vpaddq_u8(set.val[2], set.val[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
}

#endif

inline std::uint64_t equal_word(std::uint8_t const* codes, std::uint8_t value,
                                [[maybe_unused]] Isa isa) noexcept {
#if defined(SEQTILE_X86)
    if (isa == Isa::avx512) return equal_avx512(codes, value);
    if (isa == Isa::avx2) return equal_avx2(codes, value);
#elif defined(SEQTILE_NEON)
    if (isa == Isa::neon) return equal_neon(codes, value);
#endif
    return equal_scalar(codes, value);
}

/// equal_scalar, or that of a level.
using EqualWord = std::uint64_t (*)(std::uint8_t const*, std::uint8_t) noexcept;

/// A string in memory: bit i is bit i % 64 of word i / 64. One word more than it needs may be read.
class StringBits {
  public:
    StringBits(std::uint64_t const* words, std::size_t at) noexcept : words_(words), at_(at) {}

    template <EqualWord>
    [[gnu::always_inline]] std::uint64_t take(std::size_t count) noexcept {
        std::uint64_t const* const word = words_ + at_ / 64;
        std::size_t const shift = at_ % 64;
        at_ += count;
        return shift == 0 ? word[0] : word[0] >> shift | word[1] << (64 - shift);
    }

  private:
    std::uint64_t const* words_;
    std::size_t at_;
};

/// Part of one row: whether each code equals `value`. 64 codes after the last may be read.
class RowBits {
  public:
    RowBits(std::uint8_t const* codes, std::uint8_t value) noexcept
        : codes_(codes), value_(value) {}

    template <EqualWord equal>
    [[gnu::always_inline]] std::uint64_t take(std::size_t count) noexcept {
        std::uint64_t const word = equal(codes_, value_);
        codes_ += count;
        return word;
    }

  private:
    std::uint8_t const* codes_;
    std::uint8_t value_;
};

/// Channels before positions, from position `position` of channel `channel` on: all rows of one
/// sequence of `length` codes, then those of the next. 64 codes after the last may be read.
class RowsBits {
  public:
    /// With `unknown` every channel's row is that of the code `channels`, else of its own.
    RowsBits(std::uint8_t const* codes, std::size_t length, std::uint8_t channels, bool unknown,
             std::uint8_t channel, std::size_t position) noexcept
        : codes_(codes),
          length_(length),
          position_(position),
          channels_(channels),
          channel_(channel),
          unknown_(unknown) {}

    template <EqualWord equal>
    [[gnu::always_inline]] std::uint64_t take(std::size_t count) noexcept {
        std::uint64_t word = equal(codes_ + position_, value());
        std::size_t got = length_ - position_;
        if (count < got) {
            position_ += count;
            return word;
        }
        word &= low_bits(got);
        next_row();
        for (; got < count; got += length_, next_row()) {
            std::uint64_t const more = equal(codes_, value());
            word |= (length_ < 64 ? more & low_bits(length_) : more) << got;
            if (count - got < length_) {
                position_ = count - got;
                break;
            }
        }
        return word;
    }

  private:
    [[nodiscard]] std::uint8_t value() const noexcept { return unknown_ ? channels_ : channel_; }

    void next_row() noexcept {
        position_ = 0;
        if (++channel_ < channels_) return;
        channel_ = 0;
        codes_ += length_;
    }

    std::uint8_t const* codes_;
    std::size_t length_;
    std::size_t position_;
    std::uint8_t channels_;
    std::uint8_t channel_;
    bool unknown_;
};

/// For each of the bits of a column from any channel on: which column it is in, and its channel.
struct ColumnTable {
    alignas(64) std::array<std::uint8_t, 320> column;
    alignas(64) std::array<std::uint8_t, 320> channel;

    explicit ColumnTable(std::size_t channels) noexcept {
        for (std::size_t i = 0; i < column.size(); ++i) {
            column[i] = static_cast<std::uint8_t>(i / channels);
            channel[i] = static_cast<std::uint8_t>(i % channels);
        }
    }
};

#if defined(SEQTILE_X86)

/// Positions before channels, from a channel of the first of `codes` on; for avx512 only. 64 codes
/// after the last may be read.
class ColumnsBits {
  public:
    /// With `unknown` all bits of the code `channels` are set, else that of each code below.
    ColumnsBits(std::uint8_t const* codes, ColumnTable const& table, std::uint8_t channels,
                bool unknown, std::size_t channel) noexcept
        : codes_(codes),
          table_(&table),
          at_(channel),
          channels_(channels),
          columns_(64U / channels),
          rest_(64U % channels),
          value_(channels),
          unknown_(unknown) {}

    template <EqualWord>
    [[gnu::always_inline]] SEQTILE_TARGET_AVX512 std::uint64_t take(std::size_t count) noexcept {
        __m512i const spread = permute_bytes(_mm512_loadu_si512(table_->column.data() + at_),
                                             _mm512_loadu_si512(codes_));
        __m512i const wanted = unknown_ ? _mm512_set1_epi8(static_cast<char>(value_))
                                        : _mm512_loadu_si512(table_->channel.data() + at_);
        codes_ += count == 64 ? columns_ : count / channels_;
        at_ += count == 64 ? rest_ : count % channels_;
        if (at_ >= channels_) {
            at_ -= channels_;
            ++codes_;
        }
        return _mm512_cmpeq_epi8_mask(spread, wanted);
    }

  private:
    std::uint8_t const* codes_;
    ColumnTable const* table_;
    std::size_t at_;
    std::size_t channels_;
    std::size_t columns_;  // whole ones in 64 bits
    std::size_t rest_;
    std::uint8_t value_;
    bool unknown_;
};

#endif

/// A string of `width` bits per code, from the low bits of each of `patterns`; 1 <= width <= 8.
/// `patterns` is readable to the next multiple of 64; the string ends with garbage, and `out` is
/// writable for it: (count + 64) * width bits.
inline void pack_bits(std::uint8_t const* patterns, std::size_t count, std::size_t width,
                      std::uint64_t* out) noexcept {
    constexpr std::uint64_t bytes = 0x00FF00FF00FF00FF, pairs = 0x0000FFFF0000FFFF;
    auto* to = reinterpret_cast<std::uint8_t*>(out);
    for (std::size_t i = 0; i < count; i += 8, to += width) {
        std::uint64_t word;
        std::memcpy(&word, patterns + i, 8);
        word = (word & bytes) | ((word >> 8) & bytes) << width;
        word = (word & pairs) | ((word >> 16) & pairs) << (2 * width);
        word = (word & 0xFFFFFFFF) | (word >> 32) << (4 * width);
        std::memcpy(to, &word, 8);
    }
}

#if defined(SEQTILE_X86)

/// The same for a width of 4.
SEQTILE_TARGET_AVX2 inline void pack_four_avx2(std::uint8_t const* patterns, std::size_t count,
                                               std::uint64_t* out) noexcept {
    __m256i const weights = _mm256_set1_epi16(0x1001);  // low + 16 * high
    auto* to = reinterpret_cast<__m256i*>(out);
    for (std::size_t i = 0; i < count; i += 64, ++to) {
        auto const* const from = reinterpret_cast<__m256i const*>(patterns + i);
        __m256i const bytes =
            _mm256_packus_epi16(_mm256_maddubs_epi16(_mm256_loadu_si256(from), weights),
                                _mm256_maddubs_epi16(_mm256_loadu_si256(from + 1), weights));
        _mm256_storeu_si256(to, _mm256_permute4x64_epi64(bytes, 0xD8));
    }
}

#endif

/// The same for any width: codes[i] below `width` sets bit i * width + codes[i].
inline void place_bits(std::uint8_t const* codes, std::size_t count, std::size_t width,
                       std::uint64_t* out) noexcept {
    std::fill_n(out, (count * width + 63) / 64, std::uint64_t{0});
    for (std::size_t i = 0; i < count; ++i) {
        std::size_t const bit = i * width + codes[i];
        if (codes[i] < width) out[bit / 64] |= std::uint64_t{1} << (bit % 64);
    }
}

/// All `width` bits of the codes that equal `value`.
inline void place_runs(std::uint8_t const* codes, std::size_t count, std::size_t width,
                       std::uint8_t value, std::uint64_t* out) noexcept {
    std::fill_n(out, (count * width + 63) / 64, std::uint64_t{0});
    for (std::size_t i = 0; i < count; ++i) {
        if (codes[i] != value) continue;
        for (std::size_t bit = i * width; bit < (i + 1) * width; ++bit) {
            out[bit / 64] |= std::uint64_t{1} << (bit % 64);
        }
    }
}

}  // namespace seqtile
