// Streaming FASTA parser over blocks of bytes.
// Format: NCBI's FASTA; index: samtools faidx (name, length, offset, line bases, line width).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "error.hpp"
#include "sequence.hpp"

namespace seqtile {

/// Where a record lies in its file, as `samtools faidx` describes it.
struct FastaGeometry {
    std::uint64_t length = 0;       ///< letters
    std::uint64_t offset = 0;       ///< byte of the first letter
    std::uint64_t line_bases = 0;   ///< letters per line
    std::uint64_t line_width = 0;   ///< bytes per line, its end included
    std::uint64_t uneven_line = 0;  ///< line that breaks the even wrapping, 0 if none does
};

/// What one block of a file held.
struct FastaBlock {
    struct Header {
        std::size_t position;  ///< index in `sequence` of the record's first letter
        std::string text;      ///< the header line without '>' and line end
        std::uint64_t line;    ///< its number, from 1
    };
    std::vector<std::uint8_t> sequence;   ///< letters, line ends removed
    std::vector<Header> headers;          ///< records that begin in this block
    std::vector<FastaGeometry> finished;  ///< records that ended in this block
};

/// Bytes that may stand at a line's end, before its LF, and that end a record's name.
inline constexpr std::string_view kBlanks = " \t\r\v\f";

constexpr bool is_blank(std::uint8_t byte) noexcept {
    return kBlanks.find(static_cast<char>(byte)) != std::string_view::npos;
}

/// Push parser: feed() the file's blocks in order, any sizes, then finish(). Memory is that of one
/// block. Line ends LF and CRLF; blank lines and blanks at a line's end are skipped; letters, '*',
/// '-' and '.' are kept as they are. Anything else is a ParseError with line and record.
class FastaParser {
  public:
    /// @throw ParseError
    void feed(Bytes block, FastaBlock& out) {
        auto const* cursor = block.data();
        auto const* const end = cursor + block.size();
        out.sequence.reserve(out.sequence.size() + block.size());
        while (cursor != end) {
            if (at_line_start_ && !begin_line(*cursor)) ++cursor;
            if (cursor == end) break;
            auto const* const newline = static_cast<std::uint8_t const*>(
                std::memchr(cursor, '\n', static_cast<std::size_t>(end - cursor)));
            Bytes const part(cursor, newline ? newline : end);
            if (in_header_) {
                header_.append(part.begin(), part.end());
            } else {
                append(part, out);
            }
            cursor += part.size();
            consumed_ += part.size();
            line_bytes_ += part.size();
            if (newline) {
                ++cursor;
                ++consumed_;
                ++line_bytes_;
                end_line(out);
            }
        }
    }

    /// The file has ended. @throw ParseError if it held no record.
    void finish(FastaBlock& out) {
        if (!at_line_start_) {
            ++line_bytes_;  // the index counts a line end that is missing
            end_line(out);
        }
        if (!in_record_) {
            throw ParseError(
                "expected a FASTA record (a line that starts with '>'), found none: "
                "the file is empty",
                line_, "");
        }
        out.finished.push_back(geometry_);
        in_record_ = false;
    }

  private:
    /// Looks at a line's first byte. True if the byte is part of the line's text, false if it was
    /// the '>' of a header.
    bool begin_line(std::uint8_t first) {
        at_line_start_ = false;
        line_bytes_ = line_letters_ = 0;
        in_header_ = first == '>';
        if (in_header_) {
            header_.clear();
            ++consumed_;
            ++line_bytes_;
            return false;
        }
        if (!in_record_ && !is_blank(first) && first != '\n') refuse_start(first);
        return true;
    }

    void end_line(FastaBlock& out) {
        if (in_header_) {
            end_header(out);
        } else if (line_letters_ != 0) {
            measure_line();
        } else {
            blank_seen_ = in_record_;
        }
        blanks_ = 0;
        at_line_start_ = true;
        in_header_ = false;
        ++line_;
    }

    void end_header(FastaBlock& out) {
        while (!header_.empty() && is_blank(static_cast<std::uint8_t>(header_.back()))) {
            header_.pop_back();
        }
        if (header_.find('\r') != std::string::npos) refuse_carriage_return();
        if (header_.empty() || is_blank(static_cast<std::uint8_t>(header_.front()))) {
            throw ParseError("expected a name after '>'", line_, "");
        }
        if (header_.find('\0') != std::string::npos) {
            throw ParseError("NUL byte in a header line: a binary file is no FASTA", line_, name_);
        }
        if (in_record_) out.finished.push_back(geometry_);
        geometry_ = {.offset = consumed_};
        in_record_ = true;
        short_seen_ = blank_seen_ = false;
        name_ = header_.substr(0, header_.find_first_of(kBlanks));
        out.headers.push_back({out.sequence.size(), std::move(header_), line_});
        header_ = {};
    }

