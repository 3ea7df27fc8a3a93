// Streaming bgzip: blocks are inflated by several threads and handed out in their order.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "bgzf.hpp"
#include "source.hpp"

namespace seqtile {

/// A bgzip file, inflated. Memory is bounded: a ring of 2 x threads + 2 batches, each of at most
/// 64 KiB compressed and 256 KiB inflated. The thread that calls read() inflates too, when the
/// batch it needs is not begun or others have it in hand; so `threads` = 1 starts no thread.
///
/// A file must end with an empty block, as every writer of bgzip ends it: without it the file was
/// cut between two blocks, and its letters would be short in silence.
///
/// After a fork the child must not read(); to destroy the object there is safe.
class BgzfSource final : public Source {
  public:
    BgzfSource(std::unique_ptr<Source> input, std::size_t threads)
        : state_(std::make_unique<State>(std::move(input), std::max<std::size_t>(threads, 1))) {
        try {
            for (std::size_t i = 1; i < threads; ++i) {
                state_->workers.emplace_back([state = state_.get()] { state->work(); });
            }
        } catch (std::system_error const&) {
            // no more threads to be had: fewer do the same
        }
    }

    /// The descriptor is not owned.
    BgzfSource(int descriptor, std::size_t threads)
        : BgzfSource(std::make_unique<FileSource>(descriptor), threads) {}

    ~BgzfSource() override {
        if (::getpid() != owner_) {
            // The threads are not in this process; joining them would wait for ever.
            [[maybe_unused]] State* const leaked = state_.release();
            return;
        }
        state_->stop();
    }

    /// @throw BgzfError; it repeats at each further call
    std::size_t read(MutableBytes out) override {
        if (::getpid() != owner_) {
            throw ParseError("a bgzip stream cannot be read on after a fork", 0, "");
        }
        return out.empty() ? 0 : state_->read(out);
    }

  private:
    // At least a block each. Larger batches fall out of the cache, smaller ones pay for locks.
    static constexpr std::size_t kInput = 1 << 16;
    static constexpr std::size_t kOutput = 1 << 18;

    struct Block {
        std::size_t at;  // in the batch's input
        BgzfHeader header;
        std::size_t size;  // inflated
    };

    struct Batch {
        std::vector<std::uint8_t> input;
        std::unique_ptr<std::uint8_t[]> output;
        std::vector<Block> blocks;
        std::uint64_t offset = 0;  // of the input in the file
        std::size_t size = 0;      // of the output
        std::size_t taken = 0;     // of the output, by read()
        bool ready = false;
        bool in_place = false;  // the output is the reader's own memory
        std::exception_ptr error;
    };

    // All that the threads share. Batch number n lies in ring[n % ring.size()]; numbers below
    // `done` are done with, those below `loaded` are read from the file.
    struct State {
        State(std::unique_ptr<Source> source, std::size_t threads)
            : input(std::move(source)), ring(2 * threads + 2) {}

        std::size_t read(MutableBytes out) {
            while (Batch* const batch = next(out)) {
                if (batch->error) std::rethrow_exception(batch->error);
                std::size_t const size = std::min(out.size(), batch->size - batch->taken);
                if (size != 0 && !batch->in_place) {
                    std::memcpy(out.data(), batch->output.get() + batch->taken, size);
                }
                batch->taken += size;
                if (batch->taken == batch->size) {
                    {
                        std::lock_guard const lock(mutex);
                        batch->ready = false;
                        ++done;
                    }
                    changed.notify_all();
                }
                if (size != 0) return size;
            }
            return 0;
        }

        // The batch whose turn it is, inflated (to `out` if it fits and nobody began it); none at
        // the end.
        Batch* next(MutableBytes out) {
            std::unique_lock lock(mutex);
            for (;;) {
                Batch& batch = ring[done % ring.size()];
                if (batch.ready) return &batch;
                if (done == loaded && ended) return nullptr;
                if (can_load()) {
                    load_and_inflate(lock, done == loaded ? out : MutableBytes{});
                } else {
                    changed.wait(lock);
                }
            }
        }

