// One-hot encoding in blocks: letters become codes, codes become bits (one per cell), bits become
// cells. Codes stay in the first-level cache; cells are written at the speed of memory.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../core/cpu.hpp"
#include "../core/lookup.hpp"
#include "alphabet.hpp"
#include "bits.hpp"
#include "expand.hpp"
#include "sequence.hpp"

namespace seqtile {

/// Axes of a one-hot array after the batch axis: channel then position, or position then channel.
enum class Layout : std::uint8_t { ncl, nlc };

/// What a one-hot cell holds besides 0, in the output's own type (for float16: its bits).
template <class T>
struct OneHotValues {
    T on;
    T unknown;  ///< in every channel of an unknown letter
};

/// Encodes blocks of a batch; several threads may share them, since blocks meet at borders of cache
/// lines: each writes from the first line that begins in it to the first that begins in the next.
/// Arguments as for one_hot; with `stream` cells go past the caches.
template <class T>
class OneHotBlocks {
  public:
    OneHotBlocks(Sequences batch, Alphabet const& alphabet, Layout layout, OneHotValues<T> values,
                 std::size_t length, T* out, bool stream, Isa isa) noexcept
        : batch_(batch),
          alphabet_(alphabet),
          layout_(layout),
          values_(values),
          length_(length),
          total_(batch.size() * length * alphabet.size()),
          out_(out),
          stream_(stream),
          isa_(isa),
          columns_(alphabet.size()) {
        std::size_t const n = alphabet.size();
        for (std::size_t code = 0; code < n && n <= 8; ++code) {
            patterns_[code] = static_cast<std::uint8_t>(1U << code);
        }
        unknown_patterns_[n] = static_cast<std::uint8_t>(low_bits(std::min<std::size_t>(n, 8)));
        ByteTable const& table = alphabet.table();
        filler_ = static_cast<std::uint8_t>(std::ranges::find(table, 0) - table.begin());
        if (length == 0) return;
        std::size_t const fits =
            std::clamp<std::size_t>(kBytes / sizeof(T) / n / 64 * 64, 64, kCodes);
        by_rows_ = layout == Layout::ncl && length > kCodes;
        if (by_rows_) {
            block_ = kCodes;
            parts_ = (length - 128) / block_ + 1;  // the last one is not too short for a line
            count_ = parts_ * batch.size();
        } else {
            block_ =
                layout == Layout::nlc ? fits : std::max<std::size_t>(fits / length, 1) * length;
            count_ = (batch.size() * length + block_ - 1) / block_;
        }
    }

    /// Number of blocks.
    [[nodiscard]] std::size_t count() const noexcept { return count_; }

    /// Encodes the blocks [begin, end) until one holds a code above `limit`; returns whether none
    /// does. If not, cells are only partly meaningful.
    bool encode(std::size_t begin, std::size_t end, std::uint8_t limit) const noexcept {
        // The codes of a block are made before the one before it is written. Made just before they
        // are needed, they would wait behind its cells on their way to the cache.
        std::array<Block, 2> blocks;
        if (begin < end) prepare(begin, blocks[begin % 2]);
        for (std::size_t i = begin; i < end; ++i) {
            if (blocks[i % 2].highest > limit) return false;
            if (i + 1 < end) prepare(i + 1, blocks[(i + 1) % 2]);
            // The letters after those are asked for in small steps between the cells: memory takes
            // bursts of reads badly, and processors do not look past a page by themselves.
            blocks[i % 2].ahead = i + 1 < end ? blocks[(i + 1) % 2].next : 0;
            write(blocks[i % 2]);
        }
        return true;
    }

  private:
    // A block's cells take kBytes or as much as kCodes letters, whichever is less. Half and twice
    // as much, and fewer letters, are as fast within the noise of benches/bench_onehot.py.
    static constexpr std::size_t kBytes = 1 << 14;
    static constexpr std::size_t kCodes = 4096;
    static constexpr std::uint8_t kPadding = kInvalid - 1;  // code past the end of a sequence

    using BitString = std::array<std::uint64_t, kBytes / 64 + 64>;

    struct Block {
        std::size_t index;  // by rows: of the sequence
        std::size_t begin;  // by rows: position in it; else the position of the first code
        std::size_t end;
        std::size_t first;  // cells to write, unless by rows
        std::size_t last;
        std::uintptr_t next;   // address after the last letter that was read
        std::uintptr_t ahead;  // that of the block which was prepared last
        std::uint8_t highest;  // code of a letter
        bool has_unknowns;     // with a value of their own
        std::array<std::uint8_t, kCodes + 256> codes;        // from `begin` on
        std::array<std::array<std::uint8_t, 128>, 2> heads;  // by rows: of this sequence and next
        BitString ones;  // of columns, where there is no ColumnsBits
        BitString unknowns;
    };

    void prepare(std::size_t number, Block& block) const noexcept {
        block.highest = 0;
        block.next = 0;
        if (by_rows_) {
            prepare_rows(number, block);
        } else {
            prepare_cells(number, block);
        }
        block.has_unknowns = block.highest >= alphabet_.size() && values_.unknown != T{};
#if defined(SEQTILE_X86)
        if (isa_ == Isa::avx512) return;
#endif
        if (layout_ == Layout::nlc) collect_columns(block);
    }

