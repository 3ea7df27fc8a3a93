#include "../check.hpp"
#include "sequence/alphabet.hpp"

namespace seqtile {
namespace {

constexpr int kNo = kInvalid;

int code(Alphabet const& alphabet, char letter) {
    return alphabet.table()[static_cast<std::uint8_t>(letter)];
}

/// `codes[i]` is the code of `letters[i]` and of its lower case; every other byte is refused.
void check_table(Alphabet const& alphabet, std::string_view letters,
                 std::vector<int> const& codes) {
    CHECK_EQUAL(letters.size(), codes.size());
    for (int byte = 0; byte < 256; ++byte) {
        auto const at = letters.find(to_upper(static_cast<char>(byte)));
        int const expected = at == std::string_view::npos ? kNo : codes[at];
        CHECK_EQUAL(code(alphabet, static_cast<char>(byte)), expected);
    }
}

void unit_case_of_a_letter() {
    static_assert(to_lower('A') == 'a' && to_lower('Z') == 'z' && to_lower('q') == 'q');
    static_assert(to_upper('a') == 'A' && to_upper('z') == 'Z' && to_upper('Q') == 'Q');
    static_assert(to_lower('@') == '@' && to_lower('[') == '[' && to_lower('*') == '*');
    static_assert(to_upper('`') == '`' && to_upper('{') == '{' && to_upper('-') == '-');
}

void unit_named_alphabets() {
    static_assert(kDna.size() == 4 && kRna.size() == 4 && kProtein.size() == 21);
    check_table(kDna, "ACGTURYSWKMBDHVNX-*.",
                {0, 1, 2, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4});
    check_table(kRna, "ACGUTRYSWKMBDHVNX-*.",
                {0, 1, 2, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4});
    check_table(kProtein, "ACDEFGHIKLMNPQRSTVWY*BJOUXZ",
                {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13,
                 14, 15, 16, 17, 18, 19, 20, 21, 21, 21, 21, 21, 21});
}

void unit_custom_alphabet() {
    constexpr Alphabet hydrophobic{"HP-", "X"};
    static_assert(hydrophobic.size() == 3);
    check_table(hydrophobic, "HP-X", {0, 1, 2, 3});
    // A letter of the alphabet is not unknown, even if it is named there too.
    check_table(Alphabet{"AB", "BC"}, "ABC", {0, 1, 2});
    // An alias may point at an unknown letter.
    check_table(Alphabet{"AB", "N", "QBZN"}, "ABNQZ", {0, 1, 2, 1, 2});
}

void unit_complement() {
    constexpr std::string_view from = "ACGTRYSWKMBDHVNXacgtryswkmbdhvnx-*.";
    constexpr std::string_view to = "TGCAYRSWMKVHDBNXtgcayrswmkvhdbnx-*.";
    for (int byte = 0; byte < 256; ++byte) {
        auto const letter = static_cast<char>(byte);
        auto const at = from.find(letter);
        int dna = at == std::string_view::npos ? kNo : to[at];
        if (letter == 'U') dna = 'A';
        if (letter == 'u') dna = 'a';
        int const rna = letter == 'A' ? 'U' : (letter == 'a' ? 'u' : dna);
        auto const index = static_cast<std::size_t>(byte);
        CHECK_EQUAL(static_cast<int>(complement_table('T')[index]), dna);
        CHECK_EQUAL(static_cast<int>(complement_table('U')[index]), rna);
    }
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_case_of_a_letter();
    seqtile::unit_named_alphabets();
    seqtile::unit_custom_alphabet();
    seqtile::unit_complement();
    return seqtile::test::result();
}
