// One-hot encoding of a batch of sequences into the caller's buffer, and back to letters.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "alphabet.hpp"
#include "sequence.hpp"

namespace seqtile {

/// Axes of a one-hot array after the batch axis: channel then position, or position then channel.
enum class Layout : std::uint8_t { ncl, nlc };

/// The three values a one-hot cell can take, in the output's own type (for float16: its bits).
template <class T>
struct OneHotValues {
    T off;
    T on;
    T unknown;  ///< in every channel of an unknown letter
};

/// One sequence -> `out`, n x length cells in `layout`. Positions past the sequence's end are
/// `off`. `sequence.size() <= length`; every byte has a code (see find_above).
template <class T>
void one_hot(Bytes sequence, Alphabet const& alphabet, Layout layout, OneHotValues<T> values,
             std::size_t length, T* out) noexcept {
    ByteTable const& table = alphabet.table();
    std::size_t const n = alphabet.size();
    if (layout == Layout::nlc) {
        for (std::size_t i = 0; i < sequence.size(); ++i, out += n) {
            std::uint8_t const code = table[sequence[i]];
            std::fill_n(out, n, code == n ? values.unknown : values.off);
            if (code < n) out[code] = values.on;
        }
        std::fill_n(out, (length - sequence.size()) * n, values.off);
        return;
    }
    // Codes of a block stay in the first-level cache while each channel's row is compared to them.
    constexpr std::size_t block = 4096;
    std::array<std::uint8_t, block> codes;
    for (std::size_t begin = 0; begin < sequence.size(); begin += block) {
        std::size_t const size = std::min(block, sequence.size() - begin);
        for (std::size_t i = 0; i < size; ++i) codes[i] = table[sequence[begin + i]];
        for (std::size_t channel = 0; channel < n; ++channel) {
            T* const row = out + channel * length + begin;
            for (std::size_t i = 0; i < size; ++i) {
                row[i] =
                    codes[i] == channel ? values.on : (codes[i] == n ? values.unknown : values.off);
            }
        }
    }
    for (std::size_t channel = 0; channel < n; ++channel) {
        std::fill_n(out + channel * length + sequence.size(), length - sequence.size(), values.off);
    }
}

/// The letter of the largest channel at each of `length` positions of one (n, length) or
/// (length, n) array; `unknown` where all channels are equal (all zero, or uniform).
template <class T>
void decode(T const* scores, std::span<char const> letters, Layout layout, std::size_t length,
            char unknown, MutableBytes out) noexcept {
    std::size_t const n = letters.size();
    std::size_t const channel_step = layout == Layout::ncl ? length : 1;
    std::size_t const position_step = layout == Layout::ncl ? 1 : n;
    for (std::size_t i = 0; i < length; ++i) {
        T const* const column = scores + i * position_step;
        std::size_t best = 0;
        bool equal = true;
        for (std::size_t channel = 1; channel < n; ++channel) {
            T const score = column[channel * channel_step];
            equal = equal && score == column[0];
            if (score > column[best * channel_step]) best = channel;
        }
        out[i] = static_cast<std::uint8_t>(equal && n > 1 ? unknown : letters[best]);
    }
}

}  // namespace seqtile
