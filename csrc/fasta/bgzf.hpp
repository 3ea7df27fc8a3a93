// Blocked gzip, as bgzip writes it: gzip members of at most 64 KiB that name their own size.
// Format: section 4.1 of the SAM specification. Inflating is libdeflate's.
#pragma once

#include <libdeflate.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>

#include "../core/bytes.hpp"
#include "error.hpp"

namespace seqtile {

/// A damaged bgzip file: what is wrong with the block that begins at byte `offset`.
class BgzfError : public ParseError {
  public:
    BgzfError(std::string const& message, std::uint64_t offset)
        : ParseError("bgzip block at byte " + std::to_string(offset) + ": " + message, 0, ""),
          offset_(offset) {}

    [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }

  private:
    std::uint64_t offset_;
};

/// Bytes of a block, compressed or not: at most this many.
inline constexpr std::size_t kBgzfBlock = 1 << 16;

/// The least that a header and a trailer take.
inline constexpr std::size_t kBgzfHeader = 18;
inline constexpr std::size_t kBgzfTrailer = 8;

/// Reads an unsigned little-endian number of `size` bytes.
constexpr std::uint64_t little_endian(Bytes bytes, std::size_t at, std::size_t size) noexcept {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
        value |= static_cast<std::uint64_t>(bytes[at + i]) << (8 * i);
    }
    return value;
}

/// Sizes that a block's header states.
struct BgzfHeader {
    std::size_t header;  ///< bytes before the deflate stream
    std::size_t block;   ///< bytes in all
};

/// Reads a block's header from the start of `bytes`; nothing if `bytes` ends inside it.
/// `offset`: where the block begins in its file, for the error. @throw BgzfError
inline std::optional<BgzfHeader> read_bgzf_header(Bytes bytes, std::uint64_t offset) {
    constexpr std::uint8_t kStart[] = {0x1F, 0x8B, 8, 4};  // gzip, deflate, an extra field alone
    std::size_t const known = std::min(bytes.size(), std::size(kStart));
    if (!std::equal(kStart, kStart + known, bytes.begin())) {
        throw BgzfError("expected a block, found other bytes", offset);
    }
    if (bytes.size() < 12) return std::nullopt;
    std::size_t const end = 12 + static_cast<std::size_t>(little_endian(bytes, 10, 2));
    if (bytes.size() < end) return std::nullopt;
    for (std::size_t at = 12; at + 4 <= end;) {
        auto const size = static_cast<std::size_t>(little_endian(bytes, at + 2, 2));
        if (at + 4 + size > end) break;
        if (bytes[at] == 'B' && bytes[at + 1] == 'C' && size == 2) {
            auto const block = static_cast<std::size_t>(little_endian(bytes, at + 4, 2)) + 1;
            if (block < end + kBgzfTrailer) {
                throw BgzfError("a size of " + std::to_string(block) + " is impossible", offset);
            }
            return BgzfHeader{end, block};
        }
        at += 4 + size;
    }
    throw BgzfError("the header lacks the block's size: ordinary gzip, not bgzip", offset);
}

/// Whether a file that begins with `start` (18 bytes are enough) is bgzip rather than other gzip.
inline bool is_bgzf(Bytes start) noexcept {
    try {
        return read_bgzf_header(start, 0).has_value();
    } catch (...) {
        return false;
    }
}

/// Bytes that a whole block inflates to. @throw BgzfError
inline std::size_t bgzf_inflated_size(Bytes block, std::uint64_t offset) {
    auto const size = static_cast<std::size_t>(little_endian(block, block.size() - 4, 4));
    if (size > kBgzfBlock) {
        throw BgzfError("claims to hold " + std::to_string(size) + " bytes, more than 65536",
                        offset);
    }
    return size;
}

/// Inflates blocks, one after another; one per thread.
class BgzfInflater {
  public:
    BgzfInflater() : state_(libdeflate_alloc_decompressor()) {
        if (!state_) throw std::bad_alloc();
    }

    /// Inflates a whole block to `out`, whose size is bgzf_inflated_size().
    /// @throw BgzfError if the stream, its sizes or its checksum are damaged
    void inflate(Bytes block, BgzfHeader header, std::uint64_t offset, MutableBytes out) {
        Bytes const stream =
            block.subspan(header.header, header.block - header.header - kBgzfTrailer);
        std::uint8_t nothing = 0;
        std::uint8_t* const target = out.empty() ? &nothing : out.data();
        std::size_t consumed = 0;
        auto const result = libdeflate_deflate_decompress_ex(
            state_.get(), stream.data(), stream.size(), target, out.size(), &consumed, nullptr);
        if (result != LIBDEFLATE_SUCCESS || consumed != stream.size()) {
            throw BgzfError("damaged deflate data", offset);
        }
        if (libdeflate_crc32(0, target, out.size()) !=
            little_endian(block, block.size() - kBgzfTrailer, 4)) {
            throw BgzfError("the checksum is wrong", offset);
        }
    }

  private:
    struct Free {
        void operator()(libdeflate_decompressor* state) const noexcept {
            libdeflate_free_decompressor(state);
        }
    };
    std::unique_ptr<libdeflate_decompressor, Free> state_;
};

}  // namespace seqtile
