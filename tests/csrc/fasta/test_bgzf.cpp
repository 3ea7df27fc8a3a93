#include <fcntl.h>
#include <sys/wait.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "../check.hpp"
#include "fasta/bgzf.hpp"
#include "fasta/bgzf_index.hpp"
#include "fasta/bgzf_source.hpp"

namespace seqtile {
namespace {

using namespace std::string_literals;
using test::bytes;

// The end marker, byte for byte as in the SAM specification.
std::string const kEnd =
    "\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0\x42\x43\x02\0\x1b\0\x03\0\0\0\0\0\0\0\0\0"s;

std::string number(std::size_t value, std::size_t size) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i) text += static_cast<char>(value >> (8 * i) & 255);
    return text;
}

// A block that holds `content` in one stored deflate stream.
std::string block(std::string const& content) {
    std::string const stream =
        "\1" + number(content.size(), 2) + number(~content.size() & 0xFFFF, 2) + content;
    auto const crc = libdeflate_crc32(0, content.data(), content.size());
    return "\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0"s + number(18 + stream.size() + 7, 2) +
           stream + number(crc, 4) + number(content.size(), 4);
}

class Text final : public Source {
  public:
    Text(std::string text, std::size_t most) : text_(std::move(text)), most_(most) {}
    std::size_t read(MutableBytes out) override {
        std::size_t const size = std::min({out.size(), most_, text_.size() - at_});
        std::copy_n(text_.begin() + static_cast<std::ptrdiff_t>(at_), size, out.begin());
        at_ += size;
        return size;
    }

  private:
    std::string text_;
    std::size_t most_;
    std::size_t at_ = 0;
};

