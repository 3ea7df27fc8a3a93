#include "check.hpp"
#include "fasta.hpp"

namespace seqtile {
namespace {

using test::bytes;
using test::text;

void unit_line_span() {
    // Lines of 4 letters in 6 bytes: ACGT.. ACGT.. AC..
    auto const span = [](std::uint64_t start, std::uint64_t end) {
        LineSpan const found = line_span(start, end, 4, 6);
        return std::pair(found.offset, found.size);
    };
    using Pair = std::pair<std::uint64_t, std::uint64_t>;
    CHECK(span(0, 1) == Pair(0, 1));
    CHECK(span(0, 4) == Pair(0, 4));
    CHECK(span(0, 5) == Pair(0, 7));
    CHECK(span(3, 5) == Pair(3, 4));
    CHECK(span(4, 8) == Pair(6, 4));
    CHECK(span(2, 10) == Pair(2, 12));
}

void agreement_unwrap_with_the_letters() {
    std::mt19937 random(8);
    for (std::string const end : {"\n", "\r\n", " \n", "\t\r\n"}) {
        for (std::size_t bases = 1; bases < 7; ++bases) {
            std::string const letters = test::random_letters(random, "ACGTN*-.", 17);
            std::string file;
            for (std::size_t i = 0; i < letters.size(); i += bases) {
                file += letters.substr(i, bases) + end;
            }
            std::size_t const width = bases + end.size();
            for (std::size_t from = 0; from < letters.size(); ++from) {
                for (std::size_t to = from + 1; to <= letters.size(); ++to) {
                    LineSpan const span = line_span(from, to, bases, width);
                    std::string const raw = file.substr(span.offset, span.size);
                    std::vector<std::uint8_t> out(to - from);
                    CHECK(unwrap(bytes(raw), from % bases, bases, width, out));
                    CHECK_EQUAL(text(out), letters.substr(from, to - from));
                }
            }
        }
    }
}

void unit_unwrap_refuses_another_file() {
    auto const sound = [](std::string_view raw, std::uint64_t column, std::size_t letters) {
        std::vector<std::uint8_t> out(letters);
        return unwrap(bytes(raw), column, 4, 5, out);
    };
    CHECK(sound("ACGT\nAC", 0, 6));
    CHECK(sound("GT\nAC", 2, 4));
    CHECK(!sound("ACGTA\nC", 0, 6));  // a letter where a line ends
    CHECK(!sound("ACG\nTAC", 0, 6));  // a line end where a letter stands
    CHECK(!sound("AC\n>bAC", 0, 6));  // the next record
    CHECK(!sound("A>GT\nAC", 0, 6));
    CHECK(!sound("ACGT\nA", 0, 6));  // the file is too short
    CHECK(!sound("ACGT", 0, 6));
    CHECK(!sound("ACG", 0, 4));
    CHECK(!sound("", 0, 1));
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_line_span();
    seqtile::agreement_unwrap_with_the_letters();
    seqtile::unit_unwrap_refuses_another_file();
    return seqtile::test::result();
}
