// Connected components of an image that comes row by row.
//
// An image row is one run of foreground after another; a run joins what it touches in the row
// before (4 neighbours). Provisional labels are given in raster order and joined by a union-find
// whose roots are the smallest, so that a component's root is the label of its first pixel.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

namespace seqtile {

/// A label: 0 is the background.
using Label = std::uint32_t;

/// Of the mask, but of no object (yet).
inline constexpr Label kUnclaimed = std::numeric_limits<Label>::max();

/// Labels are smaller: the upper bit is `grow`'s.
inline constexpr Label kMaxLabels = Label{1} << 31;

/// Components of the pixels whose mask and, where there is one, whose marker exceed thresholds.
class Components {
  public:
    Components(std::size_t width, float mask_threshold, float marker_threshold)
        : mask_threshold_(mask_threshold),
          marker_threshold_(marker_threshold),
          kinds_(width),
          before_(width),
          parent_{0} {}

    [[nodiscard]] std::size_t width() const noexcept { return before_.size(); }

    /// Labels the next `rows` rows: 0 outside the mask, `kUnclaimed` in the mask but not in the
    /// marker, else a provisional label. `marker` is null where the mask alone decides; NaN exceeds
    /// nothing.
    /// @throw std::length_error at 2^31 labels.
    void add(float const* mask, float const* marker, std::size_t rows, Label* labels) {
        for (std::size_t y = 0; y < rows; ++y) {
            classify(mask, marker);
            label_row(labels);
            std::copy_n(labels, width(), before_.begin());
            mask += width();
            if (marker != nullptr) marker += width();
            labels += width();
        }
    }

    /// What each provisional label comes to: 0 is 0, the components are numbered from 1 on in
    /// raster order of their first pixels.
    [[nodiscard]] std::vector<Label> numbers() {
        std::vector<Label> out(parent_.size());
        Label count = 0;
        for (Label label = 1; label < parent_.size(); ++label) {
            Label const root = find(label);
            out[label] = root == label ? ++count : out[root];
        }
        return out;
    }

  private:
    enum : std::uint8_t { kOutside, kMask, kCore };

    void classify(float const* mask, float const* marker) noexcept {
        for (std::size_t x = 0; x < width(); ++x) {
            bool const inside = mask[x] > mask_threshold_;
            bool const core = marker == nullptr || marker[x] > marker_threshold_;
            kinds_[x] = static_cast<std::uint8_t>(inside ? (core ? kCore : kMask) : kOutside);
        }
    }

    void label_row(Label* labels) {
        for (std::size_t x = 0; x < width();) {
            if (kinds_[x] != kCore) {
                labels[x] = kinds_[x] == kMask ? kUnclaimed : 0;
                ++x;
                continue;
            }
            std::size_t const begin = x;
            Label label = 0;
            Label last = 0;  // most of a run has the same label above it
            for (; x < width() && kinds_[x] == kCore; ++x) {
                Label const above = before_[x];
                if (above == 0 || above == kUnclaimed || above == last) continue;
                last = above;
                label = label == 0 ? find(above) : unite(label, above);
            }
            if (label == 0) label = fresh();
            std::fill(labels + begin, labels + x, label);
        }
    }

    Label fresh() {
        if (parent_.size() >= kMaxLabels) throw std::length_error("more than 2^31 - 1 components");
        auto const label = static_cast<Label>(parent_.size());
        parent_.push_back(label);
        return label;
    }

    Label find(Label label) noexcept {
        while (parent_[label] != label) {
            parent_[label] = parent_[parent_[label]];
            label = parent_[label];
        }
        return label;
    }

    /// The root of both, `a` being one.
    Label unite(Label a, Label b) noexcept {
        Label const root = find(b);
        parent_[std::max(a, root)] = std::min(a, root);
        return std::min(a, root);
    }

    float mask_threshold_;
    float marker_threshold_;
    std::vector<std::uint8_t> kinds_;
    std::vector<Label> before_;  ///< labels of the row before
    std::vector<Label> parent_;
};

}  // namespace seqtile
