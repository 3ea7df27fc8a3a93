#include <cmath>
#include <initializer_list>
#include <limits>

#include "../check.hpp"
#include "image/components.hpp"
#include "image/grow.hpp"
#include "image/outline.hpp"
#include "image/run_levels.hpp"

namespace seqtile {
namespace {

using Labels = std::vector<Label>;
constexpr Label U = kUnclaimed;

/// Labels of rows of digits: a pixel's mask probability in tenths.
Labels labels_of(std::initializer_list<char const*> rows, Components& components) {
    Labels out;
    for (char const* row : rows) {
        std::vector<float> mask;
        for (; *row != '\0'; ++row) mask.push_back(static_cast<float>(*row - '0') / 10);
        Labels labels(mask.size());
        components.add(mask.data(), nullptr, 1, labels.data());
        out.insert(out.end(), labels.begin(), labels.end());
    }
    return out;
}

void unit_components() {
    Components components(7, 0.5F, 0);
    Labels const labels = labels_of({"9095009",   //
                                     "9090060",   // 0.5 does not exceed the threshold
                                     "9990600"},  // a corner does not join
                                    components);
    // The third row begins below 1 and ends below 2: its runs take the smaller.
    CHECK((labels == Labels{1, 0, 2, 0, 0, 0, 3, 1, 0, 2, 0, 0, 4, 0, 1, 1, 1, 0, 5, 0, 0}));
    CHECK((components.numbers() == Labels{0, 1, 1, 2, 3, 4}));
    // The last row joins 4 of the second with 5 of the third, not with 3 of the first.
    CHECK((labels_of({"0000990"}, components) == Labels{0, 0, 0, 0, 5, 5, 0}));
    CHECK((components.numbers() == Labels{0, 1, 1, 2, 3, 4}));
}

void unit_marker() {
    Components components(5, 0.5F, 0.25F);
    std::vector<float> const mask{1, 1, 0, 1, 1};
    std::vector<float> const marker{1, 0.25F, 1, 0.5F, 1};
    Labels labels(5);
    components.add(mask.data(), marker.data(), 1, labels.data());
    CHECK((labels == Labels{1, U, 0, 2, 2}));
}

void unit_grow() {
    // Both reach the middle in the second step: the smaller label has it.
    Labels labels{7, U, U, U, 3, 0, U};
    grow(labels.data(), 1, 7, 1);
    CHECK((labels == Labels{7, 7, U, 3, 3, 0, U}));
    grow(labels.data(), 1, 7, 1);
    CHECK((labels == Labels{7, 7, 3, 3, 3, 0, U}));
    labels = {7, U, U, U, 3, 0, U};
    grow(labels.data(), 1, 7, 100);
    CHECK((labels == Labels{7, 7, 3, 3, 3, 0, U}));
    labels = {2, U, U, 1};
    grow(labels.data(), 2, 2, 0);
    CHECK((labels == Labels{2, U, U, 1}));
    grow(labels.data(), 2, 2, 1);
    CHECK((labels == Labels{2, 1, 1, 1}));
    labels = {1, 0, U, 0, 1, 0};  // round the end of a row there is no neighbour
    grow(labels.data(), 2, 3, 5);
    CHECK((labels == Labels{1, 0, U, 0, 1, 0}));
}

/// The slow way: every step looks at every pixel.
Labels grown(Labels labels, std::size_t rows, std::size_t width, std::size_t reach) {
    for (std::size_t step = 0; step < reach; ++step) {
        Labels const before = labels;
        auto const look = [&](Label& label, std::size_t from) {
            if (before[from] != 0 && before[from] != U) label = std::min(label, before[from]);
        };
        for (std::size_t i = 0; i < labels.size(); ++i) {
            if (before[i] != U) continue;
            if (i >= width) look(labels[i], i - width);
            if (i + width < rows * width) look(labels[i], i + width);
            if (i % width > 0) look(labels[i], i - 1);
            if (i % width + 1 < width) look(labels[i], i + 1);
        }
    }
    return labels;
}

void agreement_grow() {
    std::mt19937 random(5);
    for (std::size_t trial = 0; trial < 300; ++trial) {
        std::size_t const rows = 1 + random() % 12;
        std::size_t const width = 1 + random() % 12;
        Labels labels(rows * width);
        for (Label& label : labels) {
            auto const kind = random() % 8;
            label = kind == 0 ? 1 + static_cast<Label>(random() % 5) : kind < 6 ? U : 0;
        }
        std::size_t const reach = random() % 6;
        Labels const expected = grown(labels, rows, width, reach);
        grow(labels.data(), rows, width, reach);
        CHECK(labels == expected);
    }
}

/// Twice the signed area of a closed ring.
std::int64_t doubled_area(std::span<Point const> ring) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i + 1 < ring.size(); ++i) {
        sum += std::int64_t{ring[i].x} * ring[i + 1].y - std::int64_t{ring[i + 1].x} * ring[i].y;
    }
    return sum;
}

std::vector<std::vector<Point>> rings_of(std::vector<Run> const& runs) {
    Outlines outlines;
    outlines.add(runs);
    std::vector<std::vector<Point>> out;
    CHECK_EQUAL(outlines.objects().size(), 2U);
    for (std::size_t i = 0; i + 1 < outlines.rings().size(); ++i) {
        auto const* const points = outlines.points().data();
        out.emplace_back(points + outlines.rings()[i], points + outlines.rings()[i + 1]);
    }
    return out;
}

