#include "../check.hpp"
#include "fasta/records.hpp"
#include "parse.hpp"

namespace seqtile {
namespace {

using test::Found;
using test::Geometry;
using test::Options;
using test::Parsed;

/// In one block; blocks of every other size must give the same, and pieces of records too.
Parsed parse(std::string_view file, Options const& options = {}) {
    Parsed const whole = test::parse(file, file.size() + 1, options);
    for (std::size_t size = 1; size <= file.size(); ++size) {
        CHECK(test::parse(file, size, options) == whole);
    }
    bool const fastq =
        file.starts_with(";x\n@") || file.find_first_not_of(" \r\n") == file.find('@');
    if (options.format == Format::any && !fastq && whole.error.empty()) {
        for (std::size_t size = 1; size <= file.size() + 1; ++size) {
            CHECK(test::parse(file, size, {Format::fasta, true, options.rule}) == whole);
        }
    }
    return whole;
}

void check_records(std::string_view file, std::vector<Found> const& records) {
    Parsed const parsed = parse(file);
    CHECK_EQUAL(parsed.error, "");
    CHECK(parsed.records == records);
}

void check_error(std::string_view file, std::string_view message, std::uint64_t line,
                 std::string_view record, std::size_t before = 0, Options const& options = {}) {
    Parsed const parsed = parse(file, options);
    CHECK_EQUAL(parsed.error, message);
    CHECK_EQUAL(parsed.error_line, line);
    CHECK_EQUAL(parsed.error_record, record);
    CHECK_EQUAL(parsed.records.size(), before);
}

void unit_records() {
    check_records(">a first\nACGT\nACGT\nAC\n>b\nGGG\n",
                  {{"a first", "ACGTACGTAC", "", 1, {10, 9, 4, 5, 0}},
                   {"b", "GGG", "", 5, {3, 25, 3, 4, 0}}});
    check_records(">a\r\nAC\r\nG\r\n", {{"a", "ACG", "", 1, {3, 4, 2, 4, 0}}});
    check_records("\n\n>a\nacgtnRYK*-.\n", {{"a", "acgtnRYK*-.", "", 3, {11, 5, 11, 12, 0}}});
    check_records(">a\tx y \t\nA\n", {{"a\tx y", "A", "", 1, {1, 9, 1, 2, 0}}});
    check_records(">a>b\nA\n", {{"a>b", "A", "", 1, {1, 5, 1, 2, 0}}});
}

void unit_names() {
    check_records("> a \tx\nA\n>\t b\nC",
                  {{"a \tx", "A", "", 1, {1, 7, 1, 2, 0}}, {"b", "C", "", 3, {1, 14, 1, 2, 0}}});
    check_records(">\nAC\n> \r\nG\n>", {{"", "AC", "", 1, {2, 2, 2, 3, 0}},
                                        {"", "G", "", 3, {1, 9, 1, 2, 0}},
                                        {"", "", "", 5, {0, 12, 0, 0, 0}}});
}

void unit_comments() {
    check_records(";x\n\n# >y\r\n>a\nAC\n", {{"a", "AC", "", 4, {2, 13, 2, 3, 0}}});
    check_records("#\n;\n>a\nA", {{"a", "A", "", 3, {1, 7, 1, 2, 0}}});
}

void unit_blanks_between_letters() {
    auto const one = [](std::string_view file, std::string const& letters,
                        Geometry const& geometry) {
        check_records(file, {{"a", letters, "", 1, geometry}});
    };
    one(">a\nAC GT\n", "ACGT", {4, 3, 4, 6, 2, 2});
    one(">a\n AC\t\v GT \n", "ACGT", {4, 3, 4, 10, 2, 2});
    one(">a\r\nACGT\r\nA  C\r\nG T", "ACGTACGT", {8, 4, 4, 6, 3, 3});
    one(">a\nA\nAC\nA C\nC", "AACACC", {6, 3, 1, 2, 3, 4});
    one(">a\nAC  \nAC  \n", "ACAC", {4, 3, 2, 5, 0, 0});
}

void unit_empty_records() {
    check_records(">a", {{"a", "", "", 1, {0, 2, 0, 0, 0}}});
    check_records(">a\n", {{"a", "", "", 1, {0, 3, 0, 0, 0}}});
    check_records(">a\n\n>b\nAC\n>c\n", {{"a", "", "", 1, {0, 3, 0, 0, 0}},
                                         {"b", "AC", "", 3, {2, 7, 2, 3, 0}},
                                         {"c", "", "", 5, {0, 13, 0, 0, 0}}});
}

void unit_line_ends() {
    auto const one = [](std::string_view file, std::string const& letters,
                        Geometry const& geometry) {
        check_records(file, {{"a", letters, "", 1, geometry}});
    };
    // The index counts the missing end of a record's only line, as samtools does.
    one(">a\nACGT", "ACGT", {4, 3, 4, 5, 0});
    one(">a\r\nACGT", "ACGT", {4, 4, 4, 5, 0});
    one(">a\nACGT\r", "ACGT", {4, 3, 4, 6, 0});
    one(">a\r\nACG\r\nAC", "ACGAC", {5, 4, 3, 5, 0});
    one(">a\r\nACG\r\nACG\n", "ACGACG", {6, 4, 3, 5, 0});
    one(">a\nACG \t\nACG \t\nA\n", "ACGACGA", {7, 3, 3, 6, 0});
    one(">a\nAC\n\n\n", "AC", {2, 3, 2, 3, 0});
}

void unit_uneven_lines() {
    auto const uneven = [](std::string_view file) { return parse(file).records.at(0).geometry[4]; };
    CHECK_EQUAL(uneven(">a\nAC\nACG\n"), 3U);               // longer than the first
    CHECK_EQUAL(uneven(">a\nACG\nAC\nA\n"), 4U);            // after a short line
    CHECK_EQUAL(uneven(">a\nAC\n\nAC\n"), 4U);              // after an empty line
    CHECK_EQUAL(uneven(">a\n\nAC\n"), 3U);                  // after an empty line, the first
    CHECK_EQUAL(uneven(">a\nAC\nAC\r\nAC\n"), 3U);          // another line end
    CHECK_EQUAL(uneven(">a\r\nAC\r\nAC\nAC\n"), 4U);        // after another line end
    CHECK_EQUAL(uneven(">a\nACG\nA\nA\nACGT\n>b\nA"), 4U);  // the first of several
    CHECK_EQUAL(uneven(">a\nACG\nACG\nA\n"), 0U);
}

std::string const kStart = "expected '>' or '@' at the start of a FASTA or FASTQ file, found ";
std::string const kLetter = "expected a letter, '*', '-' or '.', found ";
std::string const kCarriage = "carriage return inside a line: lines must end in LF or CRLF";

void unit_errors() {
    std::string const none =
        "expected a FASTA or FASTQ record (a line that starts with '>' or '@'), found none: the "
        "file is empty";
    check_error("", none, 1, "");
    check_error("\n \r\n\n", none, 4, "");
    check_error("\n<html>", kStart + "'<': this looks like HTML or XML", 2, "");
    check_error("\xEF\xBB\xBF>a\nA\n", kStart + "byte 0xEF: remove the UTF-8 byte order mark", 1,
                "");
    check_error(
        "\x7F"
        "ELF",
        kStart + "byte 0x7F: a binary file is no FASTA", 1, "");
    check_error("ACGT\n", kStart + "'A'", 1, "");
    check_error("+\n", kStart + "'+'", 1, "");
    check_error(" >a\nA\n", kStart + "a blank", 1, "");
    check_error(">a x\nACGT\nAC1T\n", kLetter + "'1' in column 3", 3, "a");
    check_error(">a\nAC G1T\n", kLetter + "'1' in column 5", 2, "a");
    check_error(">a\nAC \rGT\n", kCarriage, 2, "a");
    check_error(">a\nAC\n; x\n", kLetter + "';' in column 1", 3, "a");
    check_error("#x\nACGT\n", kStart + "'A'", 2, "");
    check_error(">a\nACGT>b\n", kLetter + "'>' in column 5", 2, "a");
    check_error(">a\n@b\n", kLetter + "'@' in column 1", 2, "a");
    check_error(">a\n\xC3\xA9\n", kLetter + "byte 0xC3 in column 1", 2, "a");
    check_error(std::string_view(">a\nA\0\n", 6), kLetter + "byte 0x00 in column 2", 2, "a");
    check_error(">a\nAC\rGT\n", kCarriage, 2, "a");
    check_error(">a\rACGT\r>b\rAC\r", kCarriage, 1, "");
    check_error(">a\nA\n>b\rx\n", kCarriage, 3, "", 1);
    check_error(std::string_view(">a\nA\n>b\0c\nA\n", 11),
                "NUL byte in a header line: a binary file is no FASTA", 3, "", 1);
    // The records before it come before it.
    check_error(">a\nA\n>b\nC\n>c\n1\n", kLetter + "'1' in column 1", 6, "c", 2);
}

void unit_fasta_only() {
    Options const fasta{Format::fasta};
    check_error("",
                "expected a FASTA record (a line that starts with '>'), found none: the file "
                "is empty",
                1, "", 0, fasta);
    check_error("@r\nA\n+\nI\n",
                "expected '>' at the start of a FASTA file, found '@': this looks like FASTQ", 1,
                "", 0, fasta);
}

Found read(std::string const& header, std::string const& letters, std::string const& quality,
           std::uint64_t line = 1) {
    return {header, letters, quality, line, {}};
}

/// Letters and qualities; the geometry means nothing in FASTQ.
void check_reads(std::string_view file, std::vector<Found> const& reads) {
    Parsed parsed = parse(file);
    CHECK_EQUAL(parsed.error, "");
    for (Found& found : parsed.records) found.geometry = {};
    CHECK(parsed.records == reads);
}

void unit_fastq() {
    check_reads("@r x\nACGT\n+\nIIII\n@s\nNN\n+\n#!\n",
                {read("r x", "ACGT", "IIII"), read("s", "NN", "#!", 5)});
    check_reads("@r x\nACGT\n+r x\nIIII", {read("r x", "ACGT", "IIII")});
    check_reads("@r x \t\nACGT\n+r x   \nIIII", {read("r x", "ACGT", "IIII")});
    check_reads("@r\nACGT\n+  \r\nIIII  \n", {read("r", "ACGT", "IIII")});
    check_reads("@r\r\nAC\r\n+\r\nII\r\n@s\r\nG\r\n+s\r\n~\r\n",
                {read("r", "AC", "II"), read("s", "G", "~", 5)});
    // Quality lines that look like the other lines.
    check_reads("@r\nACGT\n+\n@III\n@s\nAC\n+\n+I\n",
                {read("r", "ACGT", "@III"), read("s", "AC", "+I", 5)});
    check_reads("@r\nACG\n+\n>+@\n", {read("r", "ACG", ">+@")});
    // Wrapped, the two by lines of their own lengths.
    check_reads("@r\nAC\nG\nTT\n+\n@@\n+++\n@s\nA\n+\nI\n",
                {read("r", "ACGTT", "@@+++"), read("s", "A", "I", 8)});
    // Blanks around the header, no name, blanks between letters, comments.
    check_reads(";x\n@ r x\nA C\n+ r x\nII\n@r x\nA\n+  r x \nI\n@\nG\n+\nI\n",
                {read("r x", "AC", "II", 2), read("r x", "A", "I", 6), read("", "G", "I", 10)});
    // Empty reads, with and without their empty lines.
    check_reads("@r\n\n+\n\n@s\n+\n@t\nA\n+\nI\n",
                {read("r", "", ""), read("s", "", "", 5), read("t", "A", "I", 7)});
    check_reads("@r\n+", {read("r", "", "")});
    check_reads("\n\n@r\nA\n+\nI\n\n\n@s\nC\n+\nI\n\n",
                {read("r", "A", "I", 3), read("s", "C", "I", 9)});
}

void unit_fastq_errors() {
    std::string const four = "expected 4 quality letters, as many as the sequence has, ";
    std::string const plus = "expected nothing or the record's header after '+'";
    check_error("@r\nACGT\n+\nIII\n", four + "found the file's end", 5, "r");
    check_error("@r\nACGT\n+\nIII", four + "found the file's end", 5, "r");
    check_error("@r\nACGT\n+\nIII\n\nI\n", four + "found fewer", 5, "r");
    check_error("@r\nACGT\n+\n\n@s\n", four + "found fewer", 4, "r");
    check_error("@r\nACGT\n+\nIIIII\n", four + "found more", 4, "r");
    check_error("@r\nACGT\n+\nIII\n@s\n", four + "found more", 5, "r");
    check_error("@r\nACGT\n+\nII I\n",
                "expected a quality letter ('!' to '~'), found a blank in "
                "column 3",
                4, "r");
    check_error("@r\nACGT\n+\nII\x7FI\n",
                "expected a quality letter ('!' to '~'), found byte 0x7F "
                "in column 3",
                4, "r");
    check_error("@r x\nA\n+s\nI\n", plus, 3, "r");
    check_error("@r x\nA\n+r\nI\n", plus, 3, "r");
    check_error("@r x\nA\n+r x y\nI\n", plus, 3, "r");
    check_error("@r x\nA\n+r x  y\nI\n", plus, 3, "r");
    check_error("@r\nACGT\n@s\n", kLetter + "'@' in column 1", 3, "r");
    check_error("@r\nA\n+\nI\n>s\nA\n", "expected '@' at the start of a FASTQ record, found '>'", 5,
                "r", 1);
    check_error("@\nA\n+x\nI\n", plus, 3, "");
    check_error("@r\nACGT\n", "expected a line that starts with '+', found the file's end", 3, "r");
    check_error("@r\nAC", "expected a line that starts with '+', found the file's end", 3, "r");
}

void unit_fastq_cut_at_every_byte() {
    std::string const file = "@r x\nACGT\n+r x\nIIII\n@s\nGG\n+\n@+\n";
    for (std::size_t size = 1; size < file.size(); ++size) {
        Parsed const parsed = parse(file.substr(0, size));
        bool const whole = size == 19 || size == 20 || size == file.size() - 1;
        CHECK_EQUAL(parsed.error.empty(), whole);
        std::size_t const records = size == file.size() - 1 ? 2 : size >= 20 ? 1 : size == 19;
        CHECK_EQUAL(parsed.records.size(), records);
        if (!whole && size > 5) CHECK_EQUAL(parsed.error_record.empty(), size == 21);
    }
}

/// The letters' codes in their place.
void unit_encode() {
    LetterRule const dna{kDna.table(), "a nucleotide letter"};
    Options const options{Format::any, false, &dna};
    Parsed const parsed = parse(">a\nACgt\nUNRX-\nA *.\n", options);
    CHECK_EQUAL(parsed.records.at(0).letters, std::string("\0\1\2\3\3\4\4\4\4\0\4\4", 12));
    check_error(">a\nACGT\nACET\n", "expected a nucleotide letter, found 'E' in column 3", 3, "a",
                0, options);
    Parsed const reads = parse("@a\nAC\n+\nIA\n", options);
    CHECK_EQUAL(reads.records.at(0).letters, std::string("\0\1", 2));
    CHECK_EQUAL(reads.records.at(0).quality, "IA");
}

/// Lines and records longer than blocks, many records in a block: sizes around the vector widths.
void agreement_of_many_shapes() {
    std::mt19937 random(11);
    std::uniform_int_distribution<std::size_t> any(1, 5000), width(1, 300), length(0, 3000);
    for (int round = 0; round < 60; ++round) {
        std::string file;
        std::vector<Found> expected;
        std::uint64_t line = 1;
        std::string const end = round % 3 == 0 ? "\r\n" : "\n";
        for (int record = 0; record < 6; ++record) {
            std::string const name = "r" + std::to_string(record);
            std::size_t const bases = width(random);
            std::string const letters = test::random_letters(random, "ACGTNacgtn", length(random));
            file += ">" + name + end;
            std::uint64_t const offset = file.size();
            expected.push_back({name, letters, "", line++, {letters.size(), offset}});
            if (!letters.empty()) {
                expected.back().geometry[2] = std::min(bases, letters.size());
                expected.back().geometry[3] = expected.back().geometry[2] + end.size();
            }
            for (std::size_t i = 0; i < letters.size(); i += bases, ++line) {
                file += letters.substr(i, bases) + end;
            }
        }
        for (bool const pieces : {false, true}) {
            Parsed const parsed = test::parse_blocks(file, [&] { return any(random); },
                                                     {Format::fasta, pieces, &kLetters});
            CHECK_EQUAL(parsed.error, "");
            CHECK(parsed.records == expected);
        }
    }
}

/// Line by line, without state: the letters of each record, or the line of the first error (the
/// blank lines are counted, no line is split).
Parsed parse_by_lines(std::string_view file) {
    Parsed all;
    auto const fail = [&all](std::uint64_t line) {
        all.error = "error";
        all.error_line = line;
        return all;
    };
    std::uint64_t line = 0;
    while (!file.empty()) {
        ++line;
        auto const end = std::min(file.find('\n'), file.size());
        std::string_view row = file.substr(0, end);
        file.remove_prefix(std::min(end + 1, file.size()));
        bool const header = row.starts_with('>');
        if (all.records.empty() && (row.starts_with(';') || row.starts_with('#'))) continue;
        while (!row.empty() && row.find_last_not_of(" \t\r") != row.size() - 1)
            row.remove_suffix(1);
        constexpr std::string_view legal = "ACGTNacgtn*- ";
        bool const sound =
            row.find('\r') == row.npos && (header || row.find_first_not_of(legal) == row.npos);
        if (!sound || (!header && !row.empty() && all.records.empty())) return fail(line);
        if (header) {
            row.remove_prefix(std::min(row.find_first_not_of(' ', 1), row.size()));
            all.records.push_back({std::string(row), "", "", line, {}});
        } else if (!all.records.empty()) {
            std::remove_copy(row.begin(), row.end(), std::back_inserter(all.records.back().letters),
                             ' ');
        }
    }
    return all.records.empty() ? fail(line + 1) : all;
}

void agreement_with_a_parser_by_lines() {
    std::mt19937 random(7);
    std::vector<std::string> const pieces{">a x\n", ">b\r\n", "ACGT\n", "acgt\r\n", "\n",
                                          "\r\n",   "NN",     "*-\n",   " ",        "\n>",
                                          "C",      "\r",     "; x\n",  "#\r\n"};
    std::uniform_int_distribution<std::size_t> count(0, 9), piece(0, pieces.size() - 1);
    std::size_t sound = 0;
    for (int round = 0; round < 4000; ++round) {
        std::string file = round % 4 == 0 ? "" : ">first\n";
        for (std::size_t i = count(random); i > 0; --i) file += pieces[piece(random)];
        Parsed const expected = parse_by_lines(file);
        Parsed parsed = parse(file);
        for (Found& found : parsed.records) found.geometry = {};
        CHECK_EQUAL(parsed.error.empty(), expected.error.empty());
        if (parsed.error.empty()) {
            CHECK(parsed.records == expected.records);
            ++sound;
        } else if (!file.empty() && file.back() == '\n') {
            CHECK_EQUAL(parsed.error_line, expected.error_line);
        }
    }
    CHECK(sound > 500 && sound < 3500);  // the files are of both kinds
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_records();
    seqtile::unit_names();
    seqtile::unit_comments();
    seqtile::unit_blanks_between_letters();
    seqtile::unit_empty_records();
    seqtile::unit_line_ends();
    seqtile::unit_uneven_lines();
    seqtile::unit_errors();
    seqtile::unit_fasta_only();
    seqtile::unit_fastq();
    seqtile::unit_fastq_errors();
    seqtile::unit_fastq_cut_at_every_byte();
    seqtile::unit_encode();
    seqtile::agreement_of_many_shapes();
    seqtile::agreement_with_a_parser_by_lines();
    return seqtile::test::result();
}
