// Kernels over the letters of sequences: checks, codes and reverse complement.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "../core/bytes.hpp"
#include "../core/cpu.hpp"
#include "../core/lookup.hpp"
#include "../core/parallel.hpp"
#include "alphabet.hpp"

namespace seqtile {

/// A letter of a batch: the position in the sequence of that index; kNone and kNone for none.
struct Place {
    std::size_t index = kNone;
    std::size_t position = kNone;

    friend auto operator<=>(Place const&, Place const&) = default;
};

/// A batch: sequences anywhere, or the rows of a grid.
class Sequences {
  public:
    Sequences(std::span<Bytes const> sequences) noexcept
        : each_(sequences.data()), size_(sequences.size()) {}
    Sequences(std::vector<Bytes> const& sequences) noexcept
        : Sequences(std::span<Bytes const>(sequences)) {}

    /// `rows` sequences of `length` letters one after another.
    Sequences(std::uint8_t const* data, std::size_t rows, std::size_t length) noexcept
        : grid_(data), size_(rows), length_(length) {}

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] Bytes operator[](std::size_t i) const noexcept {
        return each_ != nullptr ? each_[i] : Bytes{grid_ + i * length_, length_};
    }

  private:
    Bytes const* each_ = nullptr;
    std::uint8_t const* grid_ = nullptr;
    std::size_t size_;
    std::size_t length_ = 0;
};

/// The largest code that an alphabet accepts.
constexpr std::uint8_t highest_code(Alphabet const& alphabet, Unknown unknown) noexcept {
    return static_cast<std::uint8_t>(alphabet.size() - (unknown == Unknown::raise ? 1 : 0));
}

/// Position of the first byte with a code above `highest`, or kNone. Passing the alphabet's size
/// accepts unknown letters, one less refuses them. `is_ascii_table(table)`.
inline std::size_t find_above(Bytes sequence, ByteTable const& table, std::uint8_t highest,
                              Isa isa = active_isa()) noexcept {
    constexpr std::size_t block = 8192;
    for (std::size_t begin = 0; begin < sequence.size(); begin += block) {
        std::size_t const end = std::min(sequence.size(), begin + block);
        if (highest_entry(sequence.subspan(begin, end - begin), table, isa) <= highest) continue;
        for (std::size_t i = begin; i < end; ++i) {
            if (table[sequence[i]] > highest) return i;
        }
    }
    return kNone;
}

/// The first such byte of a batch, in the batch's order.
inline Place find_above(Sequences batch, ByteTable const& table, std::uint8_t highest,
                        Isa isa = active_isa()) noexcept {
    for (std::size_t i = 0; i < batch.size(); ++i) {
        std::size_t const position = find_above(batch[i], table, highest, isa);
        if (position != kNone) return {i, position};
    }
    return {};
}

/// Writes the code of each letter of `sequence` to `out`, which has the same length and may be the
/// same memory. Returns whether all letters were accepted; if not, `out` is only partly meaningful.
inline bool encode(Bytes sequence, Alphabet const& alphabet, Unknown unknown, MutableBytes out,
                   Isa isa = active_isa()) noexcept {
    return lookup(sequence, alphabet.table(), out.data(), isa) <= highest_code(alphabet, unknown);
}

/// The codes of all sequences of a batch one after another, by several threads, who also share a
/// long sequence. `out` has as many bytes as all of them.
inline bool encode(Sequences batch, Alphabet const& alphabet, Unknown unknown, MutableBytes out,
                   std::size_t threads, Isa isa = active_isa()) {
    std::vector<std::size_t> ends;
    ends.reserve(batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) {
        ends.push_back((ends.empty() ? 0 : ends.back()) + batch[i].size());
    }
    constexpr std::size_t grain = 1 << 16;  // letters that are worth a thread
    std::atomic<bool> valid = true;
    parallel_for((out.size() + grain - 1) / grain, threads, [&](std::size_t from, std::size_t to) {
        std::size_t begin = from * grain;
        std::size_t const end = std::min(to * grain, out.size());
        auto const first = std::ranges::upper_bound(ends, begin) - ends.begin();
        for (auto i = static_cast<std::size_t>(first); begin < end; ++i) {
            std::size_t const start = ends[i] - batch[i].size();
            std::size_t const size = std::min(end, ends[i]) - begin;
            if (!encode(batch[i].subspan(begin - start, size), alphabet, unknown,
                        out.subspan(begin, size), isa)) {
                valid = false;
            }
            begin += size;
        }
    });
    return valid;
}

