// Growing labelled objects inside a mask.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "components.hpp"

namespace seqtile {

/// Grows the labels of `rows` x `width` pixels, in place, by `reach` steps to their 4 neighbours
/// that are `kUnclaimed`. All objects step at once; a pixel that several reach in one step gets the
/// smallest of their labels. So each pixel ends with the smallest label among the objects nearest
/// to it along paths in the mask, and rows `reach` away from a border of a window are as the whole
/// image would have them. Labels are below `kMaxLabels`; pixels that nothing reaches stay
/// `kUnclaimed`.
inline void grow(Label* labels, std::size_t rows, std::size_t width, std::size_t reach) {
    struct Pixel {
        std::uint32_t y;
        std::uint32_t x;
    };
    std::vector<Pixel> edge;
    std::vector<Pixel> next;
    // Calls `body(neighbour, its place)` for the neighbours in the window.
    auto const neighbours = [&](Pixel at, Label* label, auto const& body) {
        if (at.y > 0) body(label - width, Pixel{at.y - 1, at.x});
        if (at.x > 0) body(label - 1, Pixel{at.y, at.x - 1});
        if (at.x + 1 < width) body(label + 1, Pixel{at.y, at.x + 1});
        if (at.y + 1 < rows) body(label + width, Pixel{at.y + 1, at.x});
    };
    auto const place = [&](Pixel at) { return labels + at.y * width + at.x; };

    if (reach == 0) return;
    for (std::uint32_t y = 0; y < rows; ++y) {
        for (std::uint32_t x = 0; x < width; ++x) {
            Pixel const at{y, x};
            Label* const label = place(at);
            if (*label == 0 || *label == kUnclaimed) continue;
            bool open = false;
            neighbours(at, label, [&](Label const* to, Pixel) { open |= *to == kUnclaimed; });
            if (open) edge.push_back(at);
        }
    }
    // Pixels claimed in the current step have the upper bit, as kUnclaimed has: they can still be
    // had for a smaller label.
    for (std::size_t step = 0; step < reach && !edge.empty(); ++step) {
        next.clear();
        for (Pixel const at : edge) {
            Label* const label = place(at);
            neighbours(at, label, [&](Label* to, Pixel where) {
                if (*to == kUnclaimed) next.push_back(where);
                if (*to >= kMaxLabels) *to = std::min(*to, *label | kMaxLabels);
            });
        }
        for (Pixel const at : next) *place(at) &= ~kMaxLabels;
        std::swap(edge, next);
    }
}

}  // namespace seqtile
