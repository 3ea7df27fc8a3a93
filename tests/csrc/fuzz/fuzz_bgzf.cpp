// Any bytes as a bgzip file: streamed by one thread and by several, in reads of any size, walked
// block by block; and the bytes as an index of a good file.
// The input's last byte chooses the size of a read.
#include <unistd.h>

#include <cstdio>
#include <string>

#include "fasta/bgzf_index.hpp"
#include "fasta/bgzf_source.hpp"
#include "fuzz.hpp"

namespace seqtile {
namespace {

/// Bytes in memory, `most` at a time.
class MemorySource final : public Source {
  public:
    MemorySource(Bytes bytes, std::size_t most) : bytes_(bytes), most_(most) {}

    std::size_t read(MutableBytes out) override {
        std::size_t const size = std::min({out.size(), most_, bytes_.size()});
        std::copy_n(bytes_.begin(), size, out.begin());
        bytes_ = bytes_.subspan(size);
        return size;
    }

  private:
    Bytes bytes_;
    std::size_t most_;
};

/// What a file inflates to, and whether it was whole.
struct Inflated {
    std::string text;
    std::string error;
    bool operator==(Inflated const&) const = default;
};

Inflated inflate(Bytes file, std::size_t most, std::size_t threads) {
    Inflated all;
    BgzfSource source(std::make_unique<MemorySource>(file, most), threads);
    std::vector<std::uint8_t> out(most);
    try {
        while (std::size_t const size = source.read(out)) {
            REQUIRE(size <= out.size());
            all.text.append(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(size));
            REQUIRE(all.text.size() <= (file.size() / kBgzfHeader + 1) * kBgzfBlock);
        }
    } catch (ParseError const& error) {
        all.error = error.what();
    }
    return all;
}

/// A file that is there for as long as the process, and holds what it is given.
int descriptor_of(Bytes bytes) {
    static std::FILE* const file = std::tmpfile();
    REQUIRE(file != nullptr && ::ftruncate(::fileno(file), 0) == 0);
    auto const written = ::pwrite(::fileno(file), bytes.data(), bytes.size(), 0);
    REQUIRE(written == static_cast<ssize_t>(bytes.size()));
    return ::fileno(file);
}

/// All blocks through their index; the text so far where one is damaged.
Inflated by_index(int descriptor, BgzfIndex index) {
    Inflated all;
    BgzfBlocks const blocks(descriptor, std::move(index));
    for (std::size_t i = 0; i + 1 < blocks.index().size(); ++i) {
        try {
            auto const block = blocks.get(i);
            REQUIRE(block->size() <= kBgzfBlock);
            REQUIRE(blocks.begin(i) + block->size() == blocks.begin(i + 1));
            REQUIRE(block->empty() || blocks.find(blocks.begin(i)) == i);
            all.text.append(block->begin(), block->end());
        } catch (ParseError const& error) {
            all.error = error.what();
            return all;
        }
    }
    REQUIRE(all.text.size() == blocks.size());
    return all;
}

void check(Bytes file, std::size_t most) {
    Inflated const whole = inflate(file, kBgzfBlock, 1);
    Inflated const pieces = inflate(file, most, 1);
    REQUIRE(pieces.error == whole.error);
    if (whole.error.empty()) REQUIRE(pieces.text == whole.text);
    REQUIRE(inflate(file, kBgzfBlock, 3).error == whole.error);

    int const descriptor = descriptor_of(file);
    BgzfIndex index;
    try {
        index = build_bgzf_index(descriptor);
    } catch (ParseError const&) {
        REQUIRE(!whole.error.empty());
        return;
    }
    Inflated const found = by_index(descriptor, index);
    if (whole.error.empty()) REQUIRE(found == whole);
    // The index survives its file.
    BgzfIndex const again = read_gzi(write_gzi(index), descriptor);
    REQUIRE(again.size() == index.size());
}

/// The bytes as a .gzi index: of the file that they are themselves.
void check_index(Bytes bytes) {
    int const descriptor = descriptor_of(bytes);
    try {
        [[maybe_unused]] auto const found = by_index(descriptor, read_gzi(bytes, descriptor));
    } catch (ParseError const&) {
    }
}

}  // namespace
}  // namespace seqtile

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size == 0) return 0;
    seqtile::Bytes const file(data, size - 1);
    seqtile::check(file, std::size_t{1} + data[size - 1] * std::size_t{16});
    seqtile::check_index(file);
    return 0;
}