void unit_outline() {
    using Rings = std::vector<std::vector<Point>>;
    CHECK((rings_of({{5, 3, 4}}) == Rings{{{3, 5}, {4, 5}, {4, 6}, {3, 6}, {3, 5}}}));
    // An L: its inner corner, no point in the middle of an edge.
    CHECK((rings_of({{0, 0, 1}, {1, 0, 1}, {2, 0, 3}}) ==
           Rings{{{0, 0}, {1, 0}, {1, 2}, {3, 2}, {3, 3}, {0, 3}, {0, 0}}}));
    // 3 x 3 without its middle and a corner: the hole touches the outside there.
    CHECK((rings_of({{0, 0, 3}, {1, 0, 1}, {1, 2, 3}, {2, 0, 2}}) ==
           Rings{{{0, 0}, {3, 0}, {3, 2}, {2, 2}, {2, 3}, {0, 3}, {0, 0}},
                 {{1, 1}, {1, 2}, {2, 2}, {2, 1}, {1, 1}}}));
    CHECK((rings_of({{0, 0, 3}, {1, 0, 1}, {1, 2, 3}, {2, 1, 3}}) ==
           Rings{{{0, 0}, {3, 0}, {3, 3}, {1, 3}, {1, 2}, {0, 2}, {0, 0}},
                 {{1, 1}, {1, 2}, {2, 2}, {2, 1}, {1, 1}}}));
}

void unit_coordinates() {
    Outlines outlines;
    outlines.add(std::vector<Run>{{5, 3, 4}});
    outlines.add(std::vector<Run>{{0, 0, 3}, {1, 0, 1}, {1, 2, 3}, {2, 0, 3}});
    std::string text;
    append_coordinates(text, outlines, 0);
    CHECK_EQUAL(text, "[[[3,5],[4,5],[4,6],[3,6],[3,5]]]");
    text.clear();
    append_coordinates(text, outlines, 1);
    CHECK_EQUAL(text, "[[[0,0],[3,0],[3,3],[0,3],[0,0]],[[1,1],[1,2],[2,2],[2,1],[1,1]]]");
    text.clear();
    append_coordinates(text, outlines, 0, {.x = 4, .y = 2.125});
    CHECK_EQUAL(text, "[[[12.00,10.62],[16.00,10.62],[16.00,12.75],[12.00,12.75],[12.00,10.62]]]");
    text.clear();
    append_number(text, std::numeric_limits<std::int32_t>::min(), 1);
    CHECK_EQUAL(text, "-2147483648");
}

void unit_run_levels() {
    std::vector<std::uint8_t> const pixels{9, 1, 200, 2, 100, 3, 7, 4};  // two channels
    std::vector<LevelRun> const runs{{1, 0, 2}, {0, 2, 1}, {1, 3, 1}};
    std::vector<double> sum(2);
    std::vector<double> low(2, 1e9);
    std::vector<double> high(2, -1e9);
    add_run_levels(pixels.data(), 2, runs, {sum.data(), low.data(), high.data()});
    CHECK_EQUAL(sum, (std::vector<double>{100, 216}));
    CHECK_EQUAL(low, (std::vector<double>{100, 7}));
    CHECK_EQUAL(high, (std::vector<double>{100, 200}));

    double const nan = std::numeric_limits<double>::quiet_NaN();
    std::vector<double> const levels{1, nan, 2, 5};
    add_run_levels(levels.data(), 1, std::vector<LevelRun>{{0, 0, 3}, {1, 3, 1}},
                   {sum.data(), low.data(), high.data()});
    CHECK(std::isnan(sum[0]) && std::isnan(low[0]) && std::isnan(high[0]));
    CHECK_EQUAL(sum[1], 221.0);
    CHECK_EQUAL(low[1], 5.0);
}

/// The runs of the objects of random images: areas, and no ring that passes a point twice.
void property_outlines() {
    std::mt19937 random(6);
    for (std::size_t trial = 0; trial < 300; ++trial) {
        std::size_t const rows = 1 + random() % 15;
        std::size_t const width = 1 + random() % 15;
        std::vector<float> mask(rows * width);
        for (float& value : mask) value = random() % 3 != 0 ? 1.0F : 0.0F;
        Components components(width, 0.5F, 0);
        Labels labels(mask.size());
        components.add(mask.data(), nullptr, rows, labels.data());
        Labels const numbers = components.numbers();
        for (Label object = 1; object <= *std::max_element(numbers.begin(), numbers.end());
             ++object) {
            std::vector<Run> runs;
            std::int64_t area = 0;
            for (std::size_t i = 0; i < labels.size(); ++i) {
                if (numbers[labels[i]] != object) continue;
                auto const y = static_cast<std::int32_t>(i / width);
                auto const x = static_cast<std::int32_t>(i % width);
                bool const goes_on = !runs.empty() && runs.back().row == y && runs.back().end == x;
                if (!goes_on) runs.push_back({y, x, x});
                ++runs.back().end;
                ++area;
            }
            std::int64_t sum = 0;
            auto const rings = rings_of(runs);
            for (std::size_t ring = 0; ring < rings.size(); ++ring) {
                auto const& points = rings[ring];
                std::int64_t const doubled = doubled_area(points);
                CHECK((doubled > 0) == (ring == 0));
                CHECK(points.front() == points.back());
                sum += doubled;
                for (std::size_t a = 1; a < points.size(); ++a) {
                    for (std::size_t b = a + 1; b < points.size(); ++b) {
                        CHECK(!(points[a] == points[b]));
                    }
                }
            }
            CHECK_EQUAL(sum, 2 * area);
        }
    }
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_components();
    seqtile::unit_marker();
    seqtile::unit_grow();
    seqtile::agreement_grow();
    seqtile::unit_outline();
    seqtile::unit_coordinates();
    seqtile::unit_run_levels();
    seqtile::property_outlines();
    return seqtile::test::result();
}
