// Names and letters of records by the block, where the parser left them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "letters.hpp"
#include "reader.hpp"
#include "sequence.hpp"
#include "slab.hpp"

namespace seqtile {

/// Whole records of one block of a file, or of several.
struct RecordBatch {
    std::vector<std::shared_ptr<Slab>> slabs;  ///< where they lie
    std::vector<Bytes> names;                  ///< headers up to the first blank
    std::vector<Bytes> letters;

    void add(RecordBlock const& block) {
        std::uint8_t const* const base = block.slab->data();
        names.reserve(names.size() + block.parts.size());
        letters.reserve(letters.size() + block.parts.size());
        for (auto const& part : block.parts) {
            Bytes const header(base + part.header, part.header_size);
            auto const end = std::find_if(header.begin(), header.end(), is_blank);
            names.emplace_back(header.begin(), end);
            letters.emplace_back(base + part.letters, part.length);
        }
        slabs.push_back(block.slab);
    }
};

/// Merges the small blocks of a reader of whole records. Not for two threads at once.
class RecordBatches {
  public:
    /// Blocks are merged up to so many bytes.
    static constexpr std::size_t kMost = std::size_t{16} << 20;

    explicit RecordBatches(Records& records) : records_(&records) {}

    /// At least so many records, or kMost bytes; fewer at the end; none after it. An error comes
    /// after the records before it. @throw as Records::next
    [[nodiscard]] RecordBatch next(std::size_t least) {
        RecordBatch batch;
        std::size_t bytes = 0;
        while (batch.names.empty() || (batch.names.size() < least && bytes < kMost)) {
            if (error_) {
                if (!batch.names.empty()) break;
                std::rethrow_exception(std::exchange(error_, nullptr));
            }
            try {
                RecordBlock const block = records_->next();
                if (block.parts.empty()) break;
                bytes += block.bytes;
                batch.add(block);
            } catch (...) {
                error_ = std::current_exception();
            }
        }
        return batch;
    }

  private:
    Records* records_;
    std::exception_ptr error_;
};

}  // namespace seqtile
