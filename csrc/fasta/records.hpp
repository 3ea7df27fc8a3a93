// Streaming parser of FASTA and FASTQ over blocks of bytes.
// FASTA: NCBI's description. FASTQ: Cock et al. 2010 (Sanger); lines may be wrapped.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../core/lookup.hpp"
#include "../core/slab.hpp"
#include "error.hpp"
#include "letters.hpp"
#include "lines.hpp"

namespace seqtile {

/// Where a record lies in its file, as `samtools faidx` describes it.
struct FastaGeometry {
    std::uint64_t length = 0;       ///< letters
    std::uint64_t offset = 0;       ///< byte of the first letter
    std::uint64_t line_bases = 0;   ///< letters per line
    std::uint64_t line_width = 0;   ///< bytes per line, its end included
    std::uint64_t uneven_line = 0;  ///< line that breaks the even wrapping, 0 if none does
    std::uint64_t blank_line = 0;   ///< line with a blank before its last letter, which is uneven
};

/// A record, or a part of one: places in a slab.
struct RecordPart {
    std::size_t header = 0;       ///< of the header's text, from its name to its last letter
    std::size_t header_size = 0;  ///< 0 in a later part of a record, and without name
    std::size_t letters = 0;      ///< of the first letter; the header, if any, stands before it
    std::size_t length = 0;       ///< letters; in FASTQ as many qualities follow them
    std::uint64_t line = 0;       ///< the header's line in the file, from 1
    bool begins = true;           ///< it holds the header
    bool ends = false;            ///< it holds the last letter
    FastaGeometry geometry;       ///< of the whole record, where it ends
};

enum class Format : std::uint8_t { any, fasta, fastq };

/// Records that were parsed together.
struct RecordBlock {
    std::shared_ptr<Slab> slab;
    std::vector<RecordPart> parts;
    std::size_t bytes = 0;  ///< of the slab, used
    Format format = Format::any;
};

/// Push parser: feed() the file's blocks in order, any sizes, then finish(); take() between them
/// what is whole. Lines end in LF or CRLF; blank lines, blanks before a name and in lines of
/// letters, and comments (';' or '#') before the first record are skipped; a name may be empty.
/// Letters are looked up in the rule's table as they are copied, and never touched again.
/// Anything unexpected is a ParseError with line and record.
class RecordParser {
  public:
    explicit RecordParser(LetterRule const& rule, Format format = Format::any)
        : rule_(rule), format_(format), slab_(SlabPool::take(0)) {}

    /// @throw ParseError, std::bad_alloc
    void feed(Bytes block) {
        make_room(block.size() + kCopySlack);
        auto const* cursor = block.data();
        auto const* const end = cursor + block.size();
        while (cursor != end) {
            if (at_line_start_) {
                if (state_ == State::letters) cursor += skip_lines({cursor, end});
                if (cursor == end) break;
                if (!begin_line(*cursor)) ++cursor;
                if (cursor == end) break;
            }
            auto const* const newline = static_cast<std::uint8_t const*>(
                std::memchr(cursor, '\n', static_cast<std::size_t>(end - cursor)));
            Bytes const piece(cursor, newline ? newline : end);
            append(piece);
            cursor += piece.size();
            advance(piece.size());
            if (newline) {
                ++cursor;
                advance(1);
                end_line();
            }
        }
    }

    /// The file has ended. @throw ParseError if it held no record, or half a one
    void finish() {
        if (!at_line_start_) {
            ++line_bytes_;  // the index counts a line end that is missing
            end_line();
        }
        if (state_ == State::none) {
            throw ParseError(format_ == Format::fasta
                                 ? "expected a FASTA record (a line that starts with '>'), found "
                                   "none: the file is empty"
                                 : "expected a FASTA or FASTQ record (a line that starts with '>' "
                                   "or '@'), found none: the file is empty",
                             line_, "");
        }
        if (state_ == State::letters && format_ == Format::fastq) {
            throw ParseError("expected a line that starts with '+', found the file's end", line_,
                             name_);
        }
        if (state_ == State::qualities) refuse_qualities("found the file's end");
        if (state_ == State::letters) end_record();
    }

