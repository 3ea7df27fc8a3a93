// How large, small and much in all the levels of objects are, from runs of their pixels.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace seqtile {

/// Pixels of one object that lie side by side.
struct LevelRun {
    std::int64_t object;
    std::int64_t start;
    std::int64_t length;
};

/// Sum, smallest and largest level of each object so far.
struct LevelTotals {
    double* sum;
    double* smallest;
    double* largest;
};

/// Adds the levels of some runs. Pixel p of the image has the level `image[p * step]`. NaN among
/// the levels of an object makes all three NaN.
template <class Level>
void add_run_levels(Level const* image, std::size_t step, std::span<LevelRun const> runs,
                    LevelTotals const& totals) {
    using Sum = std::conditional_t<std::is_integral_v<Level>, std::uint64_t, double>;
    for (LevelRun const& run : runs) {
        Level const* level = image + static_cast<std::size_t>(run.start) * step;
        Sum sum = 0;
        Level smallest = *level;
        Level largest = *level;
        for (std::int64_t i = 0; i < run.length; ++i, level += step) {
            Level const value = *level;
            sum += value;
            if constexpr (std::is_integral_v<Level>) {
                smallest = std::min(smallest, value);
                largest = std::max(largest, value);
            } else {  // whatever is not at least as large is smaller, or NaN
                if (!(value >= smallest)) smallest = value;
                if (!(value <= largest)) largest = value;
            }
        }
        double& low = totals.smallest[run.object];
        double& high = totals.largest[run.object];
        totals.sum[run.object] += static_cast<double>(sum);
        if (!(static_cast<double>(smallest) >= low)) low = static_cast<double>(smallest);
        if (!(static_cast<double>(largest) <= high)) high = static_cast<double>(largest);
    }
}

}  // namespace seqtile
