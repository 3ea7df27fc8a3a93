// What is in a FASTA or FASTQ file: letters, G and C, codons and stops of each record.
#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <seqtile/reader.hpp>
#include <seqtile/translate.hpp>

int main(int count, char** arguments) try {
    using namespace seqtile;
    auto source = std::make_unique<FileSource>(::open(count == 2 ? arguments[1] : "", O_RDONLY));
    RecordReader reader(std::make_unique<ReadAhead>(std::move(source)));
    CodonTable const code(*find_genetic_code(1));
    for (RecordBlock block = reader.next(); !block.parts.empty(); block = reader.next()) {
        for (RecordPart const& record : block.parts) {
            Bytes const letters(block.slab->data() + record.letters, record.length);
            auto const gc = std::count_if(letters.begin(), letters.end(), [](std::uint8_t letter) {
                return kDna.table()[letter] == 1 || kDna.table()[letter] == 2;
            });
            Frame const frame{.offset = 0, .reverse = false};
            std::vector<std::uint8_t> protein(frame.codons(letters.size()));
            bool const sound = translate(letters, code, frame, protein) == kNone;
            std::printf("%.*s: %zu letters, %td G or C, %zu codons, %td stops%s\n",
                        static_cast<int>(record.header_size),
                        reinterpret_cast<char const*>(block.slab->data() + record.header),
                        letters.size(), gc, protein.size(),
                        std::count(protein.begin(), protein.end(), '*'),
                        sound ? "" : " (no nucleotides)");
        }
    }
} catch (seqtile::ParseError const& error) {
    std::fprintf(stderr, "line %ju: %s\n", std::uintmax_t{error.line()}, error.what());
    return 1;
}
