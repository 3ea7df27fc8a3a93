// Random access to bgzip files: the block index (bgzip's .gzi) and a small cache of blocks.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bgzf.hpp"
#include "source.hpp"

namespace seqtile {

/// Where a block begins, in the file and in what the file inflates to.
struct BgzfStart {
    std::uint64_t compressed;
    std::uint64_t inflated;
    bool operator==(BgzfStart const&) const = default;
};

/// The blocks that hold bytes, in order, and a last entry that is the end of both.
using BgzfIndex = std::vector<BgzfStart>;

/// Adds to `index` the blocks from its last entry on, by their headers alone, and the end.
/// @throw BgzfError, std::system_error
inline void walk_bgzf(int descriptor, BgzfIndex& index) {
    BgzfStart at = index.back();
    index.pop_back();
    std::array<std::uint8_t, kBgzfBlock> start{};
    std::size_t room = kBgzfHeader;
    for (;;) {
        Bytes const bytes =
            Bytes(start).first(read_at(descriptor, at.compressed, MutableBytes(start).first(room)));
        if (bytes.empty()) break;
        auto const header = read_bgzf_header(bytes, at.compressed);
        if (!header && bytes.size() == room && room < start.size()) {
            room = start.size();  // other extra fields stand before the size
            continue;
        }
        std::array<std::uint8_t, 4> trailer{};
        if (!header || read_at(descriptor, at.compressed + header->block - 4, trailer) != 4) {
            throw BgzfError("the file ends inside it: truncated", at.compressed);
        }
        std::size_t const size = bgzf_inflated_size(trailer, at.compressed);
        if (size != 0) index.push_back(at);
        at.compressed += header->block;
        at.inflated += size;
    }
    index.push_back(at);
}

/// The index of a file, by its blocks' headers; nothing is inflated.
/// @throw BgzfError, std::system_error
inline BgzfIndex build_bgzf_index(int descriptor) {
    BgzfIndex index{{0, 0}};
    walk_bgzf(descriptor, index);
    return index;
}

/// The bytes of a .gzi file: the number of blocks after the first, then where each begins.
inline std::vector<std::uint8_t> write_gzi(BgzfIndex const& index) {
    std::vector<std::uint8_t> bytes;
    auto const put = [&bytes](std::uint64_t value) {
        for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    };
    std::size_t const blocks = index.size() - 1;
    put(blocks < 2 ? 0 : blocks - 1);
    for (std::size_t i = 1; i < blocks; ++i) {
        put(index[i].compressed);
        put(index[i].inflated);
    }
    return bytes;
}

/// The index that the bytes of a .gzi file describe, of the bgzip file `descriptor`. Its blocks
/// are trusted until they are inflated, but for the first and the last.
/// @throw ParseError if the bytes are no index, BgzfError if the file's blocks are not as they say
inline BgzfIndex read_gzi(Bytes bytes, int descriptor) {
    if (bytes.size() < 8 || (bytes.size() - 8) % 16 != 0 ||
        little_endian(bytes, 0, 8) != (bytes.size() - 8) / 16) {
        throw ParseError("its size is not that of the blocks it counts", 0, "");
    }
    BgzfIndex index{{0, 0}};
    for (std::size_t at = 8; at < bytes.size(); at += 16) {
        BgzfStart const next{little_endian(bytes, at, 8), little_endian(bytes, at + 8, 8)};
        BgzfStart const& last = index.back();
        // no product or sum of these can overflow: a block inflates to 64 KiB at most
        bool const sound = next.compressed > last.compressed && next.compressed >> 62 == 0 &&
                           next.inflated >= last.inflated &&
                           next.inflated - last.inflated <= kBgzfBlock;
        if (!sound) {
            throw ParseError("block " + std::to_string(index.size()) + " cannot begin at byte " +
                                 std::to_string(next.compressed),
                             0, "");
        }
        index.push_back(next);
    }
    walk_bgzf(descriptor, index);
    return index;
}

/// What a bgzip file inflates to, in any order. Safe to share between threads; a child of fork
/// may go on with it. The descriptor is not owned.
class BgzfBlocks {
  public:
    using Block = std::shared_ptr<std::vector<std::uint8_t> const>;