        void work() noexcept {
            std::unique_lock lock(mutex);
            for (;;) {
                changed.wait(lock, [this] { return stopping || can_load(); });
                if (stopping) return;
                load_and_inflate(lock, {});
            }
        }

        void stop() noexcept {
            {
                std::lock_guard const lock(mutex);
                stopping = true;
            }
            changed.notify_all();
            workers.clear();
        }

        [[nodiscard]] bool can_load() const noexcept {
            return !ended && !loading && loaded - done < ring.size();
        }

        // Called and left with the lock held, which is open meanwhile. Inflates straight to
        // `out` if the batch fits.
        void load_and_inflate(std::unique_lock<std::mutex>& lock, MutableBytes out) noexcept {
            Batch& batch = ring[loaded % ring.size()];
            loading = true;
            lock.unlock();
            bool last = false;
            batch.error = nullptr;
            try {
                last = load(batch);
            } catch (...) {
                batch.error = std::current_exception();
                last = true;
            }
            lock.lock();
            loading = false;
            ended = last;
            ++loaded;
            changed.notify_all();
            lock.unlock();
            batch.in_place = !out.empty() && batch.size <= out.size();
            try {
                if (!batch.error) inflate(batch, batch.in_place ? out.data() : nullptr);
            } catch (...) {
                batch.error = std::current_exception();
            }
            lock.lock();
            batch.ready = true;
            changed.notify_all();
        }

        // Reads whole blocks; what is left over waits for the next batch. True at the end.
        bool load(Batch& batch) {
            batch.input.resize(kInput);
            batch.blocks.clear();
            batch.offset = offset;
            batch.size = batch.taken = 0;
            std::copy(rest.begin(), rest.end(), batch.input.begin());
            std::size_t size = rest.size();
            while (size < kInput && !drained) {
                std::size_t const more = input->read(MutableBytes(batch.input).subspan(size));
                drained = more == 0;
                size += more;
            }
            Bytes const bytes = Bytes(batch.input).first(size);
            std::size_t at = 0;
            while (at < size) {
                auto const header = read_bgzf_header(bytes.subspan(at), offset + at);
                if (!header || header->block > size - at) {
                    if (!drained) break;
                    throw BgzfError("the file ends inside it: truncated", offset + at);
                }
                std::size_t const letters =
                    bgzf_inflated_size(bytes.subspan(at, header->block), offset + at);
                if (batch.size + letters > kOutput) break;
                batch.blocks.push_back({at, *header, letters});
                batch.size += letters;
                at += header->block;
                last_empty = letters == 0;
            }
            rest.assign(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.end());
            offset += at;
            if (!drained || !rest.empty()) return false;
            if (!last_empty) {
                throw BgzfError("expected an empty block at the file's end: truncated", offset);
            }
            return true;
        }

        void inflate(Batch& batch, std::uint8_t* target) const {
            thread_local BgzfInflater inflater;
            if (target == nullptr) {
                if (!batch.output) {
                    batch.output = std::make_unique_for_overwrite<std::uint8_t[]>(kOutput);
                }
                target = batch.output.get();
            }
            for (Block const& block : batch.blocks) {
                inflater.inflate(Bytes(batch.input).subspan(block.at, block.header.block),
                                 block.header, batch.offset + block.at, {target, block.size});
                target += block.size;
            }
        }

        std::unique_ptr<Source> input;
        std::vector<std::uint8_t> rest;  // bytes read beyond the last batch
        std::uint64_t offset = 0;        // of the rest in the file
        bool drained = false;            // the input has no more
        bool last_empty = false;         // the last block seen

        std::mutex mutex;
        std::condition_variable changed;
        std::vector<Batch> ring;
        std::uint64_t done = 0;
        std::uint64_t loaded = 0;
        bool loading = false;  // a thread is reading the file
        bool ended = false;    // the file was read to its end, or to its damage
        bool stopping = false;
        std::vector<std::jthread> workers;
    };

    pid_t owner_ = ::getpid();
    std::unique_ptr<State> state_;
};

}  // namespace seqtile
