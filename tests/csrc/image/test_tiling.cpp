#include <cstring>

#include "../check.hpp"
#include "image/stitch.hpp"
#include "image/tiling.hpp"

namespace seqtile {
namespace {

void unit_axis() {
    // 0..4 overlapping 1: starts 0 3 6, the last shifted back to 5.
    constexpr TileAxis axis(9, 4, 1);
    static_assert(axis.count() == 3 && axis.start(1) == 3 && axis.start(2) == 5);
    static_assert(axis.write(0) == Range{0, 3} && axis.write(1) == Range{3, 6} &&
                  axis.write(2) == Range{6, 9});
    static_assert(axis.covering(3) == Range{0, 2} && axis.covering(4) == Range{1, 2});
    static_assert(axis.covering_end(0) == 3 && axis.covering_end(3) == 4 &&
                  axis.covering_end(5) == 7);
    static_assert(axis.writer(2) == 0 && axis.writer(3) == 1 && axis.writer(8) == 2);
    // Rounded up to a multiple of 4: 17 pixels end at 20.
    constexpr TileAxis strided(17, 8, 4, 4);
    static_assert(strided.count() == 4 && strided.start(3) == 12);
    constexpr TileAxis small(1, 8, 4, 4);
    static_assert(small.count() == 1 && small.write(0) == Range{0, 1});
    static_assert(rows_needed(strided, {3, 4}) == Range{12, 17});
    static_assert(rows_needed(TileAxis(5, 4, 0, 4), {1, 2}) == Range{1, 5});
    static_assert(rows_needed(small, {0, 1}) == Range{0, 1});
}

void unit_padded_index() {
    std::size_t const mirrored[] = {0, 1, 2, 1, 0, 1, 2, 1, 0};
    for (std::size_t i = 0; i < 9; ++i) CHECK_EQUAL(padded_index(i, 3, Pad::reflect), mirrored[i]);
    static_assert(padded_index(7, 1, Pad::reflect) == 0);
    static_assert(padded_index(2, 3, Pad::edge) == 2 && padded_index(9, 3, Pad::edge) == 2);
    static_assert(padded_index(2, 3, Pad::constant) == 2 && padded_index(9, 3, Pad::constant) == 3);
}

void property_write_regions_partition_the_axis() {
    for (std::size_t length = 1; length < 40; ++length) {
        for (std::size_t size = 1; size < 12; ++size) {
            for (std::size_t overlap = 0; overlap < size; ++overlap) {
                TileAxis const axis(length, size, overlap);
                std::size_t next = 0;
                for (std::size_t k = 0; k < axis.count(); ++k) {
                    CHECK_EQUAL(axis.write(k).begin, next);
                    next = axis.write(k).end;
                    CHECK(axis.write(k).size() > 0);
                    CHECK(axis.read(k).begin <= axis.write(k).begin && next <= axis.read(k).end);
                }
                CHECK_EQUAL(next, length);
                for (std::size_t i = 0; i < length; ++i) {
                    Range const tiles = axis.covering(i);
                    for (std::size_t k = 0; k < axis.count(); ++k) {
                        bool const reads = axis.read(k).begin <= i && i < axis.read(k).end;
                        CHECK_EQUAL(reads, tiles.begin <= k && k < tiles.end);
                    }
                    CHECK(axis.write(axis.writer(i)).begin <= i);
                    CHECK(i < axis.write(axis.writer(i)).end);
                }
            }
        }
    }
}

void agreement_stream_copy_with_memcpy() {
    std::vector<std::byte> from(400);
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i * 7);
    for (std::size_t offset = 0; offset < 20; ++offset) {
        for (std::size_t size = 0; size < 200; ++size) {
            std::vector<std::byte> out(300), expected(300);
            stream_copy(out.data() + offset, from.data() + size % 5, size);
            stream_fence();
            std::memcpy(expected.data() + offset, from.data() + size % 5, size);
            CHECK(out == expected);
        }
    }
}

struct Image {
    std::size_t height;
    std::size_t width;
    std::size_t channels;
    std::vector<float> pixels;

    Image(std::mt19937& random, std::size_t rows, std::size_t columns, std::size_t depth)
        : height(rows), width(columns), channels(depth), pixels(rows * columns * depth) {
        std::uniform_real_distribution<float> draw(-1, 1);
        for (float& pixel : pixels) pixel = draw(random);
    }