    void write(Block const& block) const noexcept {
        if (by_rows_) {
            write_rows(block);
        } else if (layout_ == Layout::ncl) {
            write_sequences(block);
        } else {
            write_columns(block);
        }
    }

    /// Part of one long sequence.
    void prepare_rows(std::size_t number, Block& block) const noexcept {
        block.index = number / parts_;
        block.begin = number % parts_ * block_;
        bool const ends = number % parts_ + 1 == parts_;
        block.end = ends ? length_ : block.begin + block_;
        std::size_t const known = ends ? length_ : std::min(length_, block.end + 64);
        std::size_t const start = block.index * length_;
        block.highest = load(start + block.begin, known - block.begin, block.codes.data());
        block.next = address(start + block.begin, known - block.begin);
        for (std::size_t i = 0; i < 2 && ends && block.index + i < batch_.size(); ++i) {
            block.highest =
                std::max(block.highest, load(start + i * length_, 64, block.heads[i].data()));
        }
    }

    /// Positions of any sequences, or whole sequences.
    void prepare_cells(std::size_t number, Block& block) const noexcept {
        std::size_t const n = alphabet_.size(), positions = total_ / n;
        block.begin = number * block_;
        block.end = std::min(block.begin + block_, positions);
        block.first = line_from(block.begin * n);
        block.last = line_from(block.end * n);
        if (block.first == block.last) return;  // the block before knows and writes it all
        if (layout_ == Layout::nlc) {
            block.begin = block.first / n;
            block.end = (block.last + n - 1) / n;
        } else {
            std::size_t const beyond = 64 + (length_ < 64 ? length_ : 0);
            block.end = std::min(positions, block.end + beyond);
        }
        block.highest = load(block.begin, block.end - block.begin, block.codes.data());
        block.next = address(block.begin, block.end - block.begin);
    }

    void collect_columns(Block& block) const noexcept {
        std::size_t const n = alphabet_.size(), size = block.end - block.begin;
        if (block.first == block.last) return;
        if (n > 8) {
            place_bits(block.codes.data(), size, n, block.ones.data());
            if (!block.has_unknowns) return;
            place_runs(block.codes.data(), size, n, alphabet_.size(), block.unknowns.data());
        } else {
            pack(block, patterns_, block.ones);
            if (block.has_unknowns) pack(block, unknown_patterns_, block.unknowns);
        }
    }

    void pack(Block const& block, ByteTable const& patterns, BitString& bits) const noexcept {
        std::array<std::uint8_t, kCodes + 256> found;
        std::size_t const size = block.end - block.begin;
        lookup(Bytes(block.codes).first((size + 63) / 64 * 64), patterns, found.data(), isa_);
#if defined(SEQTILE_X86)
        if (alphabet_.size() == 4 && isa_ == Isa::avx2) {
            return pack_four_avx2(found.data(), size, bits.data());
        }
#endif
        pack_bits(found.data(), size, alphabet_.size(), bits.data());
    }

    /// Positions before channels.
    void write_columns(Block const& block) const noexcept {
        std::size_t const skipped = block.first - block.begin * alphabet_.size();
#if defined(SEQTILE_X86)
        if (isa_ == Isa::avx512) {
            auto const bits = [&](bool unknown) {
                return ColumnsBits(block.codes.data(), columns_, alphabet_.size(), unknown,
                                   skipped);
            };
            return write_cells(block, bits(false), bits(true));
        }
#endif
        write_cells(block, StringBits(block.ones.data(), skipped),
                    StringBits(block.unknowns.data(), skipped));
    }

    /// Channels before positions, whole sequences.
    void write_sequences(Block const& block) const noexcept {
        std::size_t const n = alphabet_.size(), skipped = block.first - block.begin * n;
        auto const bits = [&](bool unknown) {
            return RowsBits(block.codes.data() + skipped / (n * length_) * length_, length_,
                            alphabet_.size(), unknown,
                            static_cast<std::uint8_t>(skipped / length_ % n), skipped % length_);
        };
        write_cells(block, bits(false), bits(true));
    }

    template <class Bits>
    void write_cells(Block const& block, Bits ones, Bits unknowns) const noexcept {
        expand(cells(block, ones, unknowns), block.last - block.first, out_ + block.first, stream_,
               isa_);
    }

