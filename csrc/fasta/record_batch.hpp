// Names and letters of records by the block, where the parser left them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "../core/bytes.hpp"
#include "../core/slab.hpp"
#include "letters.hpp"
#include "reader.hpp"

namespace seqtile {

/// Whole records, of one block of a file or of several.
struct RecordBatch {
    std::vector<std::shared_ptr<Slab>> slabs;  ///< where they lie
    std::vector<Bytes> names;                  ///< headers up to the first blank
    std::vector<Bytes> letters;
};

/// Cuts and merges the blocks of a reader of whole records. Not for two threads at once.
class RecordBatches {
  public:
    /// Batches are not made larger than so many bytes, or one block.
    static constexpr std::size_t kMost = std::size_t{16} << 20;

    explicit RecordBatches(Records& records) : records_(&records) {}

    /// At least `least` records, or kMost bytes, and at most `most` >= 1; fewer at the end; none
    /// after it. An error comes after the records before it. @throw as Records::next
    [[nodiscard]] RecordBatch next(std::size_t least, std::size_t most) {
        RecordBatch batch;
        std::size_t bytes = 0;
        do {
            if (taken_ == block_.parts.size() && !refill(batch.names.empty())) break;
            bytes += move(most - batch.names.size(), batch);
        } while (batch.names.size() < std::min(least, most) && bytes < kMost);
        return batch;
    }

  private:
    /// Returns whether there is another block. @throw what ended the records, if `now`
    bool refill(bool now) {
        block_ = {};
        taken_ = 0;
        try {
            if (!error_) block_ = records_->next();
        } catch (...) {
            error_ = std::current_exception();
        }
        if (error_ && now) std::rethrow_exception(std::exchange(error_, nullptr));
        return !block_.parts.empty();
    }

    /// At most `most` records of the block to a batch; returns their bytes.
    std::size_t move(std::size_t most, RecordBatch& batch) {
        std::size_t const count = std::min(most, block_.parts.size() - taken_);
        std::uint8_t const* const base = block_.slab->data();
        std::size_t bytes = 0;
        batch.names.reserve(batch.names.size() + count);
        batch.letters.reserve(batch.letters.size() + count);
        for (std::size_t i = taken_; i < taken_ + count; ++i) {
            auto const& part = block_.parts[i];
            Bytes const header(base + part.header, part.header_size);
            auto const end = std::find_if(header.begin(), header.end(), is_blank);
            batch.names.emplace_back(header.begin(), end);
            batch.letters.emplace_back(base + part.letters, part.length);
            bytes += part.header_size + part.length;
        }
        taken_ += count;
        batch.slabs.push_back(block_.slab);
        return bytes;
    }

    Records* records_;
    RecordBlock block_;
    std::size_t taken_ = 0;  // of its records
    std::exception_ptr error_;
};

}  // namespace seqtile