    [[nodiscard]] ImageRows rows() const {
        return {reinterpret_cast<std::byte const*>(pixels.data()),
                static_cast<std::ptrdiff_t>(width * channels * sizeof(float)), 0,
                channels * sizeof(float)};
    }
};

std::vector<float> cut(Image const& image, TileGrid const& grid, Pad pad, Store store) {
    std::vector<float> out(grid.count() * grid.tile_pixels() * image.channels, -9.0F);
    auto* const to = reinterpret_cast<std::byte*>(out.data());
    std::size_t const lines = grid.y.count() * grid.y.size();
    cut_lines(image.rows(), grid, {0, lines / 2}, pad, store, 0, to);
    cut_lines(image.rows(), grid, {lines / 2, lines}, pad, store, 0, to);
    return out;
}

// Element by element.
std::vector<float> cut_plainly(Image const& image, TileGrid const& grid, Pad pad) {
    std::vector<float> out;
    for (std::size_t i = 0; i < grid.count(); ++i) {
        for (std::size_t y = 0; y < grid.y.size(); ++y) {
            for (std::size_t x = 0; x < grid.x.size(); ++x) {
                std::size_t const from_y =
                    padded_index(grid.y.start(i / grid.x.count()) + y, image.height, pad);
                std::size_t const from_x =
                    padded_index(grid.x.start(i % grid.x.count()) + x, image.width, pad);
                for (std::size_t c = 0; c < image.channels; ++c) {
                    bool const zero = from_y == image.height || from_x == image.width;
                    std::size_t const at = (from_y * image.width + from_x) * image.channels + c;
                    out.push_back(zero ? 0.0F : image.pixels[at]);
                }
            }
        }
    }
    return out;
}

template <class T>
std::vector<T const*> blocks(std::vector<float> const& tiles, TileGrid const& grid,
                             std::size_t channels) {
    std::vector<T const*> out;
    for (std::size_t row = 0; row < grid.y.count(); ++row) {
        std::size_t const at = row * grid.x.count() * grid.tile_pixels() * channels;
        out.push_back(reinterpret_cast<T const*>(tiles.data() + at));
    }
    return out;
}

void check_round_trip(Image const& image, TileGrid const& grid, Store store) {
    std::size_t const depth = image.channels;
    for (Pad const pad : {Pad::reflect, Pad::edge, Pad::constant}) {
        CHECK(cut(image, grid, pad, store) == cut_plainly(image, grid, pad));
    }
    auto const tiles = cut(image, grid, Pad::reflect, store);
    std::vector<float> out(image.pixels.size(), -9.0F);
    auto const bytes = blocks<std::byte>(tiles, grid, depth);
    stitch({bytes, 0, depth * sizeof(float)}, grid, {0, image.height}, store,
           reinterpret_cast<std::byte*>(out.data()));
    CHECK(out == image.pixels);
    auto const floats = blocks<float>(tiles, grid, depth);
    TileRows<float> const rows{floats, 0, depth};
    for (Ramp const ramp : {Ramp::linear, Ramp::hann}) {
        Blend const blend(grid, ramp, depth);
        Blender const blender(rows, grid, blend);
        std::vector<float> plain(out.size(), -9.0F), halves(out.size(), -9.0F);
        blender.write_plainly({0, image.height}, plain.data());
        // A sum over more than four tiles rounds more often.
        bool const few =
            2 * grid.y.overlap() <= grid.y.size() && 2 * grid.x.overlap() <= grid.x.size();
        float const tolerance = few ? 1e-6F : 5e-6F;
        std::size_t const half = image.height / 2;
        blender.write({0, half}, store, halves.data());
        blender.write({half, image.height}, store, halves.data() + half * image.width * depth);
        for (std::size_t i = 0; i < out.size(); ++i) {
            CHECK(std::abs(halves[i] - plain[i]) <= tolerance);
            CHECK(std::abs(halves[i] - image.pixels[i]) <= tolerance);
        }
    }
}

void property_stitch_of_cut_is_the_image() {
    std::mt19937 random(4);
    for (std::size_t const height : {1U, 5U, 16U, 33U}) {
        for (std::size_t const width : {1U, 7U, 64U}) {
            for (std::size_t const depth : {1U, 3U}) {
                Image const image(random, height, width, depth);
                for (std::size_t const size : {1U, 4U, 12U, 20U}) {
                    for (std::size_t const overlap : {0U, 1U, 3U, 6U, 11U}) {
                        if (overlap >= size) continue;
                        TileGrid const grid{TileAxis(height, size, overlap),
                                            TileAxis(width, size + 1, overlap)};
                        check_round_trip(image, grid, Store::cached);
                        check_round_trip(image, grid, Store::streamed);
                    }
                }
                check_round_trip(image, {TileAxis(height, 8, 4, 4), TileAxis(width, 12, 4, 4)},
                                 Store::cached);
            }
        }
    }
    // A run of more elements than the buffer of a blend holds.
    Image const wide(random, 6, 1500, 2);
    check_round_trip(wide, {TileAxis(6, 4, 2), TileAxis(1500, 1200, 590)}, Store::streamed);
}

void property_weights_sum_to_one() {
    for (std::size_t const overlap : {0U, 1U, 2U, 5U, 8U, 9U}) {
        for (Ramp const ramp : {Ramp::linear, Ramp::hann}) {
            TileAxis const axis(37, 10, overlap);
            auto const weights = blend_weights(axis, ramp);
            for (std::size_t i = 0; i < axis.length(); ++i) {
                float sum = 0;
                for (std::size_t k = axis.covering(i).begin; k < axis.covering(i).end; ++k) {
                    float const weight = weights[k * axis.size() + i - axis.start(k)];
                    CHECK(weight > 0);
                    sum += weight;
                }
                CHECK(std::abs(sum - 1) <= 1e-6F);
            }
        }
    }
    auto const weights = blend_weights(TileAxis(6, 4, 2), Ramp::linear);
    CHECK(weights == (std::vector<float>{1, 1, 0.75F, 0.25F, 0.25F, 0.75F, 1, 1}));
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_axis();
    seqtile::unit_padded_index();
    seqtile::property_write_regions_partition_the_axis();
    seqtile::agreement_stream_copy_with_memcpy();
    seqtile::property_stitch_of_cut_is_the_image();
    seqtile::property_weights_sum_to_one();
    return seqtile::test::result();
}
