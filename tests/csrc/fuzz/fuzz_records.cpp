// Any bytes as FASTA or FASTQ: the same result whatever the blocks, and one that is consistent.
// The input's last byte chooses the options, the four before it the sizes of the blocks.
#include <algorithm>
#include <array>

#include "../fasta/parse.hpp"
#include "fuzz.hpp"

namespace seqtile {
namespace {

using test::Parsed;

void check(Parsed const& parsed, std::string_view file, bool fastq, LetterRule const& rule) {
    for (auto const& record : parsed.records) {
        auto const& [length, offset, bases, width, uneven, blank] = record.geometry;
        REQUIRE(blank == 0 || (uneven != 0 && uneven <= blank));
        REQUIRE(fastq ? record.quality.size() == record.letters.size() : record.quality.empty());
        for (char const letter : record.letters) {
            auto const at = std::find(rule.table.begin(), rule.table.end(), letter);
            REQUIRE(at != rule.table.end());
        }
        for (char const quality : record.quality) REQUIRE(quality >= '!' && quality <= '~');
        if (fastq || uneven != 0) continue;
        // The index finds every letter.
        REQUIRE(length == record.letters.size());
        for (std::size_t i = 0; i < length; ++i) {
            std::size_t const at = offset + i / bases * width + i % bases;
            REQUIRE(at < file.size());
            auto const entry = rule.table[static_cast<std::uint8_t>(file[at])];
            REQUIRE(entry == static_cast<std::uint8_t>(record.letters[i]));
        }
    }
    REQUIRE(parsed.error.empty() == (parsed.error_line == 0));
    REQUIRE(!parsed.error.empty() || !parsed.records.empty());
}

}  // namespace
}  // namespace seqtile

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    using namespace seqtile;
    static LetterRule const dna{kDna.table(), "a nucleotide letter"};
    if (size < 5) return 0;
    Bytes const tail(data + size - 5, 5);
    std::string_view const file(reinterpret_cast<char const*>(data), size - 5);
    std::uint8_t const choice = tail[4];
    bool const fasta = (choice & 1) != 0;
    LetterRule const& rule = (choice & 2) != 0 ? dna : kLetters;
    set_active_isa((choice & 4) != 0 ? Isa::scalar : best_isa());
    test::Options const whole{fasta ? Format::fasta : Format::any, false, &rule};
    Parsed const expected = test::parse(file, file.size() + 1, whole);

    auto const first = file.find_first_not_of(" \t\r\n\v\f");
    check(expected, file, first != file.npos && file[first] == '@', rule);
    std::size_t turn = 0;
    auto const next = [&] { return std::size_t{1} + tail[turn++ % 4]; };
    Parsed found = test::parse_blocks(file, next, whole);
    REQUIRE(found == expected);
    if (fasta) {
        turn = 0;
        found = test::parse_blocks(file, next, {Format::fasta, true, &rule});
        // Pieces of the record that is broken may have come.
        if (!expected.error.empty()) found.records.resize(expected.records.size());
        REQUIRE(found == expected);
    }
    set_active_isa(best_isa());
    return 0;
}