    /// The whole records so far; with `pieces` (FASTA only) also the letters so far of the one that
    /// has begun, whose next part goes on from there. Its slab is the caller's.
    [[nodiscard]] RecordBlock take(bool pieces = false) {
        if (pieces && state_ == State::letters) {
            parts_.push_back(part_);
            RecordPart later;
            later.header = later.letters = size_;
            later.line = part_.line;
            later.begins = false;
            part_ = later;
        }
        if (parts_.empty()) return {};
        RecordBlock block{std::move(slab_), std::exchange(parts_, {}), size_, format_};
        parts_.reserve(block.parts.size());
        // What there is of the next record moves to the next slab.
        std::size_t const from = open() ? part_.header : size_;
        // After a record that filled a slab of its own, one as long is expected.
        std::size_t const hint = block.parts.size() == 1 && !pieces ? block.slab->capacity() : 0;
        slab_ = SlabPool::take(std::max(size_ - from, hint));
        std::memcpy(slab_->data(), block.slab->data() + from, size_ - from);
        size_ -= from;
        part_.header -= from;
        part_.letters -= from;
        return block;
    }

  private:
    enum class State : std::uint8_t { none, header, letters, plus, qualities, between };

    [[nodiscard]] bool open() const noexcept {
        return state_ != State::none && state_ != State::between;
    }

    void make_room(std::size_t bytes) {
        if (size_ + bytes <= slab_->capacity()) return;
        auto grown = SlabPool::take(std::max(size_ + bytes, 2 * slab_->capacity()));
        std::memcpy(grown->data(), slab_->data(), size_);
        slab_ = std::move(grown);
    }

    void advance(std::size_t bytes) noexcept {
        consumed_ += bytes;
        line_bytes_ += bytes;
    }

    /// Copies the lines that are as long as the record's first; returns their bytes.
    std::size_t skip_lines(Bytes from) {
        std::size_t const width = geometry_.line_bases, gap = geometry_.line_width - width;
        bool const even = !short_seen_ && !blank_seen_;
        if (width == 0 || gap > 2 || format_ != Format::fasta ||
            !(even || geometry_.uneven_line != 0)) {
            return 0;
        }
        std::size_t const lines = copy_lines(from, width, gap, rule_.table, slab_->data() + size_);
        add_letters(lines * width);
        line_ += lines;
        consumed_ += lines * (width + gap);
        return lines * (width + gap);
    }

    void add_letters(std::size_t count) noexcept {
        size_ += count;
        part_.length += count;
        geometry_.length += count;
    }

    /// Looks at a line's first byte. True if the byte is part of the line's text, false if it was
    /// the '>', '@' or '+' before it.
    bool begin_line(std::uint8_t first) {
        at_line_start_ = false;
        line_bytes_ = line_letters_ = 0;
        comment_ = state_ == State::none && (first == ';' || first == '#');
        if (state_ == State::qualities || comment_) return true;
        if (state_ == State::none && format_ == Format::any && (first == '>' || first == '@')) {
            format_ = first == '>' ? Format::fasta : Format::fastq;
        }
        bool const fastq = format_ == Format::fastq;
        if (first == (fastq ? '@' : '>') && !(fastq && state_ == State::letters)) {
            if (state_ == State::letters) end_record();
            state_ = State::header;
            part_ = {};
            part_.header = size_;
            part_.line = line_;
        } else if (first == '+' && fastq && state_ == State::letters) {
            state_ = State::plus;
            plus_ = 0;
            plus_blank_ = plus_same_ = true;
        } else {
            if (!open() && !is_blank(first) && first != '\n') refuse_start(first);
            return true;
        }
        advance(1);
        return false;
    }

