// One-hot encoding of a batch of sequences into the caller's buffer, and back to letters.
#pragma once

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "../core/cpu.hpp"
#include "../core/parallel.hpp"
#include "alphabet.hpp"
#include "onehot_blocks.hpp"
#include "sequence.hpp"

namespace seqtile {

/// Outputs of more bytes are streamed past the caches. Where the third-level cache has 32 MB,
/// plain stores are faster up to 16 MB (75 against 40 GB/s), as fast at 32 and slower at 64 (31
/// against 41): benches/bench_onehot.py::test_sizes, with this constant at 0 and out of reach.
inline constexpr std::size_t kStreamBytes = std::size_t{24} << 20;

/// A batch -> `out`, for each sequence n x length cells in `layout`; positions past its end are 0.
/// No sequence is longer than `length`; `out` is aligned for T; the alphabet has fewer than 254
/// letters. Returns the first refused byte in the batch's order; `out` is then only partly
/// meaningful. `threads` share the batch, and a long sequence.
template <class T>
Place one_hot(Sequences batch, Alphabet const& alphabet, Layout layout, Unknown unknown,
              OneHotValues<T> values, std::size_t length, T* out, std::size_t threads = 1,
              Isa isa = active_isa()) {
    bool const stream = batch.size() * length * alphabet.size() * sizeof(T) > kStreamBytes;
    std::uint8_t const limit = highest_code(alphabet, unknown);
    OneHotBlocks<T> const blocks(batch, alphabet, layout, values, length, out, stream, isa);
    std::atomic<bool> refused = false;
    parallel_for(blocks.count(), threads, [&](std::size_t begin, std::size_t end) {
        if (!blocks.encode(begin, end, limit)) refused = true;
        if (stream) finish_stream();
    });
    return refused ? find_above(batch, alphabet.table(), limit, isa) : Place{};
}

/// The letter of the largest channel at each of `length` positions of one (n, length) or
/// (length, n) array; `unknown` where all channels are equal (all zero, or uniform), or one is NaN.
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
        bool nan = std::isnan(static_cast<double>(column[0]));
        for (std::size_t channel = 1; channel < n; ++channel) {
            T const score = column[channel * channel_step];
            nan = nan || std::isnan(static_cast<double>(score));
            equal = equal && score == column[0];
            if (score > column[best * channel_step]) best = channel;
        }
        out[i] = static_cast<std::uint8_t>(nan || (equal && n > 1) ? unknown : letters[best]);
    }
}

}  // namespace seqtile
