// Reading of wrapped lines through an index (samtools faidx: line bases, line width).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "letters.hpp"
#include "sequence.hpp"

namespace seqtile {

/// Number of bytes between the letters `start` and `end` (`start < end`) of a wrapped record, and
/// where they begin, relative to the record's offset.
struct LineSpan {
    std::uint64_t offset;
    std::uint64_t size;
};

constexpr LineSpan line_span(std::uint64_t start, std::uint64_t end, std::uint64_t line_bases,
                             std::uint64_t line_width) noexcept {
    std::uint64_t const first = start / line_bases * line_width + start % line_bases;
    std::uint64_t const last = (end - 1) / line_bases * line_width + (end - 1) % line_bases;
    return {first, last + 1 - first};
}

/// Removes the line ends from `raw`, which begins `column` letters into a line, and writes the
/// letters to `out`. False if a line end is not where the index puts it, or a letter is none.
inline bool unwrap(Bytes raw, std::uint64_t column, std::uint64_t line_bases,
                   std::uint64_t line_width, MutableBytes out) noexcept {
    std::size_t from = 0, to = 0;
    std::size_t room = line_bases - column;
    bool sound = true;
    while (to < out.size()) {
        std::size_t const size = std::min(room, out.size() - to);
        if (from + size > raw.size()) return false;
        std::memcpy(out.data() + to, raw.data() + from, size);
        for (std::size_t i = 0; i < size; ++i) sound &= out[to + i] > ' ' && out[to + i] != '>';
        from += size;
        to += size;
        if (to == out.size()) break;
        for (std::uint64_t i = line_bases; i < line_width; ++i, ++from) {
            if (from >= raw.size()) return false;
            sound &= raw[from] == '\n' || is_blank(raw[from]);
        }
        room = line_bases;
    }
    return sound;
}

}  // namespace seqtile
