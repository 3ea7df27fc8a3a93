// Overlapping tiles of an image: their grid, cutting them out, putting them together again.
//
// Coordinates are 0-based and half-open, in pixels of the image. Along each axis tile k begins at
// k * stride, stride = size - overlap; the last tile is shifted back so that it ends where the
// image does, rounded up to `multiple`. So every start is a multiple of `multiple` (a network's
// total stride), and the tiles together cover the image padded to that multiple, no more: a network
// sees at the image's edge what it would see of the whole image. Only an image smaller than a tile
// is padded further. Where neighbours overlap, the boundary of what each alone answers for (its
// write region) runs through the middle of what they share.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numbers>
#include <span>
#include <vector>

#include "stream.hpp"

namespace seqtile {

/// What stands outside the image: its mirror image without the edge pixel, as often as needed; the
/// edge pixel; or zero.
enum class Pad : std::uint8_t { reflect, edge, constant };

/// The pixel of an axis of `length` that stands at `i`, which may lie behind its end; `length` if
/// it is a zero.
constexpr std::size_t padded_index(std::size_t i, std::size_t length, Pad pad) noexcept {
    if (i < length || pad == Pad::constant) return std::min(i, length);
    if (pad == Pad::edge || length == 1) return length - 1;
    std::size_t const period = 2 * (length - 1);
    return i % period < length ? i % period : period - i % period;
}

/// A half-open range of indices.
struct Range {
    std::size_t begin;
    std::size_t end;

    [[nodiscard]] constexpr std::size_t size() const noexcept { return end - begin; }
    constexpr bool operator==(Range const&) const noexcept = default;
};

/// Tiles along one axis. `length`, `size` and `multiple` are positive, `overlap < size`; `size` and
/// `size - overlap` are multiples of `multiple`.
struct TileAxis {
    std::size_t length;
    std::size_t size;
    std::size_t overlap;
    std::size_t multiple = 1;

    [[nodiscard]] constexpr std::size_t stride() const noexcept { return size - overlap; }

    /// Start of the last tile.
    [[nodiscard]] constexpr std::size_t last() const noexcept {
        std::size_t const rest = length > size ? length - size : 0;
        return (rest + multiple - 1) / multiple * multiple;
    }

    [[nodiscard]] constexpr std::size_t count() const noexcept {
        return 1 + (last() + stride() - 1) / stride();
    }

    [[nodiscard]] constexpr std::size_t start(std::size_t k) const noexcept {
        return std::min(k * stride(), last());
    }

    /// What tile k reads; it may end behind the image.
    [[nodiscard]] constexpr Range read(std::size_t k) const noexcept {
        return {start(k), start(k) + size};
    }

    /// What tile k alone answers for: never empty, and together they are [0, length).
    [[nodiscard]] constexpr Range write(std::size_t k) const noexcept {
        return {k == 0 ? 0 : (start(k - 1) + start(k) + size) / 2,
                k + 1 == count() ? length : (start(k) + start(k + 1) + size) / 2};
    }

    /// The tile that answers for pixel `i < length`.
    [[nodiscard]] constexpr std::size_t writer(std::size_t i) const noexcept {
        std::size_t k = covering(i).begin;
        while (write(k).end <= i) ++k;
        return k;
    }

    /// The tiles that read pixel `i < length`.
    [[nodiscard]] constexpr Range covering(std::size_t i) const noexcept {
        std::size_t const first = i < size ? 0 : (i - size) / stride() + 1;
        return {std::min(first, count() - 1), i >= last() ? count() : i / stride() + 1};
    }

    /// Where the tiles that read pixel `i` cease to be the same; at most `length`.
    [[nodiscard]] constexpr std::size_t covering_end(std::size_t i) const noexcept {
        Range const tiles = covering(i);
        std::size_t const next = tiles.end < count() ? start(tiles.end) : length;
        return std::min({next, read(tiles.begin).end, length});
    }
};

struct TileGrid {
    TileAxis y;
    TileAxis x;

    [[nodiscard]] constexpr std::size_t count() const noexcept { return y.count() * x.count(); }
    [[nodiscard]] constexpr std::size_t tile_pixels() const noexcept { return y.size * x.size; }
};

/// Consecutive rows of an image, the pixels of each side by side.
struct ImageRows {
    std::byte const* data;      ///< first pixel of image row `first`
    std::ptrdiff_t row_stride;  ///< bytes from one row to the next
    std::size_t first;
    std::size_t pixel_bytes;

