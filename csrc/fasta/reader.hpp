// Records from a source of bytes, which is read ahead in its own thread.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "records.hpp"
#include "source.hpp"

namespace seqtile {

/// Blocks of bytes, in order.
class Blocks {
  public:
    Blocks() = default;
    Blocks(Blocks const&) = delete;
    Blocks& operator=(Blocks const&) = delete;
    virtual ~Blocks() = default;

    /// The next block, valid until the next call; empty at the end. Throws what its source throws.
    [[nodiscard]] virtual Bytes next() = 0;
};

/// Reads a source in threads of its own, a few blocks ahead of who takes them.
class ReadAhead final : public Blocks {
  public:
    /// Of 64 KiB to 4 MiB these gave the most (benches/bench_fasta.py): waking a thread costs more
    /// than a cache miss. A mapped file, whose pages must be mapped one by one, gave two thirds.
    static constexpr std::size_t kBlock = std::size_t{1} << 20;

    /// A seekable source is read by two threads: the kernel's copy of a file in its cache takes
    /// longer than parsing it.
    explicit ReadAhead(std::unique_ptr<Source> source, std::size_t block = kBlock)
        : source_(std::move(source)), block_(block) {
        for (std::size_t i = 0; i < (source_->seekable() ? 2 : 1); ++i) {
            try {
                threads_.emplace_back([this] { run(); });
            } catch (std::system_error const&) {
                if (threads_.empty()) throw;  // else one does the same
            }
        }
    }

    ~ReadAhead() override {
        {
            std::lock_guard const lock(mutex_);
            stopped_ = true;
        }
        changed_.notify_all();
    }

    [[nodiscard]] Bytes next() override {
        std::unique_lock lock(mutex_);
        if (held_) {
            held_ = false;
            ++taken_;
            changed_.notify_all();
        }
        Slot& slot = slots_[taken_ % kSlots];
        changed_.wait(lock, [&] { return slot.filled > taken_ || taken_ >= end_; });
        if (taken_ >= end_) {
            if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
            return {};
        }
        held_ = true;
        return std::span(slot.bytes).first(slot.size);
    }

  private:
    static constexpr std::size_t kSlots = 4;
    struct Slot {
        std::vector<std::uint8_t> bytes;
        std::size_t size = 0;
        std::size_t filled = 0;  // 1 + the number of the block in it, as next() counts them
    };

    void run() noexcept {
        for (;;) {
            std::size_t number = 0;
            {
                std::unique_lock lock(mutex_);
                auto const over = [this] { return stopped_ || claimed_ >= end_; };
                changed_.wait(lock, [&] { return claimed_ < taken_ + kSlots || over(); });
                if (over()) return;
                number = claimed_++;
            }
            Slot& slot = slots_[number % kSlots];
            std::exception_ptr error;
            try {
                slot.bytes.resize(block_);
                slot.size = source_->seekable() ? source_->read_at(number * block_, slot.bytes)
                                                : source_->read(slot.bytes);
            } catch (...) {
                error = std::current_exception();
            }
            std::lock_guard const lock(mutex_);
            bool const last =
                error || slot.size == 0 || (source_->seekable() && slot.size < block_);
            std::size_t const end = number + (error || slot.size == 0 ? 0 : 1);
            if (last && end <= end_) {  // blocks after the first short one do not count
                end_ = end;
                error_ = error;
            }
            slot.filled = number + 1;
            changed_.notify_all();
        }
    }

    std::unique_ptr<Source> source_;
    std::size_t block_;
    std::array<Slot, kSlots> slots_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t claimed_ = 0, taken_ = 0;  // blocks, of all so far
    std::size_t end_ = static_cast<std::size_t>(-1);
    bool held_ = false;  // the caller looks at a block
    bool stopped_ = false;
    std::exception_ptr error_;           // of the block that would be number end_
    std::vector<std::jthread> threads_;  // last: they use the others
};

/// Records, a block at a time, in their order. Not for two threads at once.
class Records {
  public:
    Records() = default;
    Records(Records const&) = delete;
    Records& operator=(Records const&) = delete;
    virtual ~Records() = default;

    /// Whole records (or pieces of them); none at the end.
    /// @throw ParseError, std::system_error, std::bad_alloc
    [[nodiscard]] virtual RecordBlock next() = 0;
};

/// The records of a FASTA or FASTQ file.
class RecordReader final : public Records {
  public:
    explicit RecordReader(std::unique_ptr<Blocks> blocks, LetterRule const& rule = kLetters,
                          Format format = Format::any, bool pieces = false)
        : blocks_(std::move(blocks)), parser_(rule, format), pieces_(pieces) {}

    /// An error in the file comes after the records that are whole before it, however they fall
    /// into blocks.
    [[nodiscard]] RecordBlock next() override {
        while (!ended_) {
            ended_ = true;  // also if the source throws
            Bytes const block = blocks_->next();
            ended_ = block.empty();
            try {
                if (ended_) {
                    parser_.finish();
                } else {
                    parser_.feed(block);
                }
            } catch (ParseError const&) {
                error_ = std::current_exception();
                ended_ = true;
            }
            RecordBlock found = parser_.take(pieces_ && !error_);
            if (!found.parts.empty()) return found;
        }
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
        return {};
    }

  private:
    std::unique_ptr<Blocks> blocks_;
    RecordParser parser_;
    bool pieces_;
    bool ended_ = false;
    std::exception_ptr error_;
};

/// Parses in its own thread, ahead of who takes the records: by kAhead bytes, or by one record.
class ParseAhead final : public Records {
  public:
    explicit ParseAhead(std::unique_ptr<Records> records)
        : records_(std::move(records)), thread_([this] { run(); }) {}

    ~ParseAhead() override {
        {
            std::lock_guard const lock(mutex_);
            stopped_ = true;
        }
        changed_.notify_all();
    }

    [[nodiscard]] RecordBlock next() override {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !ready_.empty() || ended_; });
        if (ready_.empty()) {
            if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
            return {};
        }
        RecordBlock block = std::move(ready_.front());
        ready_.pop_front();
        bytes_ -= block.bytes;
        changed_.notify_all();
        return block;
    }

  private:
    static constexpr std::size_t kAhead = std::size_t{1} << 21;

    void run() noexcept {
        try {
            for (;;) {
                {
                    std::unique_lock lock(mutex_);
                    changed_.wait(lock, [this] { return bytes_ < kAhead || stopped_; });
                    if (stopped_) return;
                }
                RecordBlock block = records_->next();
                std::lock_guard const lock(mutex_);
                ended_ = block.parts.empty();
                if (!ended_) {
                    bytes_ += block.bytes;
                    ready_.push_back(std::move(block));
                }
                changed_.notify_all();
                if (ended_) return;
            }
        } catch (...) {
            std::lock_guard const lock(mutex_);
            error_ = std::current_exception();
            ended_ = true;
            changed_.notify_all();
        }
    }

    std::unique_ptr<Records> records_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<RecordBlock> ready_;
    std::size_t bytes_ = 0;
    bool ended_ = false, stopped_ = false;
    std::exception_ptr error_;
    std::jthread thread_;  // last: it uses the others
};

}  // namespace seqtile
