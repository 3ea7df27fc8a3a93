#include <fcntl.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include "../check.hpp"
#include "fasta/faidx.hpp"
#include "fasta/fasta_file.hpp"

namespace seqtile {
namespace {

using namespace std::string_literals;
using test::bytes;
using test::text;

void unit_line_span() {
    // Lines of 4 letters in 6 bytes: ACGT.. ACGT.. AC..
    auto const span = [](std::uint64_t start, std::uint64_t end) {
        Span const found = line_span(start, end, {10, 0, 4, 6});
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
                    FaidxRecord const record{letters.size(), 0, bases, width};
                    Span const span = line_span(from, to, record);
                    std::string const raw = file.substr(span.offset, span.size);
                    std::vector<std::uint8_t> out(to - from);
                    CHECK(unwrap(bytes(raw), span.offset, record, out));
                    CHECK_EQUAL(text(out), letters.substr(from, to - from));
                }
            }
        }
    }
}

void unit_unwrap_refuses_another_file() {
    auto const sound = [](std::string_view raw, std::uint64_t column, std::size_t letters) {
        std::vector<std::uint8_t> out(letters);
        return unwrap(bytes(raw), column, {100, 0, 4, 5}, out);
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

void unit_letters_before() {
    FaidxRecord const record{10, 7, 4, 6};
    std::array<std::uint64_t, 9> const expected{0, 1, 2, 3, 4, 4, 4, 5, 6};
    for (std::size_t i = 0; i < expected.size(); ++i) {
        CHECK_EQUAL(letters_before(i, record), expected[i]);
    }
}

void unit_unwrap_long_lines_byte_by_byte() {
    std::string const line(50, 'A');
    std::string const good = line + "\n" + line;
    FaidxRecord const record{100, 0, 50, 51};
    std::vector<std::uint8_t> out(100);
    CHECK(unwrap(bytes(good), 0, record, out));
    for (std::size_t i = 0; i < good.size(); ++i) {
        for (char const wrong : {'\0', ' ', '\n', '>', 'C'}) {
            std::string changed = good;
            changed[i] = wrong;
            bool const sound = i == 50 ? wrong == '\n' || wrong == ' ' : wrong == 'C';
            CHECK_EQUAL(unwrap(bytes(changed), 0, record, out), sound);
        }
    }
}

class File {
  public:
    explicit File(std::string const& content)
        : path_(std::filesystem::temp_directory_path() /
                ("seqtile." + std::to_string(::getpid()))) {
        std::ofstream(path_, std::ios::binary) << content;
    }
    ~File() { std::filesystem::remove(path_); }
    [[nodiscard]] int open() const { return ::open(path_.c_str(), O_RDONLY); }
    [[nodiscard]] std::filesystem::path const& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

// Lines of 7 letters, and the requests of 500 intervals in them.
struct Genome {
    std::string letters;
    std::string file = ">a\n";
    FaidxRecord record;
    std::vector<FetchRequest> requests;
    std::size_t total = 0;

    explicit Genome(std::size_t size) : record{size, 3, 7, 9} {
        std::mt19937 random(5);
        letters = test::random_letters(random, "ACGT", size);
        for (std::size_t i = 0; i < size; i += 7) file += letters.substr(i, 7) + "\r\n";
        std::uniform_int_distribution<std::size_t> pick(0, size);
        for (int i = 0; i < 500; ++i) {
            auto const [start, end] = std::minmax({pick(random), pick(random)});
            std::size_t const stop = i % 5 == 0 ? end : std::min(end, start + 90);
            requests.push_back({&record, start, stop, total, i % 3 == 0, i % 2 == 0});
            total += stop - start;
        }
    }

    void check(FastaFile const& fasta, std::size_t threads) const {
        std::vector<std::uint8_t> out(total);
        CHECK_EQUAL(fasta.fetch_many(requests, out, threads).request, kNone);
        for (FetchRequest const& request : requests) {
            std::string expected = letters.substr(request.start, request.size());
            std::vector<std::uint8_t> one(request.size());
            CHECK(fasta.fetch(record, request.start, request.end, one));
            CHECK(text(one) == expected);
            if (request.minus) {
                std::reverse(expected.begin(), expected.end());
                auto const complements = request.rna ? "UGCA"s : "TGCA"s;
                for (char& letter : expected) letter = complements["ACGT"s.find(letter)];
            }
            auto const begin = out.begin() + static_cast<std::ptrdiff_t>(request.at);
            CHECK(std::equal(expected.begin(), expected.end(), begin));
        }
    }
};

void agreement_plain_files() {
    Genome const genome(60'000);
    File const file(genome.file);
    FastaFile const fasta(file.open(), {});
    CHECK_EQUAL(fasta.size(), genome.file.size());
    for (std::size_t const threads : {1U, 4U}) genome.check(fasta, threads);
    std::vector<std::jthread> users;
    for (int i = 0; i < 4; ++i) users.emplace_back([&] { genome.check(fasta, 2); });
}

void unit_a_file_that_shrinks() {
    Genome const genome(60'000);
    File const file(genome.file);
    FastaFile const fasta(file.open(), {});
    std::vector<std::uint8_t> out(genome.total);
    CHECK_EQUAL(fasta.fetch_many(genome.requests, out, 1).request, kNone);
    std::filesystem::resize_file(file.path(), 100);
    for (std::size_t const threads : {1U, 4U}) {
        CHECK_EQUAL(fasta.fetch_many(genome.requests, out, threads).request, 0U);
    }
    CHECK(!fasta.fetch(genome.record, 50'000, 50'010, MutableBytes(out).first(10)));
    CHECK(!fasta.fetch(genome.record, 0, 50'000, MutableBytes(out).first(50'000)));
}

void unit_no_complement() {
    File const file(">a\nACGTEQAC\n");
    FastaFile const fasta(file.open(), {});
    FaidxRecord const record{8, 3, 8, 9};
    std::vector<FetchRequest> const requests{{&record, 0, 4, 0, true, false},
                                             {&record, 2, 8, 4, false, false},
                                             {&record, 2, 8, 10, true, false}};
    std::vector<std::uint8_t> out(16);
    FetchFailure const failure = fasta.fetch_many(requests, out, 1);
    CHECK_EQUAL(failure.request, 2U);
    CHECK_EQUAL(failure.position, 2U);
    CHECK_EQUAL(failure.byte, 'E');
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_line_span();
    seqtile::agreement_unwrap_with_the_letters();
    seqtile::unit_unwrap_refuses_another_file();
    seqtile::unit_letters_before();
    seqtile::unit_unwrap_long_lines_byte_by_byte();
    seqtile::agreement_plain_files();
    seqtile::unit_a_file_that_shrinks();
    seqtile::unit_no_complement();
    return seqtile::test::result();
}