std::string inflate(std::string const& file, std::size_t threads = 1, std::size_t step = 1 << 20,
                    std::size_t pieces = 1 << 20) {
    BgzfSource source(std::make_unique<Text>(file, pieces), threads);
    std::vector<std::uint8_t> buffer(step);
    std::string all;
    while (std::size_t const size = source.read(buffer)) {
        all.append(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
    }
    CHECK_EQUAL(source.read(buffer), 0U);
    return all;
}

std::string error_of(std::string const& file, std::size_t threads = 1) {
    try {
        inflate(file, threads);
    } catch (BgzfError const& error) {
        return error.what();
    }
    return "none";
}

std::string changed(std::string text, std::size_t at, char byte) {
    text[at] = byte;
    return text;
}

void unit_blocks() {
    CHECK_EQUAL(inflate(kEnd), "");
    CHECK_EQUAL(inflate(block("ACGT") + kEnd), "ACGT");
    CHECK_EQUAL(inflate(block("AC") + kEnd + block("GT") + kEnd), "ACGT");  // two files joined
    std::string const large(65'000, 'A');
    CHECK_EQUAL(inflate(block(large) + block("C") + kEnd), large + "C");
}

void unit_another_extra_field() {
    std::string file = block("ACGT");
    file.insert(12, "XY\x01\0z"s);
    file[10] = 11;
    file[21] = static_cast<char>(file[21] + 5);
    CHECK_EQUAL(inflate(file + kEnd), "ACGT");
}

void unit_is_bgzf() {
    CHECK(is_bgzf(bytes(kEnd)));
    CHECK(is_bgzf(bytes(kEnd).first(18)));
    CHECK(!is_bgzf(bytes(kEnd).first(17)));
    CHECK(!is_bgzf({}));
    CHECK(!is_bgzf(bytes(">chr1\nACGTACGTACGTACGT\n")));
    CHECK(!is_bgzf(bytes("\x1f\x8b\x08\0\0\0\0\0\0\3ACGTACGTACGT"s)));
    CHECK(!is_bgzf(bytes(changed(kEnd, 13, 'D'))));
}

void unit_damage() {
    std::string const good = block("ACGT") + block("TTTT") + kEnd;
    std::string const at = "bgzip block at byte 35: ";
    CHECK_EQUAL(error_of(changed(good, 35, 'x')), at + "expected a block, found other bytes");
    CHECK_EQUAL(error_of(changed(good, 38, 12)), at + "expected a block, found other bytes");
    CHECK_EQUAL(error_of(changed(good, 47, 'x')),
                at + "the header lacks the block's size: ordinary gzip, not bgzip");
    CHECK_EQUAL(error_of(changed(good, 45, 3)),
                at + "the header lacks the block's size: ordinary gzip, not bgzip");
    CHECK_EQUAL(error_of(changed(good, 51, 5)), at + "a size of 6 is impossible");
    CHECK_EQUAL(error_of(changed(good, 51, 33)),
                "bgzip block at byte 69: expected a block, found other bytes");
    CHECK_EQUAL(error_of(changed(good, 53, 7)), at + "damaged deflate data");
    CHECK_EQUAL(error_of(changed(good, 60, 'A')), at + "the checksum is wrong");
    CHECK_EQUAL(error_of(changed(good, 62, 'A')), at + "the checksum is wrong");
    CHECK_EQUAL(error_of(changed(good, 66, 5)), at + "damaged deflate data");
    CHECK_EQUAL(error_of(changed(good, 66, 3)), at + "damaged deflate data");
    CHECK_EQUAL(error_of(changed(good, 68, 2)),
                at + "claims to hold 131076 bytes, more than 65536");
    CHECK_EQUAL(error_of(good + "ACGT"),
                "bgzip block at byte 98: expected a block, found other bytes");
    CHECK_EQUAL(error_of(good + "\x1f"s),
                "bgzip block at byte 98: the file ends inside it: truncated");
}

void unit_cut_anywhere() {
    std::string const good = block("ACGT") + block("TTTT") + kEnd;
    for (std::size_t size = 0; size < good.size(); ++size) {
        for (std::size_t const threads : {1U, 3U}) {
            std::string const message = error_of(good.substr(0, size), threads);
            std::size_t const begin = size / 35 * 35;
            std::string const where = "bgzip block at byte " + std::to_string(begin) + ": ";
            CHECK_EQUAL(
                message,
                where + (size == begin ? "expected an empty block at the file's end: truncated"
                                       : "the file ends inside it: truncated"));
        }
    }
}

void unit_an_error_repeats() {
    BgzfSource source(std::make_unique<Text>(block("AC") + "xyz", 9), 2);
    std::array<std::uint8_t, 8> buffer{};
    for (int i = 0; i < 3; ++i) {
        std::string what;
        try {
            source.read(buffer);
        } catch (BgzfError const& error) {
            what = error.what();
        }
        CHECK_EQUAL(what, "bgzip block at byte 33: expected a block, found other bytes");
    }
}

void agreement_any_threads_steps_and_pieces() {
    std::mt19937 random(3);
    std::string file, expected;
    for (int i = 0; i < 300; ++i) {
        std::size_t const size = std::uniform_int_distribution<std::size_t>(0, 9000)(random);
        std::string const content = test::random_letters(random, "ACGTN\n", size);
        file += block(content);
        expected += content;
    }
    file += kEnd;
    for (std::size_t const threads : {1U, 2U, 5U}) {
        for (std::size_t const step : {777U, 65'536U, 3'000'000U}) {
            CHECK(inflate(file, threads, step) == expected);
            CHECK(inflate(file, threads, step, 1000) == expected);
        }
    }
}

void unit_abandoned_early_and_after_a_fork() {
    std::string file;
    for (int i = 0; i < 200; ++i) file += block(std::string(20'000, 'A'));
    std::array<std::uint8_t, 100> buffer{};
    auto source = std::make_unique<BgzfSource>(std::make_unique<Text>(file, 5000), 4);
    CHECK_EQUAL(source->read(buffer), 100U);
    pid_t const child = ::fork();
    if (child == 0) {
        bool refused = false;
        try {
            source->read(buffer);
        } catch (ParseError const&) {
            refused = true;
        }
        source.reset();
        ::_exit(refused ? 0 : 1);
    }
    int status = -1;
    CHECK_EQUAL(::waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
    CHECK_EQUAL(source->read(buffer), 100U);
    source.reset();
}

void unit_file_source() {
    std::array<int, 2> ends{};
    CHECK_EQUAL(::pipe(ends.data()), 0);
    std::string const text = block("ACGT") + kEnd;
    std::jthread const writer([&] {
        for (char const& byte : text) CHECK_EQUAL(::write(ends[1], &byte, 1), 1);
        ::close(ends[1]);
    });
    {
        BgzfSource source(ends[0], 2);
        std::array<std::uint8_t, 9> buffer{};
        CHECK_EQUAL(source.read(buffer), 4U);
        CHECK_EQUAL(source.read(buffer), 0U);
    }
    ::close(ends[0]);
    std::string what;
    try {
        FileSource const closed(-1);
    } catch (std::system_error const& error) {
        what = error.code().message();
    }
    CHECK_EQUAL(what, "Bad file descriptor");
}

// An unnamed file of these bytes.
int file_of(std::string const& content) {
    std::string name = std::filesystem::temp_directory_path() / "seqtile.XXXXXX";
    int const descriptor = ::mkstemp(name.data());
    ::unlink(name.c_str());
    CHECK_EQUAL(::write(descriptor, content.data(), content.size()),
                static_cast<ssize_t>(content.size()));
    return descriptor;
}

std::string gzi(std::vector<std::size_t> const& numbers) {
    std::string bytes;
    for (std::size_t const value : numbers) bytes += number(value, 8);
    return bytes;
}

void unit_index() {
    // blocks at 0 (4 bytes), 35 (3), 69 (none), 97 (2), 130 (none)
    std::string const file = block("ACGT") + block("TTT") + kEnd + block("GG") + kEnd;
    int const descriptor = file_of(file);
    BgzfIndex const index = build_bgzf_index(descriptor);
    CHECK(index == (BgzfIndex{{0, 0}, {35, 4}, {97, 7}, {158, 9}}));
    auto const written = write_gzi(index);
    CHECK(std::string(written.begin(), written.end()) == gzi({2, 35, 4, 97, 7}));
    CHECK(read_gzi(written, descriptor) == index);
    BgzfBlocks const blocks(descriptor, index);
    CHECK_EQUAL(blocks.size(), 9U);
    std::array<std::size_t, 10> const expected{0, 0, 0, 0, 1, 1, 1, 2, 2, 3};
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK_EQUAL(blocks.find(i), expected[i]);
    for (int round = 0; round < 2; ++round) {
        CHECK_EQUAL(test::text(*blocks.get(0)), "ACGT");
        CHECK_EQUAL(test::text(*blocks.get(1)), "TTT");
        CHECK_EQUAL(test::text(*blocks.get(2)), "GG");
    }
    ::close(descriptor);
}

void unit_an_index_that_lies() {
    int const descriptor = file_of(block("ACGT") + block("TTT") + block("GG") + kEnd);
    auto const error = [&](std::string const& text) -> std::string {
        try {
            BgzfBlocks const blocks(descriptor, read_gzi(bytes(text), descriptor));
            for (std::size_t i = 0; i + 1 < blocks.index().size(); ++i) blocks.get(i);
        } catch (ParseError const& found) {
            return found.what();
        }
        return "none";
    };
    constexpr std::size_t kHuge = std::size_t{1} << 63;
    std::string const count = "its size is not that of the blocks it counts";
    CHECK_EQUAL(error(gzi({2, 35, 4, 69, 7})), "none");
    CHECK_EQUAL(error(""), count);
    CHECK_EQUAL(error(gzi({1})), count);
    CHECK_EQUAL(error(gzi({kHuge, 35, 4})), count);
    CHECK_EQUAL(error(gzi({kHuge >> 3, 35, 4})), count);
    CHECK_EQUAL(error(gzi({1, 0, 4})), "block 1 cannot begin at byte 0");
    CHECK_EQUAL(error(gzi({1, kHuge, 4})), "block 1 cannot begin at byte 9223372036854775808");
    CHECK_EQUAL(error(gzi({1, 35, kHuge})), "block 1 cannot begin at byte 35");
    CHECK_EQUAL(error(gzi({2, 35, 4, 34, 7})), "block 2 cannot begin at byte 34");
    CHECK_EQUAL(error(gzi({2, 35, 4, 69, 3})), "block 2 cannot begin at byte 69");
    CHECK_EQUAL(error(gzi({2, 35, 5, 69, 7})),
                "bgzip block at byte 0: holds 4 bytes, its index says 5");
    CHECK_EQUAL(error(gzi({1, 36, 4})),
                "bgzip block at byte 36: expected a block, found other bytes");
    CHECK_EQUAL(error(gzi({2, 34, 4, 69, 7})),
                "bgzip block at byte 0: the file or its index ends inside it");
    ::close(descriptor);
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_blocks();
    seqtile::unit_another_extra_field();
    seqtile::unit_is_bgzf();
    seqtile::unit_damage();
    seqtile::unit_cut_anywhere();
    seqtile::unit_an_error_repeats();
    seqtile::agreement_any_threads_steps_and_pieces();
    seqtile::unit_abandoned_early_and_after_a_fork();
    seqtile::unit_file_source();
    seqtile::unit_index();
    seqtile::unit_an_index_that_lies();
    return seqtile::test::result();
}