namespace detail {

#if defined(SEQTILE_X86)

SEQTILE_TARGET_AVX512 inline std::size_t reverse_avx512(Bytes in, std::uint8_t* out) noexcept {
    alignas(64) std::array<std::uint8_t, 64> lanes;
    for (std::size_t i = 0; i < 64; ++i) lanes[i] = static_cast<std::uint8_t>(63 - i);
    __m512i const backwards = _mm512_load_si512(lanes.data());
    std::size_t i = 0;
    for (; i + 64 <= in.size(); i += 64) {
        __m512i const bytes = _mm512_loadu_si512(in.data() + in.size() - 64 - i);
        _mm512_storeu_si512(out + i, permute_bytes(backwards, bytes));
    }
    return i;
}

SEQTILE_TARGET_AVX2 inline std::size_t reverse_avx2(Bytes in, std::uint8_t* out) noexcept {
    __m256i const backwards = _mm256_broadcastsi128_si256(
        _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    std::size_t i = 0;
    for (; i + 32 <= in.size(); i += 32) {
        __m256i const bytes =
            _mm256_loadu_si256(reinterpret_cast<__m256i const*>(in.data() + in.size() - 32 - i));
        __m256i const halves = _mm256_shuffle_epi8(bytes, backwards);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i),
                            _mm256_permute2x128_si256(halves, halves, 1));
    }
    return i;
}

#elif defined(SEQTILE_NEON)

inline std::size_t reverse_neon(Bytes in, std::uint8_t* out) noexcept {
    std::size_t i = 0;
    for (; i + 16 <= in.size(); i += 16) {
        uint8x16_t const halves = vrev64q_u8(vld1q_u8(in.data() + in.size() - 16 - i));
        vst1q_u8(out + i, vextq_u8(halves, halves, 8));
    }
    return i;
}

#endif

/// The bytes of `in` from the last to the first.
inline void reverse(Bytes in, std::uint8_t* out, [[maybe_unused]] Isa isa) noexcept {
    std::size_t done = 0;
#if defined(SEQTILE_X86)
    if (isa == Isa::avx512) done = reverse_avx512(in, out);
    if (isa == Isa::avx2) done = reverse_avx2(in, out);
#elif defined(SEQTILE_NEON)
    if (isa == Isa::neon) done = reverse_neon(in, out);
#endif
    auto const rest = in.first(in.size() - done);
    std::reverse_copy(rest.begin(), rest.end(), out + done);
}

}  // namespace detail

/// Writes the reverse complement of `sequence` to `out`, which has the same length and does not
/// overlap it; case and IUPAC letters are kept. Returns whether all bytes are nucleotide letters;
/// if not, `out` is only partly meaningful. See complement_table.
inline bool reverse_complement(Bytes sequence, ByteTable const& complement, MutableBytes out,
                               Isa isa = active_isa()) noexcept {
    std::array<std::uint8_t, 4096> letters;  // a block stays in the first-level cache
    std::uint8_t highest = 0;
    std::size_t written = 0;
    while (written < sequence.size()) {
        std::size_t const size = std::min(letters.size(), sequence.size() - written);
        Bytes const block = sequence.subspan(sequence.size() - written - size, size);
        highest = std::max(highest, lookup(block, complement, letters.data(), isa));
        detail::reverse(Bytes(letters).first(size), out.data() + written, isa);
        written += size;
    }
    return highest != kInvalid;
}

}  // namespace seqtile
