// Bytes, tables over them, and no position among them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace seqtile {

using Bytes = std::span<std::uint8_t const>;
using MutableBytes = std::span<std::uint8_t>;

using ByteTable = std::array<std::uint8_t, 256>;

/// A table's entry for a byte that may not stand there at all.
inline constexpr std::uint8_t kInvalid = 255;

/// "No such position."
inline constexpr std::size_t kNone = static_cast<std::size_t>(-1);

}  // namespace seqtile