    void end_line() {
        at_line_start_ = true;
        if (state_ == State::header) {
            end_header();
        } else if (state_ == State::plus) {
            end_plus();
        } else if (state_ == State::qualities) {
            if (quality_ < part_.length && line_letters_ == 0) refuse_qualities("found fewer");
            if (quality_ == part_.length) end_record();
        } else if (line_letters_ != 0) {
            measure_line();
        } else {
            blank_seen_ = open();
        }
        blanks_ = 0;
        return_held_ = false;
        ++line_;
    }

    void end_header() {
        while (size_ > part_.header && is_blank(slab_->data()[size_ - 1])) --size_;
        while (part_.header < size_ && is_inner_blank(slab_->data()[part_.header])) ++part_.header;
        std::uint8_t const* const text = slab_->data() + part_.header;
        std::string_view const header(reinterpret_cast<char const*>(text), size_ - part_.header);
        name_.clear();
        if (header.find('\r') != std::string_view::npos) refuse_carriage_return();
        if (header.find('\0') != std::string_view::npos) {
            throw ParseError("NUL byte in a header line: a binary file is no FASTA", line_, "");
        }
        part_.header_size = header.size();
        part_.letters = size_;
        auto const* const end = std::find_if(text, text + header.size(), is_blank);
        name_.assign(text, end);
        geometry_ = {};
        geometry_.offset = consumed_;
        short_seen_ = blank_seen_ = false;
        state_ = State::letters;
    }

    void end_plus() {
        if (!plus_blank_ && !(plus_same_ && plus_ >= part_.header_size)) {
            throw ParseError("expected nothing or the record's header after '+'", line_, name_);
        }
        quality_ = 0;
        state_ = State::qualities;
        if (part_.length == 0) end_record();
    }

    void end_record() {
        part_.ends = true;
        part_.geometry = geometry_;
        parts_.push_back(part_);
        state_ = State::between;
    }

    /// A line, or a piece of it, to the slab. Blanks are held back until the line ends.
    void append(Bytes piece) {
        if (comment_) return;
        if (state_ == State::header) {
            std::memcpy(slab_->data() + size_, piece.data(), piece.size());
            size_ += piece.size();
            return;
        }
        if (state_ == State::plus) {
            compare_plus(piece);
            return;
        }
        std::size_t size = piece.size();
        while (size != 0 && is_blank(piece[size - 1])) --size;
        if (size != 0) append_letters(piece.first(size));
        for (std::uint8_t const blank : piece.subspan(size)) {
            if (blanks_++ == 0) blank_ = blank;
            return_held_ = return_held_ || blank == '\r';
        }
    }

    /// The text after '+' must be blank, or the header and blanks around it.
    void compare_plus(Bytes piece) noexcept {
        if (plus_ == 0) {
            while (!piece.empty() && is_blank(piece[0])) piece = piece.subspan(1);
        }
        plus_blank_ = plus_blank_ && std::all_of(piece.begin(), piece.end(), is_blank);
        std::size_t const rest = part_.header_size - std::min(plus_, part_.header_size);
        Bytes const text = piece.first(std::min(rest, piece.size()));
        Bytes const tail = piece.subspan(text.size());
        plus_same_ = plus_same_ &&
                     std::equal(text.begin(), text.end(), slab_->data() + part_.header + plus_) &&
                     std::all_of(tail.begin(), tail.end(), is_blank);
        plus_ += text.size();
    }

