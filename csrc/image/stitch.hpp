// Tiles of an image, or what a network made of each, put together: exactly or blended.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

#include "../core/stream.hpp"
#include "tiling.hpp"

namespace seqtile {

/// Tiles of consecutive grid rows, each grid row one block of memory.
template <class T>
struct TileRows {
    std::span<T const* const> blocks;  ///< first element of each grid row
    std::size_t first;                 ///< the grid row of blocks[0]
    std::size_t pixel;                 ///< elements per pixel

    /// Where the tile (row, column) holds column `x` of row `y` of the image.
    [[nodiscard]] T const* at(TileGrid const& grid, std::size_t row, std::size_t column,
                              std::size_t y, std::size_t x) const noexcept {
        std::size_t const in_tile =
            (y - grid.y.start(row)) * grid.x.size() + x - grid.x.start(column);
        return blocks[row - first] + (column * grid.tile_pixels() + in_tile) * pixel;
    }
};

/// Writes the image rows `rows` to `out`, each pixel from the tile that answers for it. `tiles`
/// holds every grid row that does so for one of these rows. One tile after another: each is read
/// in the order it lies in memory.
inline void stitch(TileRows<std::byte> const& tiles, TileGrid const& grid, Range rows, Store store,
                   std::byte* out) noexcept {
    std::size_t const pixel = tiles.pixel;
    for (std::size_t top = rows.begin, bottom = 0; top < rows.end; top = bottom) {
        std::size_t const row = grid.y.writer(top);
        bottom = std::min(grid.y.write(row).end, rows.end);
        for (std::size_t column = 0; column < grid.x.count(); ++column) {
            Range const xs = grid.x.write(column);
            std::byte const* from = tiles.at(grid, row, column, top, xs.begin);
            std::byte* to = out + ((top - rows.begin) * grid.x.length() + xs.begin) * pixel;
            for (std::size_t y = top; y < bottom; ++y) {
                copy_bytes(to, from, xs.size() * pixel, store);
                from += grid.x.size() * pixel;
                to += grid.x.length() * pixel;
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
    std::vector<float> weights(axis.count() * axis.size());
    auto const raw = [&](std::size_t tile, std::size_t i) {
        std::size_t const to_left = tile == 0 ? axis.overlap() : i - axis.start(tile);
        std::size_t const to_right =
            tile + 1 == axis.count() ? axis.overlap() : axis.read(tile).end - 1 - i;
        std::size_t const to_edge = std::min(to_left, to_right);
        if (to_edge >= axis.overlap()) return 1.0;
        double const part =
            (static_cast<double>(to_edge) + 0.5) / static_cast<double>(axis.overlap());
        return ramp == Ramp::linear ? part : 0.5 - 0.5 * std::cos(std::numbers::pi * part);
    };
    for (std::size_t i = 0; i < axis.length(); ++i) {
        Range const tiles = axis.covering(i);
        double sum = 0;
        for (std::size_t k = tiles.begin; k < tiles.end; ++k) sum += raw(k, i);
        for (std::size_t k = tiles.begin; k < tiles.end; ++k) {
            weights[k * axis.size() + i - axis.start(k)] = static_cast<float>(raw(k, i) / sum);
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

/// Writes rows of an image, each pixel the weighted mean of the tiles that read it.
class Blender {
  public:
    /// `tiles`, `grid` and `blend` outlive it.
    Blender(TileRows<float> const& tiles, TileGrid const& grid, Blend const& blend)
        : tiles_(tiles), grid_(grid), blend_(blend) {
        for (std::size_t x = 0; x < grid.x.length(); x = grid.x.covering_end(x)) {
            Run run{.columns = grid.x.covering(x),
                    .size = (grid.x.covering_end(x) - x) * tiles.pixel,
                    .x = x,
                    .from = {},
                    .weights = {}};
            for (std::size_t i = 0; i < std::min(run.columns.size(), kPair); ++i) {
                std::size_t const column = run.columns.begin + i;
                std::size_t const in_tile = x - grid.x.start(column);
                run.from[i] = (column * grid.tile_pixels() + in_tile) * tiles.pixel;
                run.weights[i] = weights_across(column, x);
            }
            runs_.push_back(run);
        }
    }

    /// Writes the image rows `rows` to `out`. The tiles hold every grid row that covers one of
    /// them. A pixel that one tile alone reads is copied as it is. The sums' order is fixed, so
    /// threads change nothing.
    void write(Range rows, Store store, float* out) const noexcept {
        for (std::size_t y = rows.begin; y < rows.end; ++y) {
            Line const line = at_line(y);
            for (Run const& run : runs_) {
                if (line.rows.size() > kPair || run.columns.size() > kPair) {
                    mix_any(run, y, out);
                } else if (run.columns.size() == 1) {
                    line.rows.size() == 1 ? copy_run(line, run, store, out)
                                          : mix<2, 1>(line, run, store, out);
                } else {
                    line.rows.size() == 1 ? mix<1, 2>(line, run, store, out)
                                          : mix<2, 2>(line, run, store, out);
                }
                out += run.size;
            }
        }
        stream_fence();
    }

    /// As write(), tile by tile with all weights: what it is tested against.
    void write_plainly(Range rows, float* out) const noexcept {
        for (std::size_t y = rows.begin; y < rows.end; ++y) {
            for (Run const& run : runs_) {
                mix_any(run, y, out);
                out += run.size;
            }
        }
    }

  private:
    // Neighbours that share a pixel along an axis, unless the overlap is more than half of a tile.
    static constexpr std::size_t kPair = 2;

    // Neighbouring elements of an image row that the same columns of tiles cover.
    struct Run {
        Range columns;
        std::size_t size;
        std::size_t x;                            // first pixel
        std::array<std::size_t, kPair> from;      // first element in a row of tiles
        std::array<float const*, kPair> weights;  // of the elements
    };

    // A row of the image in the tiles that cover it, where these are no more than two.
    struct Line {
        Range rows;
        std::array<float const*, kPair> tiles;  // that row of the grid rows' first tiles
        std::array<float, kPair> weights;
    };

    [[nodiscard]] Line at_line(std::size_t y) const noexcept {
        Line line{.rows = grid_.y.covering(y), .tiles = {}, .weights = {}};
        for (std::size_t i = 0; i < std::min(line.rows.size(), kPair); ++i) {
            std::size_t const row = line.rows.begin + i;
            line.tiles[i] = tiles_.at(grid_, row, 0, y, 0);
            line.weights[i] = weight_down(row, y);
        }
        return line;
    }

    [[nodiscard]] float weight_down(std::size_t row, std::size_t y) const noexcept {
        return blend_.down[row * grid_.y.size() + y - grid_.y.start(row)];
    }

    [[nodiscard]] float const* weights_across(std::size_t column, std::size_t x) const noexcept {
        std::size_t const in_tile = x - grid_.x.start(column);
        return blend_.across.data() + (column * grid_.x.size() + in_tile) * tiles_.pixel;
    }

    // The run in one tile. Asks the machine for what lies two rows further down: reading many
    // tiles in turn, it does not see that they will be next. (Behind a tile lies another; behind
    // the last, an address that is not read does no harm.)
    [[nodiscard]] float const* tile(Line const& line, Run const& run, std::size_t row,
                                    std::size_t column) const noexcept {
        constexpr std::size_t cache_line = 64;
        float const* const found = line.tiles[row] + run.from[column];
        std::size_t const ahead = 2 * grid_.x.size() * tiles_.pixel * sizeof(float);
        auto const later = reinterpret_cast<std::uintptr_t>(found) + ahead;
        for (std::size_t i = 0; i < run.size * sizeof(float); i += cache_line) {
            __builtin_prefetch(reinterpret_cast<void const*>(later + i));
        }
        return found;
    }

    void copy_run(Line const& line, Run const& run, Store store, float* out) const noexcept {
        copy(out, tile(line, run, 0, 0), run.size, store);
    }

    static void copy(float* to, float const* from, std::size_t size, Store store) noexcept {
        copy_bytes(reinterpret_cast<std::byte*>(to), reinterpret_cast<std::byte const*>(from),
                   size * sizeof(float), store);
    }

    // Weighted mean of Down x Across tiles, through a buffer that stays in the first-level cache.
    template <std::size_t Down, std::size_t Across>
    void mix(Line const& line, Run const& run, Store store, float* out) const noexcept {
        constexpr std::size_t most = 1024;
        alignas(64) float sums[most];
        std::array<float const*, Down * Across> from;
        for (std::size_t i = 0; i < from.size(); ++i) {
            from[i] = tile(line, run, i / Across, i % Across);
        }
        for (std::size_t begin = 0; begin < run.size; begin += most) {
            std::size_t const size = std::min(most, run.size - begin);
            for (std::size_t i = 0; i < size; ++i) {
                float sum = 0;
                for (std::size_t column = 0; column < Across; ++column) {
                    float part = 0;
                    for (std::size_t row = 0; row < Down; ++row) {
                        part += line.weights[row] * from[row * Across + column][begin + i];
                    }
                    sum += run.weights[column][begin + i] * part;
                }
                sums[i] = sum;
            }
            copy(out + begin, sums, size, store);
        }
    }

    void mix_any(Run const& run, std::size_t y, float* out) const noexcept {
        Range const rows = grid_.y.covering(y);
        std::fill_n(out, run.size, 0.0F);
        for (std::size_t column = run.columns.begin; column < run.columns.end; ++column) {
            float const* const across = weights_across(column, run.x);
            for (std::size_t row = rows.begin; row < rows.end; ++row) {
                float const weight = weight_down(row, y);
                float const* const from = tiles_.at(grid_, row, column, y, run.x);
                for (std::size_t i = 0; i < run.size; ++i) {
                    out[i] += across[i] * (weight * from[i]);
                }
            }
        }
    }

    TileRows<float> const& tiles_;
    TileGrid const& grid_;
    Blend const& blend_;
    std::vector<Run> runs_;
};

}  // namespace seqtile