    BgzfBlocks(int descriptor, BgzfIndex index)
        : descriptor_(descriptor), index_(std::move(index)) {}

    /// Bytes in all.
    [[nodiscard]] std::uint64_t size() const noexcept { return index_.back().inflated; }

    [[nodiscard]] BgzfIndex const& index() const noexcept { return index_; }

    /// Number of the block that holds byte `offset`; the number of blocks if there is none.
    [[nodiscard]] std::size_t find(std::uint64_t offset) const noexcept {
        auto const next = std::upper_bound(
            index_.begin(), index_.end(), offset,
            [](std::uint64_t value, BgzfStart const& start) { return value < start.inflated; });
        return next == index_.end() ? index_.size() - 1
                                    : static_cast<std::size_t>(next - index_.begin()) - 1;
    }

    /// First byte of block `number`, in what the file inflates to; that of the number of blocks
    /// is size().
    [[nodiscard]] std::uint64_t begin(std::size_t number) const noexcept {
        return index_[number].inflated;
    }

    /// Inflates block `number` to the start of `out`, which has room for kBgzfBlock bytes.
    /// @throw BgzfError if it is damaged or not what the index says; std::system_error
    Bytes inflate(std::size_t number, MutableBytes out) const {
        thread_local BgzfInflater inflater;
        auto const [offset, first] = index_[number];
        std::uint64_t const room = index_[number + 1].compressed - offset;
        std::array<std::uint8_t, kBgzfBlock> buffer;  // not cleared: read_at() fills what is used
        Bytes const bytes = Bytes(buffer).first(
            read_at(descriptor_, offset,
                    MutableBytes(buffer).first(std::min<std::uint64_t>(room, kBgzfBlock))));
        auto const header = read_bgzf_header(bytes, offset);
        if (!header || header->block > bytes.size()) {
            throw BgzfError("the file or its index ends inside it", offset);
        }
        Bytes const block = bytes.first(header->block);
        std::size_t const size = bgzf_inflated_size(block, offset);
        std::uint64_t const expected = index_[number + 1].inflated - first;
        if (size != expected) {
            throw BgzfError("holds " + std::to_string(size) + " bytes, its index says " +
                                std::to_string(expected),
                            offset);
        }
        inflater.inflate(block, *header, offset, out.first(size));
        return out.first(size);
    }

    /// Block `number`, of the few used last or inflated anew. @throw as inflate()
    Block get(std::size_t number) const {
        // Only tried: in a child of fork the lock may be held by a thread that is not there.
        if (std::unique_lock const lock(mutex_, std::try_to_lock); lock) {
            auto const found = places_.find(number);
            if (found != places_.end()) {
                used_.splice(used_.begin(), used_, found->second);
                return used_.front().second;
            }
        }
        std::array<std::uint8_t, kBgzfBlock> buffer;
        Bytes const bytes = inflate(number, buffer);
        auto block = std::make_shared<std::vector<std::uint8_t> const>(bytes.begin(), bytes.end());
        if (std::unique_lock const lock(mutex_, std::try_to_lock);
            lock && !places_.contains(number)) {
            used_.emplace_front(number, block);
            places_.emplace(number, used_.begin());
            if (used_.size() > kKept) {
                places_.erase(used_.back().first);
                used_.pop_back();
            }
        }
        return block;
    }

  private:
    static constexpr std::size_t kKept = 64;  // at most 4 MiB

    int descriptor_;
    BgzfIndex index_;
    mutable std::mutex mutex_;
    mutable std::list<std::pair<std::size_t, Block>> used_;  // the last used first
    mutable std::unordered_map<std::size_t, std::list<std::pair<std::size_t, Block>>::iterator>
        places_;
};

}  // namespace seqtile