    /// Letters of a line, or of a piece of it, to `out`. Blanks are held back until the line ends.
    void append(Bytes part, FastaBlock& out) {
        std::size_t size = part.size();
        while (size != 0 && is_blank(part[size - 1])) --size;
        if (size != 0) {
            if (!in_record_) refuse_start(blanks_ != 0 ? blank_ : part[0]);
            if (blanks_ != 0) refuse_letter(blank_, line_bytes_ - blanks_);
            std::uint8_t refused = 0;
            for (std::size_t i = 0; i < size; ++i) {
                refused |= static_cast<std::uint8_t>(!kLegal[part[i]]);
            }
            if (refused) {
                std::size_t i = 0;
                while (kLegal[part[i]]) ++i;
                refuse_letter(part[i], line_bytes_ + i);
            }
            out.sequence.insert(out.sequence.end(), part.begin(),
                                part.begin() + static_cast<std::ptrdiff_t>(size));
            line_letters_ += size;
            geometry_.length += size;
        }
        if (blanks_ == 0 && size != part.size()) blank_ = part[size];
        blanks_ += part.size() - size;
    }

    void measure_line() noexcept {
        if (geometry_.line_bases == 0) {
            geometry_.line_bases = line_letters_;
            geometry_.line_width = line_bytes_;
            if (blank_seen_) geometry_.uneven_line = line_;
            return;
        }
        bool const too_long =
            line_letters_ > geometry_.line_bases || line_bytes_ > geometry_.line_width;
        if ((short_seen_ || blank_seen_ || too_long) && geometry_.uneven_line == 0) {
            geometry_.uneven_line = line_;
        }
        short_seen_ = short_seen_ || line_letters_ < geometry_.line_bases ||
                      line_bytes_ < geometry_.line_width;
    }

    [[noreturn]] void refuse_start(std::uint8_t first) const {
        std::string what = "expected '>' at the start of a FASTA file, found ";
        if (first == '@') {
            what += "'@': this looks like FASTQ";
        } else if (first == '<') {
            what += "'<': this looks like HTML or XML";
        } else if (first == 0xEF) {
            what += "byte 0xEF: remove the UTF-8 byte order mark";
        } else {
            what +=
                printable(first) + (first < 9 || first > 126 ? ": a binary file is no FASTA" : "");
        }
        throw ParseError(what, line_, "");
    }

    [[noreturn]] void refuse_letter(std::uint8_t byte, std::size_t column) const {
        if (byte == '\r') refuse_carriage_return();
        throw ParseError("expected a letter, '*', '-' or '.', found " + printable(byte) +
                             " in column " + std::to_string(column + 1),
                         line_, name_);
    }

    [[noreturn]] void refuse_carriage_return() const {
        throw ParseError("carriage return inside a line: lines must end in LF or CRLF", line_,
                         name_);
    }

    static std::string printable(std::uint8_t byte) {
        if (byte > 32 && byte < 127) return {'\'', static_cast<char>(byte), '\''};
        if (byte == ' ' || byte == '\t') return "a blank";
        constexpr std::string_view digits = "0123456789ABCDEF";
        return std::string("byte 0x") + digits[byte >> 4] + digits[byte & 15];
    }

    static constexpr std::array<bool, 256> kLegal = [] {
        std::array<bool, 256> legal{};
        for (char const letter : kAllLetters) {
            legal[static_cast<std::uint8_t>(letter)] = true;
            legal[static_cast<std::uint8_t>(to_lower(letter))] = true;
        }
        for (char const other : std::string_view("*-.")) {
            legal[static_cast<std::uint8_t>(other)] = true;
        }
        return legal;
    }();

    FastaGeometry geometry_;
    std::string header_;
    std::string name_;
    std::uint64_t line_ = 1;
    std::uint64_t consumed_ = 0;    // bytes of the file so far
    std::uint64_t line_bytes_ = 0;  // of the current line
    std::uint64_t line_letters_ = 0;
    std::uint64_t blanks_ = 0;  // held back at the end of the current line so far
    std::uint8_t blank_ = 0;    // the first of them
    bool at_line_start_ = true;
    bool in_header_ = false;
    bool in_record_ = false;
    bool short_seen_ = false;  // a line shorter than the first, in this record
    bool blank_seen_ = false;  // an empty line, in this record
};

}  // namespace seqtile
