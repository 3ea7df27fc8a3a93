#include <algorithm>
#include <memory>

#include "../check.hpp"
#include "fasta/letters.hpp"
#include "fasta/lines.hpp"

namespace seqtile {
namespace {

constexpr std::uint8_t kUntouched = 0xEE;

struct Copied {
    std::size_t lines = 0;
    std::vector<std::uint8_t> letters;
    bool operator==(Copied const&) const = default;
};

/// Letter by letter.
Copied plain_loop(Bytes from, std::size_t width, std::size_t gap, ByteTable const& table) {
    Copied copied;
    for (std::size_t at = 0; at + width + gap <= from.size(); at += width + gap) {
        auto const line = from.subspan(at, width + gap);
        if (line[width + gap - 1] != '\n' || (gap == 2 && line[width] != '\r')) break;
        std::vector<std::uint8_t> entries;
        for (std::uint8_t const byte : line.first(width)) entries.push_back(table[byte]);
        if (std::find(entries.begin(), entries.end(), kInvalid) != entries.end()) break;
        ++copied.lines;
        copied.letters.insert(copied.letters.end(), entries.begin(), entries.end());
    }
    return copied;
}

/// What is read and what may be overwritten end with their allocations, so that the sanitizer sees
/// a byte too many of either.
Copied copy(Bytes from, std::size_t width, std::size_t gap, ByteTable const& table, Isa isa) {
    auto const in = std::make_unique<std::uint8_t[]>(from.size());
    for (std::size_t i = 0; i < from.size(); ++i) in[i] = from[i];
    std::vector<std::uint8_t> out(from.size() + kCopySlack, kUntouched);
    Copied copied;
    copied.lines = copy_lines({in.get(), from.size()}, width, gap, table, out.data(), isa);
    out.resize(copied.lines * width);
    copied.letters = std::move(out);
    return copied;
}

void check_all_levels(std::string const& from, std::size_t width, std::size_t gap,
                      ByteTable const& table = kLetters.table) {
    Copied const expected = plain_loop(test::bytes(from), width, gap, table);
    for (Isa const isa : kIsas) {
        if (supports(isa)) CHECK(copy(test::bytes(from), width, gap, table, isa) == expected);
    }
}

std::string lines(std::mt19937& random, std::size_t count, std::size_t width, std::size_t gap) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        text += test::random_letters(random, "ACGTNacgtnRYSWKM*-.", width);
        text += gap == 1 ? "\n" : "\r\n";
    }
    return text;
}

void unit_copy_lines() {
    for (Isa const isa : kIsas) {
        if (!supports(isa)) continue;
        auto const copied = [isa](std::string_view from, std::size_t width, std::size_t gap) {
            return test::text(copy(test::bytes(from), width, gap, kLetters.table, isa).letters);
        };
        CHECK_EQUAL(copied("ACG\nTTT\nA\n", 3, 1), "ACGTTT");
        CHECK_EQUAL(copied("ACG\nTTTT\n", 3, 1), "ACG");  // longer
        CHECK_EQUAL(copied("ACG\nTTT", 3, 1), "ACG");     // its end is not there yet
        CHECK_EQUAL(copied("ACG\r\nTTT\r\n", 3, 2), "ACGTTT");
        CHECK_EQUAL(copied("ACG\r\nTTT\r", 3, 2), "ACG");
        CHECK_EQUAL(copied("ACG\n\nTTT\n", 3, 2), "");  // no CR
        CHECK_EQUAL(copied("ACG\r\n", 3, 1), "");
        CHECK_EQUAL(copied("ACG\nT1T\n", 3, 1), "ACG");
        CHECK_EQUAL(copied("A\nC\n>\n", 1, 1), "AC");
        CHECK_EQUAL(copied("", 3, 1), "");
        CHECK_EQUAL(test::text(copy(test::bytes("Ac\ngT\n"), 2, 1, kDna.table(), isa).letters),
                    std::string("\0\1\2\3", 4));
    }
}

void agreement_of_every_width() {
    std::mt19937 random(3);
    for (std::size_t width = 1; width <= 200; ++width) {
        for (std::size_t const gap : {1U, 2U}) {
            std::string const whole = lines(random, 5, width, gap);
            check_all_levels(whole, width, gap);
            check_all_levels(whole, width, gap, kProtein.table());
            check_all_levels(whole.substr(0, whole.size() - 1), width, gap);
            check_all_levels(whole + lines(random, 1, width + 1, gap), width, gap);
            check_all_levels(whole.substr(0, whole.size() - width / 2 - gap), width, gap);
            check_all_levels(whole + ">name\n", width, gap);
        }
    }
}

/// A byte that is no letter, wherever it stands.
void agreement_of_every_place() {
    std::mt19937 random(4);
    for (std::size_t const width : {1U, 2U, 31U, 32U, 60U, 63U, 64U, 65U, 80U, 127U, 128U, 129U}) {
        for (std::size_t const gap : {1U, 2U}) {
            std::string const whole = lines(random, 3, width, gap);
            for (std::size_t place = 0; place < whole.size(); ++place) {
                for (char const bad : {'\n', '\r', ' ', '>', '1', '\0', '\x7F', '\x80', '\xC1'}) {
                    std::string damaged = whole;
                    damaged[place] = bad;
                    check_all_levels(damaged, width, gap);
                }
            }
        }
    }
}

void agreement_of_every_byte() {
    for (int byte = 0; byte < 256; ++byte) {
        std::string line(70, 'A');
        line[66] = static_cast<char>(byte);
        check_all_levels(line + "\n", 70, 1);
        check_all_levels(line + "\n", 70, 1, kDna.table());
        check_all_levels(line + "\n", 70, 1, kQualities.table);
    }
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_copy_lines();
    seqtile::agreement_of_every_width();
    seqtile::agreement_of_every_place();
    seqtile::agreement_of_every_byte();
    return seqtile::test::result();
}