    [[nodiscard]] std::byte const* row(std::size_t y) const noexcept {
        return data + static_cast<std::ptrdiff_t>(y - first) * row_stride;
    }
};

/// Cuts tile (row, column) of the grid to `out`, tile_pixels() pixels. `image` holds every row that
/// the tile needs (see rows_needed).
inline void cut_tile(ImageRows const& image, TileGrid const& grid, std::size_t row,
                     std::size_t column, Pad pad, Store store, std::byte* out) noexcept {
    constexpr std::size_t line = 64;
    constexpr std::size_t ahead = 8;  // rows: neither near nor a run that the machine foresees
    std::size_t const pixel = image.pixel_bytes;
    Range const ys = grid.y.read(row);
    Range const xs = grid.x.read(column);
    std::size_t const inside = (std::min(xs.end, grid.x.length) - xs.begin) * pixel;
    std::size_t const width = xs.size() * pixel;
    for (std::size_t y = ys.begin; y < ys.end; ++y, out += width) {
        std::size_t const from = padded_index(y, grid.y.length, pad);
        if (from == grid.y.length) {
            std::memset(out, 0, width);
            continue;
        }
        std::byte const* const source = image.row(from);
        if (y + ahead < std::min(ys.end, grid.y.length)) {
            std::byte const* const later = image.row(y + ahead) + xs.begin * pixel;
            for (std::size_t i = 0; i < inside; i += line) __builtin_prefetch(later + i);
        }
        copy_bytes(out, source + xs.begin * pixel, inside, store);
        if (inside == width) continue;
        if (pad == Pad::constant) {
            std::memset(out + inside, 0, width - inside);
            continue;
        }
        std::byte* target = out + inside;
        for (std::size_t x = grid.x.length; x < xs.end; ++x, target += pixel) {
            std::memcpy(target, source + padded_index(x, grid.x.length, pad) * pixel, pixel);
        }
    }
}

/// Cuts the tiles [tiles.begin, tiles.end), counted row by row of the grid, one after another to
/// `out`.
inline void cut_tiles(ImageRows const& image, TileGrid const& grid, Range tiles, Pad pad,
                      Store store, std::byte* out) noexcept {
    std::size_t const columns = grid.x.count();
    std::size_t const bytes = grid.tile_pixels() * image.pixel_bytes;
    for (std::size_t i = tiles.begin; i < tiles.end; ++i, out += bytes) {
        cut_tile(image, grid, i / columns, i % columns, pad, store, out);
    }
    stream_fence();
}

/// The image rows that the tiles of the grid rows `rows` need, whatever the padding.
constexpr Range rows_needed(TileAxis const& axis, Range rows) noexcept {
    std::size_t const begin = axis.start(rows.begin);
    std::size_t const end = axis.read(rows.end - 1).end;
    if (end <= axis.length) return {begin, end};
    // The mirror image reaches back, at most to the first row.
    std::size_t const outside = end - axis.length;
    return {std::min(begin, axis.length > outside ? axis.length - 1 - outside : 0), axis.length};
}

/// Tiles of consecutive grid rows, each grid row one block of memory.
template <class T>
struct TileRows {
    std::span<T const* const> blocks;  ///< first element of each grid row
    std::size_t first;                 ///< the grid row of blocks[0]
    std::size_t pixel;                 ///< elements per pixel