    /// Channels before positions, part of one long sequence: each channel's row at its place.
    void write_rows(Block const& block) const noexcept {
        std::uint8_t const n = alphabet_.size();
        bool const ends = block.end == length_;
        for (std::uint8_t channel = 0; channel < n; ++channel) {
            std::size_t const row = (block.index * n + channel) * length_;
            std::size_t const stop = row + block.end;
            std::size_t const first = line_from(row + block.begin);
            std::size_t const last = ends ? stop - past_line(stop) : line_from(stop);
            auto const codes = [&](std::size_t cell) {
                return block.codes.data() + (cell - row - block.begin);
            };
            auto row_cells = cells(block, RowBits(codes(first), channel), RowBits(codes(first), n));
            row_cells.ahead += (block.end - block.begin) / n * channel;
            expand(row_cells, last - first, out_ + first, stream_, isa_);
            if (last >= stop) continue;
            // The row's last line ends with the head of the next row, of this sequence or the next.
            bool const same = channel + 1 < n;
            auto const join = [&](std::uint8_t here, std::uint8_t next) {
                return (equal_word(codes(last), here, isa_) & low_bits(stop - last)) |
                       equal_word(block.heads[same ? 0 : 1].data(), next, isa_) << (stop - last);
            };
            std::uint64_t const ones =
                join(channel, static_cast<std::uint8_t>(same ? channel + 1 : 0));
            std::uint64_t const unknowns = block.has_unknowns ? join(n, n) : 0;
            expand(cells(block, StringBits(&ones, 0), StringBits(&unknowns, 0)),
                   line_from(stop) - last, out_ + last, stream_, isa_);
        }
    }

    /// The codes of the positions [begin, begin + size) of all sequences, one after another and
    /// each padded to the length, then 64 of padding. Returns the highest code of a letter.
    std::uint8_t load(std::size_t begin, std::size_t size, std::uint8_t* codes) const noexcept {
        std::fill_n(codes + size, 64, kPadding);
        std::size_t const index = begin / length_, position = begin % length_;
        ByteTable const& table = alphabet_.table();
        std::uint8_t highest = 0;
        if (length_ >= 64) {
            for_each_part(
                index, position, size, [&](Bytes letters, std::size_t at, std::size_t cells) {
                    highest = std::max(highest, lookup(letters, table, codes + at, isa_));
                    std::fill_n(codes + at + letters.size(), cells - letters.size(), kPadding);
                });
            return highest;
        }
        // Short ones: together.
        bool padded = false;
        for_each_part(index, position, size, [&](Bytes letters, std::size_t at, std::size_t cells) {
            if (!letters.empty()) std::memcpy(codes + at, letters.data(), letters.size());
            std::fill_n(codes + at + letters.size(), cells - letters.size(), filler_);
            padded = padded || letters.size() < cells;
        });
        highest = lookup({codes, size}, table, codes, isa_);
        if (!padded) return highest;
        for_each_part(index, position, size, [&](Bytes letters, std::size_t at, std::size_t cells) {
            std::fill_n(codes + at + letters.size(), cells - letters.size(), kPadding);
        });
        return highest;
    }

    /// Where the letter after these positions is, if it is one of the same sequence or of a grid.
    [[nodiscard]] std::uintptr_t address(std::size_t begin, std::size_t size) const noexcept {
        std::size_t const last = begin + size - 1;
        return reinterpret_cast<std::uintptr_t>(batch_[last / length_].data()) + last % length_ + 1;
    }

    /// Calls `body(letters, at, cells)` for each sequence in [position, position + size): its
    /// letters, which begin at `at` and are followed by padding up to `at + cells`.
    template <class Body>
    void for_each_part(std::size_t index, std::size_t position, std::size_t size,
                       Body const& body) const noexcept {
        for (std::size_t at = 0; at < size; ++index, position = 0) {
            std::size_t const cells = std::min(size - at, length_ - position);
            Bytes const sequence = batch_[index];
            std::size_t const from = std::min(position, sequence.size());
            body(sequence.subspan(from, std::min(cells, sequence.size() - from)), at, cells);
            at += cells;
        }
    }

    template <class Bits>
    CellBits<T, Bits> cells(Block const& block, Bits ones, Bits unknowns) const noexcept {
        return {ones,
                unknowns,
                block.has_unknowns,
                values_.on,
                values_.unknown,
                block.ahead,
                64U / alphabet_.size()};
    }

    /// The first cell from this one on that begins a cache line, or the first or last of all.
    [[nodiscard]] std::size_t line_from(std::size_t cell) const noexcept {
        if (cell == 0) return 0;
        return cell >= total_ ? total_ : std::min(total_, cell + cells_to_line(out_ + cell));
    }

    /// Cells between the beginning of a cache line and this one; 0 at the end of all.
    [[nodiscard]] std::size_t past_line(std::size_t cell) const noexcept {
        if (cell == total_) return 0;
        return reinterpret_cast<std::uintptr_t>(out_ + cell) % 64 / sizeof(T);
    }

    Sequences batch_;
    Alphabet const& alphabet_;
    Layout layout_;
    OneHotValues<T> values_;
    std::size_t length_;
    std::size_t total_;  // cells
    T* out_;
    bool stream_;
    Isa isa_;
    ColumnTable columns_;
    ByteTable patterns_{};          // code -> bits of a position, for up to 8 channels
    ByteTable unknown_patterns_{};  // the same for the code of unknown letters
    std::uint8_t filler_;           // a byte that is a letter
    std::size_t block_ = 0;         // positions of a block
    std::size_t parts_ = 0;         // by rows: blocks of each sequence
    std::size_t count_ = 0;
    bool by_rows_ = false;
};

}  // namespace seqtile
