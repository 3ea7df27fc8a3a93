// What is in a FASTA file: letters, share of G and C, codons and stops of each record.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <seqtile/alphabet.hpp>
#include <seqtile/fasta.hpp>
#include <seqtile/translate.hpp>
#include <string>
#include <vector>

int main(int count, char** arguments) try {
    std::ifstream file(count == 2 ? arguments[1] : "", std::ios::binary);
    std::string const text{std::istreambuf_iterator<char>(file), {}};
    seqtile::FastaParser parser;
    seqtile::FastaBlock block;
    parser.feed({reinterpret_cast<std::uint8_t const*>(text.data()), text.size()}, block);
    parser.finish(block);
    seqtile::CodonTable const code(*seqtile::find_genetic_code(1));
    for (std::size_t i = 0; i < block.headers.size(); ++i) {
        seqtile::Bytes const letters =
            seqtile::Bytes(block.sequence)
                .subspan(block.headers[i].position, block.finished[i].length);
        std::size_t gc = 0;
        for (std::uint8_t const letter : letters) {
            std::uint8_t const base = seqtile::kDna.table()[letter];
            gc += base == 1 || base == 2;
        }
        seqtile::Frame const frame{.offset = 0, .reverse = false};
        std::vector<std::uint8_t> protein(frame.codons(letters.size()));
        bool const sound = seqtile::translate(letters, code, frame, protein) == seqtile::kNone;
        auto const stops = std::count(protein.begin(), protein.end(), '*');
        std::printf("%s: %zu letters, %zu G or C, %zu codons, %td stops%s\n",
                    block.headers[i].text.c_str(), letters.size(), gc, protein.size(), stops,
                    sound ? "" : " (no nucleotides)");
    }
} catch (seqtile::ParseError const& error) {
    std::fprintf(stderr, "line %ju: %s\n", std::uintmax_t{error.line()}, error.what());
    return 1;
}
