#include <algorithm>

#include "../check.hpp"
#include "sequence/sequence.hpp"

namespace seqtile {
namespace {

using test::bytes;
using test::text;
using Codes = std::vector<std::uint8_t>;

struct Encoded {
    std::size_t refused;
    Codes codes;
};

Encoded encoded(std::string_view letters, Alphabet const& alphabet, Unknown unknown) {
    Encoded result{kNone, Codes(letters.size())};
    bool const valid = encode(bytes(letters), alphabet, unknown, result.codes);
    if (!valid) {
        result.refused =
            find_above(bytes(letters), alphabet.table(), highest_code(alphabet, unknown));
    }
    return result;
}

struct Reversed {
    std::size_t refused;
    std::string letters;
};

Reversed reversed(std::string_view letters, char thymine = 'T') {
    std::vector<std::uint8_t> out(letters.size());
    ByteTable const complement = complement_table(thymine);
    bool const valid = reverse_complement(bytes(letters), complement, out);
    std::size_t const refused = find_above(bytes(letters), complement, kInvalid - 1);
    CHECK_EQUAL(valid, refused == kNone);
    return {refused, text(out)};
}

void unit_find_above() {
    auto const find = [](std::string_view letters, std::uint8_t highest) {
        return find_above(bytes(letters), kDna.table(), highest);
    };
    CHECK_EQUAL(find("", 4), kNone);
    CHECK_EQUAL(find("ACGTUacgtu", 3), kNone);
    CHECK_EQUAL(find("ACNGT", 4), kNone);
    CHECK_EQUAL(find("ACNGT", 3), 2U);
    CHECK_EQUAL(find("ACNGT!", 4), 5U);
    CHECK_EQUAL(find("\xFF", 4), 0U);
    std::string const first(20'000, 'A'), second = first + "!";
    std::vector<Bytes> const batch{bytes(first), {}, bytes(second), bytes(second)};
    CHECK_EQUAL(find(second, 4), 20'000U);
    CHECK(find_above(batch, kDna.table(), 4) == (Place{2, 20'000}));
    CHECK(find_above(std::span(batch).first(2), kDna.table(), 4) == Place{});
}

void unit_encode() {
    CHECK_EQUAL(encoded("", kDna, Unknown::raise).refused, kNone);
    auto const dna = encoded("AcGtUnR", kDna, Unknown::keep);
    CHECK_EQUAL(dna.refused, kNone);
    CHECK(dna.codes == (Codes{0, 1, 2, 3, 3, 4, 4}));
    CHECK(encoded("ACGUT", kRna, Unknown::raise).codes == (Codes{0, 1, 2, 3, 3}));
    CHECK(encoded("ACY*X", kProtein, Unknown::keep).codes == (Codes{0, 1, 19, 20, 21}));
    CHECK_EQUAL(encoded("ACGnT", kDna, Unknown::raise).refused, 3U);
    CHECK_EQUAL(encoded("ACGnT!", kDna, Unknown::keep).refused, 5U);
    CHECK_EQUAL(encoded("!ACGT!", kDna, Unknown::keep).refused, 0U);
}

void unit_encode_of_a_batch() {
    std::mt19937 random(9);
    std::vector<std::string> letters;
    for (std::size_t const size : {0U, 5U, 200'000U, 0U, 0U, 1U, 70'000U, 65'536U, 0U}) {
        letters.push_back(test::random_letters(random, "ACGTN", size));
    }
    std::vector<Bytes> batch;
    Codes expected;
    for (std::string const& these : letters) {
        batch.push_back(bytes(these));
        Codes const codes = encoded(these, kDna, Unknown::keep).codes;
        expected.insert(expected.end(), codes.begin(), codes.end());
    }
    for (std::size_t const threads : {1U, 2U, 7U}) {
        Codes out(expected.size());
        CHECK(encode(batch, kDna, Unknown::keep, out, threads));
        CHECK(out == expected);
        CHECK(!encode(batch, kDna, Unknown::raise, out, threads));
    }
    CHECK(encode(std::span<Bytes const>{}, kDna, Unknown::raise, {}, 2));
}

/// Every level against the scalar one, at lengths around the blocks.
void agreement_of_the_levels() {
    std::mt19937 random(10);
    for (std::size_t const size : {0U, 1U, 31U, 33U, 63U, 65U, 300U, 4095U, 4096U, 4100U, 9000U}) {
        std::string const letters = test::random_letters(random, "ACGTRYSWKMBDHVNacgtnXx-*.", size);
        ByteTable const complement = complement_table('T');
        Codes expected(size);
        for (std::size_t i = 0; i < size; ++i) {
            expected[size - 1 - i] = complement[bytes(letters)[i]];
        }
        for (Isa const isa : kIsas) {
            if (!supports(isa)) continue;
            Codes out(size);
            CHECK(reverse_complement(bytes(letters), complement, out, isa));
            CHECK(out == expected);
        }
    }
}

void unit_reverse_complement() {
    CHECK_EQUAL(reversed("").refused, kNone);
    CHECK_EQUAL(reversed("A").letters, "T");
    CHECK_EQUAL(reversed("AACGTNr").letters, "yNACGTT");
    CHECK_EQUAL(reversed("ACGTRYSWKMBDHVN").letters, "NBDHVKMWSRYACGT");
    CHECK_EQUAL(reversed("AX-*.xC").letters, "Gx.*-XT");
    CHECK_EQUAL(reversed("AaUu", 'U').letters, "aAuU");
    CHECK_EQUAL(reversed("AaTtUu").letters, "aAaAtT");
    CHECK_EQUAL(reversed("ACEGT!").refused, 2U);
    CHECK_EQUAL(reversed("ACGTE").refused, 4U);
    CHECK_EQUAL(reversed(std::string_view("\0A", 2)).refused, 0U);
}

void property_reverse_complement_of_random_letters() {
    std::mt19937 random(1);
    for (std::size_t length = 0; length < 70; ++length) {
        std::string const letters =
            test::random_letters(random, "ACGTRYSWKMBDHVNacgtryswkmbdhvnXx-*.", length);
        CHECK_EQUAL(reversed(reversed(letters).letters).letters, letters);
        std::string backwards(letters.rbegin(), letters.rend());
        for (char& letter : backwards) letter = reversed({&letter, 1}).letters[0];
        CHECK_EQUAL(reversed(letters).letters, backwards);
    }
}

void property_refused_position_is_the_first() {
    std::mt19937 random(2);
    for (std::size_t length = 1; length < 70; ++length) {
        std::string const letters = test::random_letters(random, "ACGTACGTACGTN!E-", length);
        auto const first = [&](std::string_view these) {
            auto const at = letters.find_first_of(these);
            return at == std::string::npos ? kNone : at;
        };
        CHECK_EQUAL(encoded(letters, kDna, Unknown::keep).refused, first("!E"));
        CHECK_EQUAL(encoded(letters, kDna, Unknown::raise).refused, first("!EN-"));
        CHECK_EQUAL(reversed(letters).refused, first("!E"));
    }
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_find_above();
    seqtile::unit_encode();
    seqtile::unit_encode_of_a_batch();
    seqtile::unit_reverse_complement();
    seqtile::agreement_of_the_levels();
    seqtile::property_reverse_complement_of_random_letters();
    seqtile::property_refused_position_is_the_first();
    return seqtile::test::result();
}
