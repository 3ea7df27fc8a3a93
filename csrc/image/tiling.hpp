// Overlapping tiles of an image: their grid, and cutting them out.
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
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../core/stream.hpp"

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

/// Tiles along one axis.
class TileAxis {
  public:
    /// `length`, `size` and `multiple` are positive, `overlap < size`; `size` and `overlap` are
    /// multiples of `multiple`.
    constexpr TileAxis(std::size_t length, std::size_t size, std::size_t overlap,
                       std::size_t multiple = 1) noexcept
        : length_(length), size_(size), overlap_(overlap) {
        std::size_t const rest = length > size ? length - size : 0;
        last_ = (rest + multiple - 1) / multiple * multiple;
        count_ = 1 + (last_ + stride() - 1) / stride();
    }

    [[nodiscard]] constexpr std::size_t length() const noexcept { return length_; }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
    [[nodiscard]] constexpr std::size_t overlap() const noexcept { return overlap_; }
    [[nodiscard]] constexpr std::size_t stride() const noexcept { return size_ - overlap_; }
    [[nodiscard]] constexpr std::size_t count() const noexcept { return count_; }

    [[nodiscard]] constexpr std::size_t start(std::size_t k) const noexcept {
        return std::min(k * stride(), last_);
    }

    /// What tile k reads; it may end behind the image.
    [[nodiscard]] constexpr Range read(std::size_t k) const noexcept {
        return {start(k), start(k) + size_};
    }

    /// What tile k alone answers for: never empty, and together they are [0, length()).
    [[nodiscard]] constexpr Range write(std::size_t k) const noexcept {
        return {k == 0 ? 0 : (start(k - 1) + start(k) + size_) / 2,
                k + 1 == count_ ? length_ : (start(k) + start(k + 1) + size_) / 2};
    }

    /// The tile that answers for pixel `i < length()`.
    [[nodiscard]] constexpr std::size_t writer(std::size_t i) const noexcept {
        std::size_t k = covering(i).begin;
        while (write(k).end <= i) ++k;
        return k;
    }

    /// The tiles that read pixel `i < length()`.
    [[nodiscard]] constexpr Range covering(std::size_t i) const noexcept {
        std::size_t const first = i < size_ ? 0 : (i - size_) / stride() + 1;
        return {std::min(first, count_ - 1), i >= last_ ? count_ : i / stride() + 1};
    }

    /// Where the tiles that read pixel `i` cease to be the same; at most length().
    [[nodiscard]] constexpr std::size_t covering_end(std::size_t i) const noexcept {
        Range const tiles = covering(i);
        std::size_t const next = tiles.end < count_ ? start(tiles.end) : length_;
        return std::min({next, read(tiles.begin).end, length_});
    }

  private:
    std::size_t length_;
    std::size_t size_;
    std::size_t overlap_;
    std::size_t last_;  // start of the last tile
    std::size_t count_;
};

struct TileGrid {
    TileAxis y;
    TileAxis x;

    [[nodiscard]] constexpr std::size_t count() const noexcept { return y.count() * x.count(); }
    [[nodiscard]] constexpr std::size_t tile_pixels() const noexcept { return y.size() * x.size(); }
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

/// Cuts the tiles of grid rows to `out`, where those of grid row `first` begin, one tile after
/// another. `lines` are rows of these tiles: line i is row i % size of the tiles of grid row
/// i / size. `image` holds every row that they need (see rows_needed). Going through all tiles of
/// a grid row line by line reads the image in the order it lies in memory.
inline void cut_lines(ImageRows const& image, TileGrid const& grid, Range lines, Pad pad,
                      Store store, std::size_t first, std::byte* out) noexcept {
    std::size_t const pixel = image.pixel_bytes;
    std::size_t const columns = grid.x.count();
    std::size_t const width = grid.x.size() * pixel;
    for (std::size_t line = lines.begin; line < lines.end; ++line) {
        std::size_t const row = line / grid.y.size();
        std::size_t const in_tile = line % grid.y.size();
        std::size_t const y = padded_index(grid.y.start(row) + in_tile, grid.y.length(), pad);
        std::byte const* const source = y < grid.y.length() ? image.row(y) : nullptr;
        std::byte* target = out + (row - first) * columns * grid.y.size() * width + in_tile * width;
        for (std::size_t column = 0; column < columns; ++column, target += grid.y.size() * width) {
            Range const xs = grid.x.read(column);
            if (source == nullptr) {
                std::memset(target, 0, width);
                continue;
            }
            std::size_t const inside = std::min(xs.end, grid.x.length()) - xs.begin;
            copy_bytes(target, source + xs.begin * pixel, inside * pixel, store);
            for (std::size_t i = inside; i < xs.size(); ++i) {
                std::size_t const x = padded_index(xs.begin + i, grid.x.length(), pad);
                if (x < grid.x.length()) {
                    std::memcpy(target + i * pixel, source + x * pixel, pixel);
                } else {
                    std::memset(target + i * pixel, 0, pixel);
                }
            }
        }
    }
    stream_fence();
}

/// The image rows that the tiles of the grid rows `rows` need, whatever the padding.
constexpr Range rows_needed(TileAxis const& axis, Range rows) noexcept {
    std::size_t const begin = axis.start(rows.begin);
    std::size_t const end = axis.read(rows.end - 1).end;
    if (end <= axis.length()) return {begin, end};
    // The mirror image reaches back, at most to the first row.
    std::size_t const outside = end - axis.length();
    return {std::min(begin, axis.length() > outside ? axis.length() - 1 - outside : 0),
            axis.length()};
}

}  // namespace seqtile
