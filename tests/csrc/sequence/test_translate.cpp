#include "../check.hpp"
#include "sequence/translate.hpp"

namespace seqtile {
namespace {

using test::bytes;

constexpr std::size_t kOkay = kNone;

/// The protein, and where translation was refused if it was.
std::string translated(std::string_view letters, Frame frame, int code = 1,
                       std::size_t refused = kOkay) {
    CodonTable const table(*find_genetic_code(code));
    std::vector<std::uint8_t> out(frame.codons(letters.size()));
    CHECK_EQUAL(translate(bytes(letters), table, frame, out), refused);
    return test::text(out);
}

void unit_codes() {
    static_assert(kGeneticCodes.size() == 27);
    for (GeneticCode const& code : kGeneticCodes) CHECK_EQUAL(code.amino_acids.size(), 64U);
    static_assert(find_genetic_code(7) == nullptr && find_genetic_code(0) == nullptr);
    static_assert(find_genetic_code(27)->dual_stops && !find_genetic_code(1)->dual_stops);
}

void unit_sets() {
    constexpr ByteTable sets = nucleotide_sets();
    static_assert(sets['A'] == 1 && sets['c'] == 2 && sets['G'] == 4 && sets['U'] == 8);
    static_assert(sets['N'] == 15 && sets['y'] == 10 && sets['-'] == 0 && sets['X'] == kInvalid);
}

void unit_frames() {
    std::string_view const letters = "AUGGCNtayTARG";
    CHECK_EQUAL(translated(letters, {0, false}), "MAY*");
    CHECK_EQUAL(translated(letters, {1, false}), "WXXX");
    CHECK_EQUAL(translated(letters, {2, false}), "GXL");
    CHECK_EQUAL(translated("ATGGCC", {0, true}), "GH");
    CHECK_EQUAL(translated("ATGGCC", {1, true}), "A");
    CHECK_EQUAL(translated("ATGGCC", {2, true}), "P");
    for (bool const reverse : {false, true}) {
        for (std::size_t offset = 0; offset < 3; ++offset) {
            CHECK_EQUAL(translated("", {offset, reverse}), "");
            CHECK_EQUAL(translated("AC", {offset, reverse}), "");
        }
        CHECK_EQUAL(translated("---", {0, reverse}), "-");
    }
}

void unit_ambiguity() {
    CHECK_EQUAL(translated("RAYSARMTHMTNTRANNN", {0, false}), "BZJX*X");
    CHECK_EQUAL(translated("CTNYTRTARTAN", {0, false}), "LL*X");
    CHECK_EQUAL(translated("TGATAR", {0, false}, 27), "WQ");
    CHECK_EQUAL(translated("AGA", {0, false}, 2), "*");
}

void unit_refused() {
    translated("ACGTX", {0, false}, 1, kOkay);  // what is no codon is not read
    translated("ACGTTX", {0, false}, 1, 5);
    translated("ACGTTXAC", {2, true}, 1, 5);
    translated("A-G", {0, false}, 1, 1);
    translated("---AC-", {0, false}, 1, 5);
    translated("AC\xFF", {0, true}, 1, 2);
}

void agreement_reverse_frames_with_the_reverse_complement() {
    std::mt19937 random(8);
    static constexpr ByteTable complement = complement_table('T');
    for (std::size_t length = 0; length < 50; ++length) {
        std::string const letters = test::random_letters(random, "ACGTUNRYacgtn", length);
        std::vector<std::uint8_t> other(length);
        CHECK(reverse_complement(bytes(letters), complement, other));
        for (std::size_t offset = 0; offset < 3; ++offset) {
            CHECK_EQUAL(translated(letters, {offset, true}),
                        translated(test::text(other), {offset, false}));
        }
    }
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_codes();
    seqtile::unit_sets();
    seqtile::unit_frames();
    seqtile::unit_ambiguity();
    seqtile::unit_refused();
    seqtile::agreement_reverse_frames_with_the_reverse_complement();
    return seqtile::test::result();
}
