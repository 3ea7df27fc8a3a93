#include <string>

#include "../check.hpp"
#include "fasta/record_batch.hpp"

namespace seqtile {
namespace {

/// A text in blocks of `size` bytes, then an error if one is wanted.
class TextBlocks final : public Blocks {
  public:
    TextBlocks(std::string text, std::size_t size, bool damaged)
        : text_(std::move(text)), size_(size), damaged_(damaged) {}

    [[nodiscard]] Bytes next() override {
        Bytes const left = test::bytes(text_).subspan(at_);
        if (left.empty() && damaged_) throw std::system_error(5, std::generic_category());
        Bytes const block = left.first(std::min(size_, left.size()));
        at_ += block.size();
        return block;
    }

  private:
    std::string text_;
    std::size_t size_, at_ = 0;
    bool damaged_;
};

std::string name(std::size_t i) {
    return "r" + std::to_string(i);
}

/// Record i: its name, a blank and more, and i % 7 letters.
std::string file(std::size_t records, bool fastq = false) {
    std::string text;
    for (std::size_t i = 0; i < records; ++i) {
        std::string const letters(i % 7, 'A');
        text += (fastq ? "@" : ">") + name(i) + "\tx y\n" + letters + "\n";
        if (fastq) text += "+\n" + std::string(i % 7, 'I') + "\n";
    }
    return text;
}

/// Batches that are held until the end, then compared: sizes, and whether all was right.
struct Read {
    std::vector<std::size_t> sizes;
    std::string error;
};

Read read(std::string text, std::size_t block, std::size_t least, std::size_t most,
          bool damaged = false) {
    RecordReader reader(std::make_unique<TextBlocks>(std::move(text), block, damaged));
    RecordBatches batches(reader);
    std::vector<RecordBatch> all;
    Read found;
    try {
        for (;;) {
            all.push_back(batches.next(least, most));
            if (all.back().names.empty()) break;
        }
        CHECK(batches.next(least, most).names.empty());  // and so it stays
    } catch (ParseError const& error) {
        found.error = error.record();
    } catch (std::system_error const&) {
        found.error = "system";
    }
    std::size_t i = 0;
    for (auto const& batch : all) {
        CHECK_EQUAL(batch.names.size(), batch.letters.size());
        for (std::size_t k = 0; k < batch.names.size(); ++k, ++i) {
            CHECK_EQUAL(std::string(batch.names[k].begin(), batch.names[k].end()), name(i));
            CHECK_EQUAL(std::string(batch.letters[k].begin(), batch.letters[k].end()),
                        std::string(i % 7, 'A'));
        }
        if (!batch.names.empty()) found.sizes.push_back(batch.names.size());
    }
    return found;
}

constexpr std::size_t kAll = static_cast<std::size_t>(-1);
using Sizes = std::vector<std::size_t>;

void unit_one_block() {
    CHECK((read(file(10), 1 << 20, 1, kAll).sizes == Sizes{9, 1}));  // the last one ends the file
    CHECK((read(file(10), 1 << 20, 1, 4).sizes == Sizes{4, 4, 1, 1}));
    CHECK((read(file(10), 1 << 20, 4, 4).sizes == Sizes{4, 4, 2}));
    CHECK((read(file(10), 1 << 20, 100, 100).sizes == Sizes{10}));
    CHECK((read(file(1), 1 << 20, 1, 1).sizes == Sizes{1}));
}

void unit_many_blocks() {
    for (std::size_t const block : {1U, 7U, 40U, 1000U}) {
        for (bool const fastq : {false, true}) {
            CHECK((read(file(20, fastq), block, 6, 6).sizes == Sizes{6, 6, 6, 2}));
            CHECK((read(file(20, fastq), block, kAll, kAll).sizes == Sizes{20}));
            CHECK_EQUAL(read(file(20, fastq), block, 0, 1).sizes.size(), 20U);
        }
    }
}

void unit_least_above_most() {
    CHECK((read(file(10), 5, 100, 3).sizes == Sizes{3, 3, 3, 1}));
}

/// An error comes after the records before it, however they are cut.
void unit_errors() {
    for (std::size_t const block : {1U, 30U, 1U << 20}) {
        Read const parse = read(file(10) + ">bad\nA1\n", block, 4, 4);
        CHECK((parse.sizes == Sizes{4, 4, 2}));
        CHECK_EQUAL(parse.error, "bad");
        CHECK_EQUAL(read(file(10) + ">bad\nA1\n", block, 5, 5).error, "bad");
        CHECK((read(file(10) + ">bad\nA1\n", block, 5, 5).sizes == Sizes{5, 5}));
    }
    Read const system = read(file(10) + ">half", 30, kAll, kAll, true);
    CHECK((system.sizes == Sizes{10}));
    CHECK_EQUAL(system.error, "system");
    Read const empty = read("", 30, 1, kAll);
    CHECK(empty.sizes.empty());
}

/// Batches of long records end before there are enough.
void unit_memory() {
    std::string text;
    std::string const letters(RecordBatches::kMost / 4 + 1, 'A');
    for (int i = 0; i < 6; ++i) text += ">r\n" + letters + "\n";
    RecordReader reader(std::make_unique<TextBlocks>(std::move(text), 1 << 20, false));
    RecordBatches batches(reader);
    CHECK_EQUAL(batches.next(100, 100).names.size(), 4U);
    CHECK_EQUAL(batches.next(100, 100).names.size(), 2U);
    CHECK(batches.next(100, 100).names.empty());
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_one_block();
    seqtile::unit_many_blocks();
    seqtile::unit_least_above_most();
    seqtile::unit_errors();
    seqtile::unit_memory();
    return seqtile::test::result();
}
