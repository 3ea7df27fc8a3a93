// What a parser finds in a file, in a form that can be compared: for tests and fuzz targets.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fasta/records.hpp"

namespace seqtile::test {

// Length, offset, bases, width, uneven line, line with a blank.
using Geometry = std::array<std::uint64_t, 6>;

struct Found {
    std::string header, letters, quality;
    std::uint64_t line = 0;
    Geometry geometry{};
    bool operator==(Found const&) const = default;
};

/// The records of a file, and the error after them, if any.
struct Parsed {
    std::vector<Found> records;
    std::string error;
    std::uint64_t error_line = 0;
    std::string error_record;
    bool operator==(Parsed const&) const = default;
};

inline std::string slab_text(RecordBlock const& block, std::size_t from, std::size_t size) {
    return {reinterpret_cast<char const*>(block.slab->data()) + from, size};
}

/// Adds a block's records, or pieces of them.
inline void add(Parsed& all, RecordBlock const& block) {
    bool const fastq = block.format == Format::fastq;
    for (auto const& part : block.parts) {
        if (part.begins) {
            all.records.emplace_back();
            all.records.back().header = slab_text(block, part.header, part.header_size);
        }
        Found& found = all.records.back();
        found.line = part.line;
        found.letters += slab_text(block, part.letters, part.length);
        if (fastq) found.quality += slab_text(block, part.letters + part.length, part.length);
        if (part.ends) {
            auto const& g = part.geometry;
            found.geometry = {g.length,     g.offset,      g.line_bases,
                              g.line_width, g.uneven_line, g.blank_line};
        }
    }
}

struct Options {
    Format format = Format::any;
    bool pieces = false;
    LetterRule const* rule = &kLetters;
};

/// Parses `file` in blocks of the sizes that `next` gives; each block is an allocation of its own,
/// so that a sanitizer sees a read past it.
template <class Next>
Parsed parse_blocks(std::string_view file, Next next, Options const& options = {}) {
    RecordParser parser(*options.rule, options.format);
    Parsed all;
    auto const fail = [&](ParseError const& error) {
        all.error = error.what();
        all.error_line = error.line();
        all.error_record = error.record();
    };
    while (!file.empty() && all.error.empty()) {
        std::size_t const size = std::min<std::size_t>(next(), file.size());
        std::vector<std::uint8_t> const block(file.begin(),
                                              file.begin() + static_cast<std::ptrdiff_t>(size));
        file.remove_prefix(size);
        try {
            parser.feed(block);
        } catch (ParseError const& error) {
            fail(error);
        }
        add(all, parser.take(options.pieces && all.error.empty()));
    }
    if (!all.error.empty()) return all;
    try {
        parser.finish();
    } catch (ParseError const& error) {
        fail(error);
    }
    add(all, parser.take());
    return all;
}

inline Parsed parse(std::string_view file, std::size_t size, Options const& options = {}) {
    return parse_blocks(
        file, [size] { return size; }, options);
}

}  // namespace seqtile::test
