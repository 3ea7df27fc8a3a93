// How large, small and much in all the levels of objects are, from runs of their pixels.
#pragma once

#include <cmath>
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
            if (value < smallest || value != value) smallest = value;  // NaN stays
            if (value > largest || value != value) largest = value;
        }
        double& low = totals.smallest[run.object];
        double& high = totals.largest[run.object];
        totals.sum[run.object] += static_cast<double>(sum);
        auto const least = static_cast<double>(smallest);
        auto const most = static_cast<double>(largest);
        if (least < low || std::isnan(least)) low = least;
        if (most > high || std::isnan(most)) high = most;
    }
}

}  // namespace seqtile