    void append_letters(Bytes letters) {
        if (!open()) refuse_start(blanks_ != 0 ? blank_ : letters[0]);
        bool const quality = state_ == State::qualities;
        LetterRule const& rule = quality ? kQualities : rule_;
        // The first byte that is wrong, wherever blocks end: only then are there too many.
        std::size_t const room = quality ? part_.length - quality_ : letters.size();
        if (room == 0) refuse_qualities("found more");
        if (blanks_ != 0) {
            if (quality) refuse_letter(blank_, line_bytes_ - blanks_, rule);
            if (return_held_) refuse_carriage_return();
            pass_blanks();
        }
        Bytes fitting = letters.first(std::min(room, letters.size()));
        if (lookup(fitting, rule.table, slab_->data() + size_) == kInvalid) {
            auto const passed = [quality](std::uint8_t byte) {
                return !quality && is_inner_blank(byte);
            };
            std::size_t i = 0;
            while (i < fitting.size() &&
                   (rule.table[letters[i]] != kInvalid || passed(letters[i]))) {
                ++i;
            }
            if (i < fitting.size()) refuse_letter(letters[i], line_bytes_ + i, rule);
            pass_blanks();
            without_blanks_.clear();
            std::remove_copy_if(letters.begin(), letters.end(), std::back_inserter(without_blanks_),
                                passed);
            fitting = letters = without_blanks_;
            lookup(fitting, rule.table, slab_->data() + size_);
        }
        if (letters.size() > room) refuse_qualities("found more");
        line_letters_ += letters.size();
        if (quality) {
            size_ += letters.size();
            quality_ += letters.size();
        } else {
            add_letters(letters.size());
        }
    }

    /// Letters follow blanks, in a line of letters.
    void pass_blanks() noexcept {
        blanks_ = 0;
        if (geometry_.blank_line == 0) geometry_.blank_line = line_;
        if (geometry_.uneven_line == 0) geometry_.uneven_line = line_;
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
        std::string what = format_ == Format::fastq ? "expected '@' at the start of a FASTQ record"
                           : format_ == Format::any
                               ? "expected '>' or '@' at the start of a FASTA or FASTQ file"
                               : "expected '>' at the start of a FASTA file";
        what += ", found ";
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
        throw ParseError(what, line_, format_ == Format::fastq ? name_ : "");
    }

    [[noreturn]] void refuse_letter(std::uint8_t byte, std::size_t column,
                                    LetterRule const& rule) const {
        if (byte == '\r') refuse_carriage_return();
        throw ParseError("expected " + rule.expected + ", found " + printable(byte) +
                             " in column " + std::to_string(column + 1),
                         line_, name_);
    }

    [[noreturn]] void refuse_qualities(std::string const& found) const {
        throw ParseError("expected " + std::to_string(part_.length) +
                             " quality letters, as many as the sequence has, " + found,
                         line_, name_);
    }

    [[noreturn]] void refuse_carriage_return() const {
        throw ParseError("carriage return inside a line: lines must end in LF or CRLF", line_,
                         name_);
    }

    LetterRule rule_;
    Format format_;
    std::shared_ptr<Slab> slab_;
    std::size_t size_ = 0;                       // bytes in the slab
    std::vector<RecordPart> parts_;              // of whole records in it
    RecordPart part_;                            // the one that has begun
    FastaGeometry geometry_;                     // of its record
    std::string name_;                           // of its record, or of the one before
    std::size_t plus_ = 0;                       // bytes after '+' so far, at most the header's
    bool plus_blank_ = true, plus_same_ = true;  // as far as they go
    State state_ = State::none;
    std::uint64_t line_ = 1;
    std::uint64_t consumed_ = 0;    // bytes of the file so far
    std::uint64_t line_bytes_ = 0;  // of the current line
    std::uint64_t line_letters_ = 0;
    std::uint64_t quality_ = 0;                 // quality letters of the record so far
    std::uint64_t blanks_ = 0;                  // held back at the end of the current line so far
    std::uint8_t blank_ = 0;                    // the first of them
    bool return_held_ = false;                  // one is a carriage return
    std::vector<std::uint8_t> without_blanks_;  // a line's letters
    bool at_line_start_ = true;
    bool comment_ = false;     // the current line is one
    bool short_seen_ = false;  // a line shorter than the first, in this record
    bool blank_seen_ = false;  // an empty line, in this record
};

}  // namespace seqtile
