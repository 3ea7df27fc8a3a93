// Any bytes as a file, any numbers as its index: nothing outside is read, and where the index is
// the parser's own, the letters are the parser's. The input's first byte chooses; four numbers of
// two bytes each follow, then the file.
#include <algorithm>
#include <memory>

#include "../fasta/parse.hpp"
#include "fasta/faidx.hpp"
#include "fuzz.hpp"

namespace seqtile {
namespace {

/// Letters [start, end) of a record whose bytes lie in `file`, false as unwrap() or where the file
/// ends before; what is read and written are allocations of their own.
bool fetch(std::string_view file, FaidxRecord const& record, std::uint64_t start, std::uint64_t end,
           std::string& letters) {
    Span const span = line_span(start, end, record);
    REQUIRE(span.size >= end - start);
    REQUIRE(letters_before(span.offset, record) == start);
    REQUIRE(letters_before(span.end(), record) == end);
    std::uint64_t const from = record.offset + span.offset;
    if (from > file.size() || span.size > file.size() - from) return false;
    auto const* const bytes = reinterpret_cast<std::uint8_t const*>(file.data()) + from;
    std::vector<std::uint8_t> const raw(bytes, bytes + span.size);
    std::vector<std::uint8_t> out(end - start);
    bool const sound = unwrap(raw, span.offset, record, out);
    letters.assign(out.begin(), out.end());
    return sound;
}

/// An index that may be any.
void check_any(std::string_view file, FaidxRecord const& record, std::uint64_t seed) {
    if (record.length == 0) return;
    std::uint64_t const start = seed % record.length;
    std::uint64_t const end = start + 1 + (seed >> 8) % (record.length - start);
    std::string letters;
    if (!fetch(file, record, start, end, letters)) return;
    for (std::uint64_t i = start; i < end; ++i) {
        std::uint64_t const at =
            record.offset + i / record.line_bases * record.line_width + i % record.line_bases;
        REQUIRE(at < file.size());
        REQUIRE(letters[i - start] == file[at]);
        REQUIRE(static_cast<std::uint8_t>(file[at]) > ' ' && file[at] != '>');
    }
}

/// The parser's own index.
void check_own(std::string_view file, std::uint64_t seed) {
    test::Parsed const parsed =
        test::parse(file, file.size() + 1, {Format::fasta, false, &kLetters});
    for (auto const& found : parsed.records) {
        auto const& [length, offset, bases, width, uneven, blank] = found.geometry;
        REQUIRE(length == found.letters.size());
        REQUIRE(blank == 0 || uneven != 0);
        if (uneven != 0 || length == 0) continue;
        FaidxRecord const record{length, offset, bases, width};
        REQUIRE(bases > 0 && bases <= width);
        std::string letters;
        REQUIRE(fetch(file, record, 0, length, letters));
        REQUIRE(letters == found.letters);
        std::uint64_t const start = seed % length;
        std::uint64_t const end = start + 1 + (seed >> 8) % (length - start);
        REQUIRE(fetch(file, record, start, end, letters));
        REQUIRE(letters == found.letters.substr(start, end - start));
    }
}

}  // namespace
}  // namespace seqtile

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    using namespace seqtile;
    constexpr std::size_t kNumbers = 9;
    if (size < kNumbers) return 0;
    auto const number = [&](std::size_t i) {
        return static_cast<std::uint64_t>(data[1 + 2 * i] | data[2 + 2 * i] << 8);
    };
    std::string_view const file(reinterpret_cast<char const*>(data) + kNumbers, size - kNumbers);
    std::uint64_t const seed = number(0) * 31 + number(3);
    if (data[0] % 2 == 0) {
        check_own(file, seed);
        return 0;
    }
    // Sound numbers, small or as large as they may be.
    std::uint64_t const bases = 1 + (data[0] & 2 ? number(2) % 128 : number(2) << 40);
    FaidxRecord record{number(0), number(1), bases, bases + number(3) % (data[0] & 4 ? 3 : 500)};
    if (data[0] & 8) record.length <<= 24;
    if (data[0] & 16) record.offset <<= 40;
    check_any(file, record, seed);
    return 0;
}