    /// Row `y` of the image, column `x`, as the tile (row, column) holds it.
    [[nodiscard]] T const* at(TileGrid const& grid, std::size_t row, std::size_t column,
                              std::size_t y, std::size_t x) const noexcept {
        std::size_t const in_tile =
            (y - grid.y.start(row)) * grid.x.size + x - grid.x.start(column);
        return blocks[row - first] + (column * grid.tile_pixels() + in_tile) * pixel;
    }
};

/// Writes the image rows `rows` to `out`, each pixel from the tile that answers for it. `tiles`
/// holds every grid row that does so for one of these rows.
inline void stitch(TileRows<std::byte> const& tiles, TileGrid const& grid, Range rows, Store store,
                   std::byte* out) noexcept {
    std::size_t const columns = grid.x.count();
    for (std::size_t row = 0; row < grid.y.count(); ++row) {
        Range const answered = grid.y.write(row);
        std::size_t const begin = std::max(answered.begin, rows.begin);
        std::size_t const end = std::min(answered.end, rows.end);
        for (std::size_t column = 0; begin < end && column < columns; ++column) {
            Range const xs = grid.x.write(column);
            for (std::size_t y = begin; y < end; ++y) {
                std::size_t const to = (y - rows.begin) * grid.x.length + xs.begin;
                copy_bytes(out + to * tiles.pixel, tiles.at(grid, row, column, y, xs.begin),
                           xs.size() * tiles.pixel, store);
            }
        }
    }
    stream_fence();
}

/// How a tile's weight falls where it overlaps a neighbour: in a straight line, or as half a
/// cosine.
enum class Ramp : std::uint8_t { linear, hann };

/// Weight of each pixel of each tile along an axis, (count, size): between a tile's middle and its
/// edge a ramp as long as the overlap, none at the image's edge; those of the tiles that read a
/// pixel of the image sum to one.
inline std::vector<float> blend_weights(TileAxis const& axis, Ramp ramp) {
    std::vector<float> weights(axis.count() * axis.size);
    auto const raw = [&](std::size_t tile, std::size_t i) {
        std::size_t const to_left = tile == 0 ? axis.overlap : i - axis.start(tile);
        std::size_t const to_right =
            tile + 1 == axis.count() ? axis.overlap : axis.read(tile).end - 1 - i;
        std::size_t const to_edge = std::min(to_left, to_right);
        if (to_edge >= axis.overlap) return 1.0;
        double const part =
            (static_cast<double>(to_edge) + 0.5) / static_cast<double>(axis.overlap);
        return ramp == Ramp::linear ? part : 0.5 - 0.5 * std::cos(std::numbers::pi * part);
    };
    for (std::size_t i = 0; i < axis.length; ++i) {
        Range const tiles = axis.covering(i);
        double sum = 0;
        for (std::size_t k = tiles.begin; k < tiles.end; ++k) sum += raw(k, i);
        for (std::size_t k = tiles.begin; k < tiles.end; ++k) {
            weights[k * axis.size + i - axis.start(k)] = static_cast<float>(raw(k, i) / sum);
        }
    }
    return weights;
}

/// The weights of both axes; those across are repeated for the `channels` of a pixel.
struct Blend {
    std::vector<float> down;
    std::vector<float> across;

    Blend(TileGrid const& grid, Ramp ramp, std::size_t channels)
        : down(blend_weights(grid.y, ramp)) {
        std::vector<float> const once = blend_weights(grid.x, ramp);
        across.reserve(once.size() * channels);
        for (float const weight : once) across.insert(across.end(), channels, weight);
    }
};

/// Writes the image rows `rows` to `out`, each pixel the weighted mean of the tiles that read it.
/// `tiles` holds every grid row that covers one of these rows. A pixel that one tile alone reads is
/// copied as it is. Sums run over the tiles in their order, so that threads change nothing.
inline void stitch_blended(TileRows<float> const& tiles, TileGrid const& grid, Blend const& blend,
                           Range rows, Store store, float* out) noexcept {
    constexpr std::size_t most = 1024;
    float sums[most];
    std::size_t const pixel = tiles.pixel;
    auto const copy = [&](float* to, float const* from, std::size_t size) {
        copy_bytes(reinterpret_cast<std::byte*>(to), reinterpret_cast<std::byte const*>(from),
                   size * sizeof(float), store);
    };
    for (std::size_t top = rows.begin, bottom = 0; top < rows.end; top = bottom) {
        bottom = std::min(grid.y.covering_end(top), rows.end);
        Range const down = grid.y.covering(top);
        for (std::size_t left = 0, right = 0; left < grid.x.length; left = right) {
            right = grid.x.covering_end(left);
            Range const across = grid.x.covering(left);
            bool const alone = down.size() == 1 && across.size() == 1;
            for (std::size_t y = top; y < bottom; ++y) {
                float* const target = out + ((y - rows.begin) * grid.x.length + left) * pixel;
                std::size_t const width = (right - left) * pixel;
                if (alone) {
                    copy(target, tiles.at(grid, down.begin, across.begin, y, left), width);
                    continue;
                }
                for (std::size_t begin = 0; begin < width; begin += most) {
                    std::size_t const size = std::min(most, width - begin);
                    std::fill_n(sums, size, 0.0F);
                    for (std::size_t row = down.begin; row < down.end; ++row) {
                        float const weight = blend.down[row * grid.y.size + y - grid.y.start(row)];
                        for (std::size_t column = across.begin; column < across.end; ++column) {
                            float const* const source =
                                tiles.at(grid, row, column, y, left) + begin;
                            float const* const weights =
                                blend.across.data() + begin +
                                (column * grid.x.size + left - grid.x.start(column)) * pixel;
                            for (std::size_t i = 0; i < size; ++i) {
                                sums[i] += weight * weights[i] * source[i];
                            }
                        }
                    }
                    copy(target + begin, sums, size);
                }
            }
        }
    }
    stream_fence();
}

}  // namespace seqtile
