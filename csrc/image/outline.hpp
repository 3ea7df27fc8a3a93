// Outlines of objects along the edges of their pixels, from their runs.
//
// Coordinates are corners of pixels, 0-based: the pixel in row y, column x is the square from
// (x, y) to (x + 1, y + 1), so that an outline's area is the object's number of pixels.
//
// Between two rows the ends of their runs, sorted, are where the outline turns: an end that only
// the upper row has closes a vertical edge, one of the lower row opens one, and corners on one line
// are joined in pairs by horizontal edges. Where two pixels of the object touch in a corner alone,
// two outlines touch there, each simple: since the object hangs together through edges, the pixels
// beside that corner are cut off from each other, and one is a hole's.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace seqtile {

/// Pixels [begin, end) of a row.
struct Run {
    std::int32_t row;
    std::int32_t begin;
    std::int32_t end;
};

struct Point {
    std::int32_t x;
    std::int32_t y;

    constexpr bool operator==(Point const&) const noexcept = default;
};

/// Collects the rings of objects. A ring is closed (its first point is its last too) and has only
/// the points where it turns.
class Outlines {
  public:
    /// Adds an object of at least one run: in raster order, without two that touch in a row, and
    /// connected by 4 neighbours. Its exterior ring comes first, then its holes'; the exterior's
    /// signed area in (x, y) is positive, a hole's negative.
    void add(std::span<Run const> runs) {
        corners_.clear();
        partner_.clear();
        above_.clear();
        std::int32_t row = runs.front().row;
        for (std::size_t first = 0; first < runs.size();) {
            if (row < runs[first].row) close_line(row);  // no run in this row
            row = runs[first].row;
            below_.clear();
            for (; first < runs.size() && runs[first].row == row; ++first) {
                below_.push_back({runs[first].begin, 0});
                below_.push_back({runs[first].end, 0});
            }
            line(row++);
            std::swap(above_, below_);
        }
        close_line(row);
        trace();
        objects_.push_back(rings_.size() - 1);
    }

    [[nodiscard]] std::vector<Point> const& points() const noexcept { return points_; }
    /// Ring i is the points [rings[i], rings[i + 1]).
    [[nodiscard]] std::vector<std::size_t> const& rings() const noexcept { return rings_; }
    /// Object i has the rings [objects[i], objects[i + 1]).
    [[nodiscard]] std::vector<std::size_t> const& objects() const noexcept { return objects_; }

  private:
    /// An end of a run, and the corner where the vertical edge through it began.
    struct Side {
        std::int32_t x;
        std::size_t opener;
    };

    std::size_t corner(std::int32_t x, std::int32_t y) {
        corners_.push_back({x, y});
        partner_.push_back(0);
        return corners_.size() - 1;
    }

    void close(std::size_t id, Side const& side) noexcept {
        partner_[id] = side.opener;
        partner_[side.opener] = id;
    }

    void close_line(std::int32_t y) {
        below_.clear();
        line(y);
        above_.clear();
    }

    /// The corners between the rows y - 1 (`above_`) and y (`below_`). A side of even index is a
    /// run's left end.
    void line(std::int32_t y) {
        std::size_t i = 0;
        std::size_t j = 0;
        while (i < above_.size() || j < below_.size()) {
            if (j == below_.size() || (i < above_.size() && above_[i].x < below_[j].x)) {
                close(corner(above_[i].x, y), above_[i]);
                ++i;
            } else if (i == above_.size() || below_[j].x < above_[i].x) {
                below_[j].opener = corner(below_[j].x, y);
                ++j;
            } else {
                meet(i++, j++, y);
            }
        }
    }

    /// Sides of the same place: one edge that goes on, or two that meet where pixels touch in a
    /// corner. Of its two corners the first ends the horizontal edge on the left.
    void meet(std::size_t i, std::size_t j, std::int32_t y) {
        if (i % 2 == j % 2) {
            below_[j].opener = above_[i].opener;
            return;
        }
        std::size_t const left = corner(above_[i].x, y);
        std::size_t const right = corner(above_[i].x, y);
        bool const upper_left = i % 2 == 1;  // is of the object, as the lower right
        close(upper_left ? right : left, above_[i]);
        below_[j].opener = upper_left ? left : right;
    }

    /// Follows the rings: horizontal edges join corners 2k and 2k + 1, vertical ones partners.
    void trace() {
        done_.assign(corners_.size(), false);
        for (std::size_t first = 0; first < corners_.size(); first += 2) {
            if (done_[first]) continue;
            std::size_t at = first;
            bool across = first == 0;  // a hole is followed the other way round
            do {
                points_.push_back(corners_[at]);
                done_[at] = true;
                at = across ? at ^ 1U : partner_[at];
                across = !across;
            } while (at != first);
            points_.push_back(corners_[first]);
            rings_.push_back(points_.size());
        }
    }

    std::vector<Point> points_;
    std::vector<std::size_t> rings_{0};
    std::vector<std::size_t> objects_{0};

    // Of the object at work.
    std::vector<Point> corners_;
    std::vector<std::size_t> partner_;  ///< the other end of a corner's vertical edge
    std::vector<Side> above_;
    std::vector<Side> below_;
    std::vector<bool> done_;
};

/// What the pixels of the image are in pixels of another one.
struct Scale {
    double x = 1;
    double y = 1;
};

/// Appends a number as decimal digits; of one that is scaled two behind the point.
inline void append_number(std::string& out, std::int32_t value, double scale) {
    std::array<char, 32> digits;
    char* const begin = digits.data();
    char* const limit = begin + digits.size();
    auto const end =
        scale == 1 ? std::to_chars(begin, limit, value).ptr
                   : std::to_chars(begin, limit, value * scale, std::chars_format::fixed, 2).ptr;
    out.append(begin, end);
}

/// Appends the coordinates of object `index` as those of a GeoJSON Polygon.
inline void append_coordinates(std::string& out, Outlines const& outlines, std::size_t index,
                               Scale scale = {}) {
    std::size_t const last = outlines.objects()[index + 1];
    char opening = '[';
    for (std::size_t ring = outlines.objects()[index]; ring < last; ++ring) {
        char before = '[';
        out.push_back(opening);
        opening = ',';
        for (std::size_t i = outlines.rings()[ring]; i < outlines.rings()[ring + 1]; ++i) {
            Point const point = outlines.points()[i];
            out.push_back(before);
            before = ',';
            out.push_back('[');
            append_number(out, point.x, scale.x);
            out.push_back(',');
            append_number(out, point.y, scale.y);
            out.push_back(']');
        }
        out.push_back(']');
    }
    out.push_back(']');
}

}  // namespace seqtile
