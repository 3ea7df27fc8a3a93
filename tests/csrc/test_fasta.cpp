#include "check.hpp"
#include "fasta.hpp"

namespace seqtile {
namespace {

using test::bytes;
using test::text;

struct Header {
    std::size_t position;
    std::string text;
    std::uint64_t line;
    bool operator==(Header const&) const = default;
};

using Geometry = std::array<std::uint64_t, 5>;  // length, offset, bases, width, uneven line

/// What a file holds, or where it is broken.
struct Parsed {
    std::string letters;
    std::vector<Header> headers;
    std::vector<Geometry> records;
    std::string error;
    std::uint64_t error_line = 0;
    std::string error_record;
    bool operator==(Parsed const&) const = default;
};

/// Parses `file` in blocks of `size` bytes, joining what each block gave.
Parsed parse(std::string_view file, std::size_t size) {
    FastaParser parser;
    Parsed all;
    try {
        for (std::size_t begin = 0; begin <= file.size(); begin += size) {
            FastaBlock block;
            bool const last = begin + size > file.size();
            parser.feed(bytes(file.substr(begin, size)), block);
            if (last) parser.finish(block);
            for (auto& header : block.headers) {
                all.headers.push_back(
                    {all.letters.size() + header.position, header.text, header.line});
            }
            for (auto const& record : block.finished) {
                all.records.push_back({record.length, record.offset, record.line_bases,
                                       record.line_width, record.uneven_line});
            }
            all.letters += text(block.sequence);
        }
    } catch (ParseError const& error) {
        return {{}, {}, {}, error.what(), error.line(), error.record()};
    }
    return all;
}

/// In one block; blocks of every other size must give the same.
Parsed parse(std::string_view file) {
    Parsed const whole = parse(file, file.size() + 1);
    for (std::size_t size = 1; size <= file.size(); ++size) CHECK(parse(file, size) == whole);
    return whole;
}

void check_records(std::string_view file, std::string_view letters,
                   std::vector<Header> const& headers, std::vector<Geometry> const& records) {
    Parsed const parsed = parse(file);
    CHECK_EQUAL(parsed.error, "");
    CHECK_EQUAL(parsed.letters, letters);
    CHECK(parsed.headers == headers);
    CHECK(parsed.records == records);
}

void check_error(std::string_view file, std::string_view message, std::uint64_t line,
                 std::string_view record) {
    Parsed const parsed = parse(file);
    CHECK_EQUAL(parsed.error, message);
    CHECK_EQUAL(parsed.error_line, line);
    CHECK_EQUAL(parsed.error_record, record);
}

void unit_records() {
    check_records(">a first\nACGT\nACGT\nAC\n>b\nGGG\n", "ACGTACGTACGGG",
                  {{0, "a first", 1}, {10, "b", 5}}, {{10, 9, 4, 5, 0}, {3, 25, 3, 4, 0}});
    check_records(">a\r\nAC\r\nG\r\n", "ACG", {{0, "a", 1}}, {{3, 4, 2, 4, 0}});
    check_records("\n\n>a\nacgtnRYK*-.\n", "acgtnRYK*-.", {{0, "a", 3}}, {{11, 5, 11, 12, 0}});
    check_records(">a\tx y \t\nA\n", "A", {{0, "a\tx y", 1}}, {{1, 9, 1, 2, 0}});
    check_records(">a>b\nA\n", "A", {{0, "a>b", 1}}, {{1, 5, 1, 2, 0}});
}

void unit_empty_records() {
    check_records(">a", "", {{0, "a", 1}}, {{0, 2, 0, 0, 0}});
    check_records(">a\n", "", {{0, "a", 1}}, {{0, 3, 0, 0, 0}});
    check_records(">a\n\n>b\nAC\n>c\n", "AC", {{0, "a", 1}, {0, "b", 3}, {2, "c", 5}},
                  {{0, 3, 0, 0, 0}, {2, 7, 2, 3, 0}, {0, 13, 0, 0, 0}});
}

void unit_line_ends() {
    // The index counts the missing end of a record's only line, as samtools does.
    check_records(">a\nACGT", "ACGT", {{0, "a", 1}}, {{4, 3, 4, 5, 0}});
    check_records(">a\r\nACGT", "ACGT", {{0, "a", 1}}, {{4, 4, 4, 5, 0}});
    check_records(">a\nACGT\r", "ACGT", {{0, "a", 1}}, {{4, 3, 4, 6, 0}});
    check_records(">a\r\nACG\r\nAC", "ACGAC", {{0, "a", 1}}, {{5, 4, 3, 5, 0}});
    check_records(">a\r\nACG\r\nACG\n", "ACGACG", {{0, "a", 1}}, {{6, 4, 3, 5, 0}});
    check_records(">a\nACG \t\nACG \t\nA\n", "ACGACGA", {{0, "a", 1}}, {{7, 3, 3, 6, 0}});
    check_records(">a\nAC\n\n\n", "AC", {{0, "a", 1}}, {{2, 3, 2, 3, 0}});
}

void unit_uneven_lines() {
    auto const uneven = [](std::string_view file) { return parse(file).records.at(0)[4]; };
    CHECK_EQUAL(uneven(">a\nAC\nACG\n"), 3U);               // longer than the first
    CHECK_EQUAL(uneven(">a\nACG\nAC\nA\n"), 4U);            // after a short line
    CHECK_EQUAL(uneven(">a\nAC\n\nAC\n"), 4U);              // after an empty line
    CHECK_EQUAL(uneven(">a\n\nAC\n"), 3U);                  // after an empty line, the first
    CHECK_EQUAL(uneven(">a\nAC\nAC\r\nAC\n"), 3U);          // another line end
    CHECK_EQUAL(uneven(">a\r\nAC\r\nAC\nAC\n"), 4U);        // after another line end
    CHECK_EQUAL(uneven(">a\nACG\nA\nA\nACGT\n>b\nA"), 4U);  // the first of several
    CHECK_EQUAL(uneven(">a\nACG\nACG\nA\n"), 0U);
}

void unit_errors() {
    std::string const none =
        "expected a FASTA record (a line that starts with '>'), found none: the file is empty";
    std::string const start = "expected '>' at the start of a FASTA file, found ";
    std::string const letter = "expected a letter, '*', '-' or '.', found ";
    std::string const carriage = "carriage return inside a line: lines must end in LF or CRLF";
    check_error("", none, 1, "");
    check_error("\n \r\n\n", none, 4, "");
    check_error("@r1\nACGT\n+\nIIII\n", start + "'@': this looks like FASTQ", 1, "");
    check_error("\n<html>", start + "'<': this looks like HTML or XML", 2, "");
    check_error("\xEF\xBB\xBF>a\nA\n", start + "byte 0xEF: remove the UTF-8 byte order mark", 1,
                "");
    check_error(
        "\x7F"
        "ELF",
        start + "byte 0x7F: a binary file is no FASTA", 1, "");
    check_error("ACGT\n", start + "'A'", 1, "");
    check_error(" >a\nA\n", start + "a blank", 1, "");
    check_error(">a x\nACGT\nAC1T\n", letter + "'1' in column 3", 3, "a");
    check_error(">a\nAC GT\n", letter + "a blank in column 3", 2, "a");
    check_error(">a\nAC\t GT\n", letter + "a blank in column 3", 2, "a");
    check_error(">a\nACGT>b\n", letter + "'>' in column 5", 2, "a");
    check_error(">a\n\xC3\xA9\n", letter + "byte 0xC3 in column 1", 2, "a");
    check_error(std::string_view(">a\nA\0\n", 6), letter + "byte 0x00 in column 2", 2, "a");
    check_error(">a\nAC\rGT\n", carriage, 2, "a");
    check_error(">a\rACGT\r>b\rAC\r", carriage, 1, "");
    check_error(">a\nA\n>\nC\n", "expected a name after '>'", 3, "");
    check_error("> a\nA\n", "expected a name after '>'", 1, "");
    check_error(std::string_view(">a\0b\nA\n", 7),
                "NUL byte in a header line: a binary file is no FASTA", 1, "");
}

/// Line by line, without state: the letters of each record, or the line of the first error (the
/// blank lines are counted, no line is split).
Parsed parse_by_lines(std::string_view file) {
    Parsed all;
    std::uint64_t line = 0;
    while (!file.empty()) {
        ++line;
        auto const end = std::min(file.find('\n'), file.size());
        std::string_view row = file.substr(0, end);
        file.remove_prefix(std::min(end + 1, file.size()));
        bool const header = row.starts_with('>');
        while (!row.empty() && row.find_last_not_of(" \t\r") != row.size() - 1)
            row.remove_suffix(1);
        constexpr std::string_view legal = "ACGTNacgtn*-";
        bool const named = row.size() > 1 && row[1] != ' ' && row[1] != '\r';
        bool const sound =
            header ? named && row.find('\r') == row.npos : row.find_first_not_of(legal) == row.npos;
        if (!sound || (!header && !row.empty() && all.headers.empty())) {
            return {{}, {}, {}, "error", line, {}};
        }
        if (header) {
            all.headers.push_back({all.letters.size(), std::string(row.substr(1)), line});
        } else {
            all.letters += row;
        }
    }
    if (all.headers.empty()) return {{}, {}, {}, "error", line + 1, {}};
    return all;
}

void agreement_with_a_parser_by_lines() {
    std::mt19937 random(7);
    std::vector<std::string> const pieces{">a x\n", ">b\r\n", "ACGT\n", "acgt\r\n", "\n", "\r\n",
                                          "NN",     "*-\n",   " ",      "\n>",      "C",  "\r"};
    std::uniform_int_distribution<std::size_t> count(0, 9), piece(0, pieces.size() - 1);
    std::size_t sound = 0;
    for (int round = 0; round < 4000; ++round) {
        std::string file = round % 4 == 0 ? "" : ">first\n";
        for (std::size_t i = count(random); i > 0; --i) file += pieces[piece(random)];
        Parsed const expected = parse_by_lines(file);
        Parsed const parsed = parse(file);
        CHECK_EQUAL(parsed.letters, expected.letters);
        CHECK(parsed.headers == expected.headers);
        CHECK_EQUAL(parsed.error.empty(), expected.error.empty());
        if (!file.empty() && file.back() == '\n')
            CHECK_EQUAL(parsed.error_line, expected.error_line);
        sound += parsed.error.empty();
    }
    CHECK(sound > 500 && sound < 3500);  // the files are of both kinds
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_records();
    seqtile::unit_empty_records();
    seqtile::unit_line_ends();
    seqtile::unit_uneven_lines();
    seqtile::unit_errors();
    seqtile::agreement_with_a_parser_by_lines();
    return seqtile::test::result();
}
