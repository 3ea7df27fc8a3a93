#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>

#include "../check.hpp"
#include "fasta/reader.hpp"
#include "parse.hpp"

namespace seqtile {
namespace {

using namespace std::chrono_literals;
using test::Parsed;

/// A text in reads of at most `most` bytes; after it, what `end` does. Counts its reads.
class FakeSource final : public Source {
  public:
    FakeSource(std::string text, std::size_t most, std::function<void()> end = {})
        : text_(std::move(text)), most_(most), end_(std::move(end)) {}

    std::size_t read(MutableBytes out) override {
        ++reads;
        std::size_t const size = std::min({out.size(), most_, text_.size() - at_});
        if (size == 0 && end_) end_();
        std::copy_n(text_.begin() + static_cast<std::ptrdiff_t>(at_), size, out.begin());
        at_ += size;
        return size;
    }

    static inline std::atomic<int> reads = 0;

  private:
    std::string text_;
    std::size_t most_, at_ = 0;
    std::function<void()> end_;
};

std::unique_ptr<Source> source(std::string text, std::size_t most = 7,
                               std::function<void()> end = {}) {
    return std::make_unique<FakeSource>(std::move(text), most, std::move(end));
}

void refuse() {
    throw ParseError("damaged", 0, "");
}

std::string genome(std::size_t records) {
    std::string text;
    for (std::size_t i = 0; i < records; ++i) {
        text += ">r" + std::to_string(i) + "\n" + std::string(i % 70, 'A') + "\nCC\n";
    }
    return text;
}

std::string all_of(Blocks& blocks) {
    std::string text;
    for (Bytes block = blocks.next(); !block.empty(); block = blocks.next()) {
        text.append(block.begin(), block.end());
    }
    return text;
}

template <class Taker>
std::string error_of(Taker&& take) {
    try {
        take();
    } catch (ParseError const& error) {
        return error.what();
    } catch (std::system_error const& error) {
        return error.code().message();
    }
    return "";
}

void unit_read_ahead() {
    std::string const text = genome(50);
    for (std::size_t const block : {1U, 5U, 64U, 100'000U}) {
        ReadAhead blocks(source(text), block);
        CHECK_EQUAL(all_of(blocks), text);
        CHECK(blocks.next().empty() && blocks.next().empty());
    }
    ReadAhead none(source(""));
    CHECK(none.next().empty());
}

/// It reads ahead by itself, but no more than its slots.
void unit_read_ahead_is_bounded() {
    FakeSource::reads = 0;
    ReadAhead blocks(source(std::string(100, 'A'), 1), 16);
    while (FakeSource::reads < 4) std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(20ms);
    CHECK_EQUAL(FakeSource::reads.load(), 4);
    [[maybe_unused]] Bytes const block = blocks.next();
    std::this_thread::sleep_for(20ms);
    CHECK_EQUAL(FakeSource::reads.load(), 4);  // the caller still looks at its block
}

void unit_read_ahead_errors() {
    ReadAhead blocks(source("ACGT", 2, refuse), 2);
    std::string text;
    std::string const error = error_of([&] {
        for (;;) {
            Bytes const block = blocks.next();
            text.append(block.begin(), block.end());
        }
    });
    CHECK_EQUAL(text, "ACGT");
    CHECK_EQUAL(error, "damaged");
    CHECK(blocks.next().empty());  // once
}

void unit_early_destruction() {
    for (int round = 0; round < 200; ++round) {
        auto blocks = std::make_unique<ReadAhead>(source(genome(20), 3), 3);
        for (int i = 0; i < round % 5; ++i) CHECK(!blocks->next().empty());
        auto records = std::make_unique<RecordReader>(std::move(blocks));
        ParseAhead ahead(std::move(records));
        for (int i = 0; round % 5 == 0 && i < round % 7; ++i) CHECK(!ahead.next().parts.empty());
    }
}

Parsed parsed_by(Records& records) {
    Parsed all;
    try {
        for (RecordBlock block = records.next(); !block.parts.empty(); block = records.next()) {
            add(all, block);
        }
    } catch (ParseError const& error) {
        all.error = error.what();
        all.error_line = error.line();
        all.error_record = error.record();
        CHECK(records.next().parts.empty());  // once
    }
    return all;
}

std::unique_ptr<Records> reader(std::string const& text, std::size_t block, bool ahead,
                                std::function<void()> end = {}, bool pieces = false) {
    auto records = std::make_unique<RecordReader>(
        std::make_unique<ReadAhead>(source(text, 1'000'000, std::move(end)), block), kLetters,
        pieces ? Format::fasta : Format::any, pieces);
    if (!ahead) return records;
    return std::make_unique<ParseAhead>(std::move(records));
}

void agreement_with_the_parser() {
    for (std::string const& text :
         {genome(300), genome(40) + ">bad\nA1\n>more\nA\n", std::string("@r\nAC\n+\nII\n@s\nA"),
          std::string("<html>"), std::string(), genome(1)}) {
        Parsed const expected = test::parse(text, text.size() + 1);
        for (bool const ahead : {false, true}) {
            for (std::size_t const block : {1U, 7U, 4096U, 1U << 18}) {
                CHECK(parsed_by(*reader(text, block, ahead)) == expected);
            }
        }
    }
    std::string const text = genome(60);
    CHECK(parsed_by(*reader(text, 9, true, {}, true)) == test::parse(text, text.size() + 1));
}

/// What the source throws comes after the records that were whole.
void unit_errors_of_the_source() {
    for (bool const ahead : {false, true}) {
        Parsed const found = parsed_by(*reader(">a\nA\n>b\nC\n", 4, ahead, refuse));
        CHECK_EQUAL(found.error, "damaged");
        CHECK_EQUAL(found.records.size(), 1U);  // the other may go on
    }
}

/// Blocks that are held are not written again.
void agreement_of_records_that_are_kept() {
    std::string const text = genome(3000);
    auto const records = reader(text, 512, true);
    std::vector<RecordBlock> kept;
    std::size_t number = 0;
    for (RecordBlock block = records->next(); !block.parts.empty(); block = records->next()) {
        if (number++ % 3 != 0) kept.push_back(std::move(block));
    }
    std::vector<test::Found> const expected = test::parse(text, text.size() + 1).records;
    Parsed all;
    for (auto const& block : kept) add(all, block);
    auto at = expected.begin();
    for (auto const& found : all.records) {
        at = std::find(at, expected.end(), found);
        CHECK(at != expected.end());
    }
    CHECK(all.records.size() > 1000);
}

void unit_parse_ahead_is_bounded() {
    FakeSource::reads = 0;
    std::string text;
    for (int i = 0; i < 200; ++i) text += ">r\n" + std::string(100'000, 'A') + "\n";
    ParseAhead const records(std::make_unique<RecordReader>(
        std::make_unique<ReadAhead>(source(text, 100'000), 100'000)));
    for (int before = -1; FakeSource::reads != before; std::this_thread::sleep_for(50ms)) {
        before = FakeSource::reads;
    }
    CHECK(FakeSource::reads < 50);  // of 200: 2 MiB and a few blocks
}

/// A file of `text` that is gone with this object.
struct Temporary {
    explicit Temporary(std::string_view text) {
        CHECK_EQUAL(std::fwrite(text.data(), 1, text.size(), file), text.size());
        std::fflush(file);
    }
    ~Temporary() { std::fclose(file); }
    Temporary(Temporary const&) = delete;
    Temporary& operator=(Temporary const&) = delete;

    [[nodiscard]] int descriptor() const { return ::fileno(file); }
    std::FILE* file = std::tmpfile();
};

void unit_a_file_that_shrinks() {
    Temporary const file(genome(100));
    FileSource whole(file.descriptor());
    std::vector<std::uint8_t> out(1000);
    CHECK_EQUAL(whole.read(out), 1000U);
    CHECK_EQUAL(::ftruncate(file.descriptor(), 1500), 0);
    CHECK_EQUAL(error_of([&] { static_cast<void>(whole.read(out)); }),
                "the file became shorter while it was read");
    FileSource shorter(file.descriptor());
    CHECK_EQUAL(shorter.read(out) + shorter.read(out) + shorter.read(out), 1500U);
    CHECK_EQUAL(shorter.read({}), 0U);
}

/// From its first byte, and what is written behind it meanwhile.
void unit_a_file_that_grows() {
    Temporary const file(">a\nAC");
    FileSource grown(file.descriptor());
    std::vector<std::uint8_t> out(5);
    CHECK_EQUAL(grown.read(out), 5U);
    std::fputs("GT\n", file.file);
    std::fflush(file.file);
    CHECK_EQUAL(grown.read(out), 3U);
    CHECK_EQUAL(grown.read(out), 0U);
}

void unit_system_errors() {
    CHECK(error_of([] { FileSource const none(-1); }) == std::generic_category().message(EBADF));
    std::vector<std::uint8_t> out(5);
    CHECK(error_of([&] { static_cast<void>(read_at(-1, 0, out)); }) ==
          std::generic_category().message(EBADF));
}

void unit_a_pipe() {
    int ends[2];
    CHECK_EQUAL(::pipe(ends), 0);
    {
        ReadAhead blocks(std::make_unique<FileSource>(ends[0]), 100);
        CHECK_EQUAL(::write(ends[1], "ACGT", 4), 4);
        Bytes const block = blocks.next();
        CHECK_EQUAL(std::string(block.begin(), block.end()), "ACGT");  // at once
        ::close(ends[1]);
        CHECK(blocks.next().empty());
    }
    ::close(ends[0]);
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_read_ahead();
    seqtile::unit_read_ahead_is_bounded();
    seqtile::unit_read_ahead_errors();
    seqtile::unit_early_destruction();
    seqtile::agreement_with_the_parser();
    seqtile::unit_errors_of_the_source();
    seqtile::agreement_of_records_that_are_kept();
    seqtile::unit_parse_ahead_is_bounded();
    seqtile::unit_a_file_that_shrinks();
    seqtile::unit_a_file_that_grows();
    seqtile::unit_system_errors();
    seqtile::unit_a_pipe();
    return seqtile::test::result();
}
