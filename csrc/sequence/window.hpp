// Kernels over the windows of a scan. Window i covers [i * stride, i * stride + window).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <span>

#include "alphabet.hpp"
#include "sequence.hpp"

namespace seqtile {

/// Number of whole windows in `length` bases.
constexpr std::size_t window_count(std::size_t length, std::size_t window,
                                   std::size_t stride) noexcept {
    return length < window ? 0 : (length - window) / stride + 1;
}

/// For each whole window of `sequence`, the number of letters that are not A, C, G, T or U.
/// `out.size() == window_count(...)`. Returns the position of the first byte that is no nucleotide
/// letter, or kNone.
inline std::size_t unknown_counts(Bytes sequence, std::size_t window, std::size_t stride,
                                  std::span<std::uint32_t> out) noexcept {
    ByteTable const& table = kDna.table();
    std::size_t const refused = find_above(sequence, table, kDna.size());
    if (refused != kNone) return refused;
    auto const is_unknown = [&](std::size_t i) {
        return static_cast<std::uint32_t>(table[sequence[i]] == kDna.size());
    };
    std::size_t begin = 0, end = 0;  // `count` is that of [begin, end)
    std::uint32_t count = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
        std::size_t const from = i * stride, to = from + window;
        if (from >= end) {
            begin = end = from;
            count = 0;
        }
        for (; begin < from; ++begin) count -= is_unknown(begin);
        for (; end < to; ++end) count += is_unknown(end);
        out[i] = count;
    }
    return kNone;
}

enum class Reduce : std::uint8_t { mean, max };

/// Per base, the mean or the maximum of the scores of all windows that cover it; NaN scores do not
/// count, and a base no scored window covers is NaN. `scores[j]` belongs to window
/// `first_window + j`; `out[b]` to base `first_base + b`. The caller passes every window of the
/// contig that covers one of these bases.
inline void reduce_windows(std::span<float const> scores, std::size_t first_window,
                           std::size_t window, std::size_t stride, std::size_t first_base,
                           Reduce how, std::span<float> out) {
    std::deque<std::size_t> ahead;  // max: indices of falling scores
    double sum = 0;                 // mean: over [begin, end)
    std::size_t counted = 0, begin = 0, end = 0;
    for (std::size_t b = 0; b < out.size(); ++b) {
        std::size_t const base = first_base + b;
        for (; end < scores.size() && (first_window + end) * stride <= base; ++end) {
            float const score = scores[end];
            if (std::isnan(score)) continue;
            sum += static_cast<double>(score);
            ++counted;
            while (!ahead.empty() && scores[ahead.back()] <= score) ahead.pop_back();
            ahead.push_back(end);
        }
        for (; begin < end && (first_window + begin) * stride + window <= base; ++begin) {
            float const score = scores[begin];
            if (std::isnan(score)) continue;
            sum -= static_cast<double>(score);
            --counted;
            if (!ahead.empty() && ahead.front() == begin) ahead.pop_front();
        }
        if (!std::isfinite(sum)) {  // an infinity does not leave a sum by subtraction
            sum = 0;
            for (float const score : scores.subspan(begin, end - begin)) {
                if (!std::isnan(score)) sum += static_cast<double>(score);
            }
        }
        if (counted == 0) {
            sum = 0;
            out[b] = std::numeric_limits<float>::quiet_NaN();
        } else {
            out[b] = how == Reduce::mean ? static_cast<float>(sum / static_cast<double>(counted))
                                         : scores[ahead.front()];
        }
    }
}

}  // namespace seqtile
