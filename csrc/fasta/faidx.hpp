// Letters of wrapped records, found through an index as `samtools faidx` writes it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../core/bytes.hpp"

namespace seqtile {

/// A line of a .fai index. Sound if `0 < line_bases <= line_width` (or length is 0) and the record
/// ends below 2^63; then nothing below overflows.
struct FaidxRecord {
    std::uint64_t length;      ///< letters
    std::uint64_t offset;      ///< byte of the first letter
    std::uint64_t line_bases;  ///< letters per line
    std::uint64_t line_width;  ///< bytes per line, its end included
};

/// Bytes of a file, or of a record.
struct Span {
    std::uint64_t offset;
    std::uint64_t size;
    [[nodiscard]] constexpr std::uint64_t end() const noexcept { return offset + size; }
};

/// Bytes from letter `start` to letter `end` of a sound record, `start < end <= length`; the offset
/// counts from the record's first letter.
constexpr Span line_span(std::uint64_t start, std::uint64_t end,
                         FaidxRecord const& record) noexcept {
    std::uint64_t const bases = record.line_bases;
    std::uint64_t const ends = record.line_width - bases;  // bytes of a line end
    std::uint64_t const first = start + start / bases * ends;
    std::uint64_t const last = end - 1 + (end - 1) / bases * ends;
    return {first, last + 1 - first};
}

/// Letters before byte `offset` (counted from the record's first letter).
constexpr std::uint64_t letters_before(std::uint64_t offset, FaidxRecord const& record) noexcept {
    return offset / record.line_width * record.line_bases +
           std::min(offset % record.line_width, record.line_bases);
}

namespace detail {

using Lanes = std::uint8_t __attribute__((vector_size(16)));

// 1 in the lanes of bytes that are no letters: blanks, controls and '>'.
inline Lanes not_letters(Lanes lanes) noexcept {
    return reinterpret_cast<Lanes>((lanes <= ' ') | (lanes == '>'));
}

inline Lanes load(std::uint8_t const* from) noexcept {
    Lanes lanes;
    std::memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

// Copies a line's letters; adds to `refused` if one is none. Sixteen bytes at a time, the last
// sixteen overlapping those before.
inline void copy_letters(std::uint8_t* to, std::uint8_t const* from, std::size_t size,
                         Lanes& refused) noexcept {
    constexpr std::size_t kStep = sizeof(Lanes);
    if (size < kStep) {
        bool bad = false;
        for (std::size_t i = 0; i < size; ++i) {
            to[i] = from[i];
            bad |= from[i] <= ' ' || from[i] == '>';
        }
        refused[0] = static_cast<std::uint8_t>(refused[0] | (bad ? 1 : 0));
        return;
    }
    auto const copy = [&](std::size_t at) {
        Lanes const lanes = load(from + at);
        std::memcpy(to + at, &lanes, kStep);
        refused |= not_letters(lanes);
    };
    std::size_t at = 0;
    for (; at + kStep <= size; at += kStep) copy(at);
    if (at != size) copy(size - kStep);
}

}  // namespace detail

/// Copies the letters of `raw`, which begins at byte `offset` of its record, to `out`, whose size
/// is their number. False if a line end is not where the index puts it, or a letter is none.
inline bool unwrap(Bytes raw, std::uint64_t offset, FaidxRecord const& record,
                   MutableBytes out) noexcept {
    std::uint64_t const bases = record.line_bases;
    std::uint64_t const column = offset % record.line_width;
    auto const* from = raw.data();
    auto const* const end = from + raw.size();
    auto* to = out.data();
    auto* const to_end = to + out.size();
    detail::Lanes refused{};
    std::uint64_t room = column < bases ? bases - column : 0;  // letters to the line's end
    std::uint64_t ends = record.line_width - std::max(column, bases);
    while (from != end) {
        auto const size = static_cast<std::size_t>(
            std::min<std::uint64_t>(room, static_cast<std::uint64_t>(end - from)));
        if (size > static_cast<std::size_t>(to_end - to)) return false;
        detail::copy_letters(to, from, size, refused);
        from += size;
        to += size;
        for (; ends != 0 && from != end; --ends, ++from) {
            // LF, or a blank before it
            if (*from != '\n' && *from != ' ' && (*from < '\t' || *from > '\r')) return false;
        }
        room = bases;
        ends = record.line_width - bases;
    }
    std::uint64_t halves[2];
    std::memcpy(halves, &refused, sizeof halves);
    return to == to_end && (halves[0] | halves[1]) == 0;
}

}  // namespace seqtile
