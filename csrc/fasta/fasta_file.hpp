// Random access to the letters of a FASTA file, plain or bgzip.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "../core/parallel.hpp"
#include "../sequence/alphabet.hpp"
#include "bgzf_index.hpp"
#include "faidx.hpp"
#include "gather.hpp"
#include "source.hpp"

namespace seqtile {

/// An interval to fetch, inside its record: letters [start, end) to `at` in the output.
struct FetchRequest {
    FaidxRecord const* record;
    std::uint64_t start;
    std::uint64_t end;
    std::size_t at;
    bool minus;  ///< the reverse complement
    bool rna;    ///< in which the complement of A is U

    [[nodiscard]] std::size_t size() const noexcept {
        return static_cast<std::size_t>(end - start);
    }
};

/// The first request that failed: the file is not what its index says, or, on the minus strand,
/// a letter at `position` of the interval has no complement.
struct FetchFailure {
    std::size_t request = kNone;
    std::size_t position = kNone;  ///< kNone: the file is not what its index says
    std::uint8_t byte = 0;
};

/// An open file. Safe to share between threads: no position is shared, and the file is read by
/// pread() and by gathering (see gather.hpp), never through a mapping that could raise SIGBUS.
class FastaFile {
  public:
    /// Owns `descriptor`. `blocks`: of a bgzip file. @throw std::system_error
    FastaFile(int descriptor, std::optional<BgzfIndex> blocks) : descriptor_(descriptor) {
        struct stat status {};
        if (::fstat(descriptor, &status) != 0) {
            int const reason = errno;
            ::close(descriptor);
            throw std::system_error(reason, std::generic_category(), "open");
        }
        size_ = static_cast<std::uint64_t>(status.st_size);
        if (blocks) {
            blocks_ = std::make_unique<BgzfBlocks>(descriptor, std::move(*blocks));
            size_ = blocks_->size();
        } else {
            mapped_ = std::make_unique<MappedFile>(descriptor, size_);
        }
    }
    FastaFile(FastaFile const&) = delete;
    FastaFile& operator=(FastaFile const&) = delete;
    ~FastaFile() { ::close(descriptor_); }

    /// Bytes of the file, inflated, when it was opened.
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

    /// The blocks of a bgzip file, else null.
    [[nodiscard]] BgzfBlocks const* blocks() const noexcept { return blocks_.get(); }

    /// Bytes from `offset` on, inflated; returns their number, less than asked for at the end.
    /// @throw std::system_error, BgzfError
    std::size_t read(std::uint64_t offset, MutableBytes out) const {
        if (!blocks_) return read_at(descriptor_, offset, out);
        std::size_t done = 0;
        for (std::size_t i = blocks_->find(offset); done < out.size() && offset < size_; ++i) {
            BgzfBlocks::Block const block = blocks_->get(i);
            auto const skipped = static_cast<std::size_t>(offset - blocks_->begin(i));
            std::size_t const size = std::min(block->size() - skipped, out.size() - done);
            std::copy_n(block->data() + skipped, size, out.data() + done);
            done += size;
            offset += size;
        }
        return done;
    }

    /// Letters [start, end) of a record to `out`, whose size is their number. False if the file
    /// is not what its index says. @throw std::system_error, BgzfError
    bool fetch(FaidxRecord const& record, std::uint64_t start, std::uint64_t end,
               MutableBytes out) const {
        if (start == end) return true;
        Span const span = line_span(start, end, record);
        if (!blocks_ && span.size <= kSmall) {
            std::array<std::uint8_t, kSmall> buffer;  // not cleared: read_at() fills what is used
            MutableBytes const raw = MutableBytes(buffer).first(span.size);
            return read_at(descriptor_, record.offset + span.offset, raw) == raw.size() &&
                   unwrap(raw, span.offset, record, out);
        }
        if (!blocks_) return fetch_long(record, span, start, out);
        std::uint64_t const first = record.offset + span.offset;
        for (std::size_t i = blocks_->find(first); i + 1 < blocks_->index().size(); ++i) {
            if (blocks_->begin(i) >= record.offset + span.end()) break;
            if (!unwrap_block(*blocks_->get(i), i, record, span, start, out)) return false;
        }
        return record.offset + span.end() <= size_;
    }

    /// All requests to `out`; nothing is promised of `out` if one failed.
    /// A bgzip file's blocks are inflated once each, in the order of the file.
    /// @throw std::system_error, BgzfError
    FetchFailure fetch_many(std::span<FetchRequest const> requests, MutableBytes out,
                            std::size_t threads) const {
        // a thread is not worth its start for a few
        threads = std::clamp<std::size_t>(threads, 1, requests.size() / 64 + 1);
        Work work{requests, out, {}, {}, {}};
        if (blocks_) {
            fetch_blocks(work, threads);
        } else {
            // in turns, for a core may be busy elsewhere
            std::atomic<std::size_t> turn = 0;
            parallel_for(threads, threads, [&](std::size_t, std::size_t) {
                work.guard([&] {
                    for (std::size_t begin; (begin = turn.fetch_add(kTurn)) < requests.size();) {
                        gather(work, begin, std::min(begin + kTurn, requests.size()));
                    }
                });
            });
        }
        if (work.error) std::rethrow_exception(work.error);
        return work.failure;
    }

  private:
    static constexpr std::size_t kSmall = 4096;
    static constexpr std::size_t kLong = 1 << 18;
    static constexpr std::size_t kGathered = 1 << 14;  // longer pieces are read one by one
    static constexpr std::size_t kFew = 32;
    static constexpr std::size_t kTurn = 512;

    // What the threads of fetch_many() share.
    struct Work {
        std::span<FetchRequest const> requests;
        MutableBytes out;
        std::mutex mutex;
        std::exception_ptr error;
        FetchFailure failure;

        [[nodiscard]] MutableBytes target(FetchRequest const& request) const {
            return out.subspan(request.at, request.size());
        }

        void fail(FetchFailure const& found) {
            std::lock_guard const lock(mutex);
            if (found.request < failure.request) failure = found;
        }

        template <class Body>
        void guard(Body const& body) noexcept {
            try {
                body();
            } catch (...) {
                std::lock_guard const lock(mutex);
                if (!error) error = std::current_exception();
            }
        }

        // The minus strand of a request that is fetched.
        void finish(std::size_t number) {
            FetchRequest const& request = requests[number];
            if (!request.minus) return;
            MutableBytes const letters = target(request);
            std::size_t const refused = complement_in_place(letters, request.rna);
            if (refused != kNone) fail({number, refused, letters[refused]});
        }
    };

    // Position of a byte that has no complement (nothing is changed then), or kNone.
    static std::size_t complement_in_place(MutableBytes letters, bool rna) noexcept {
        static constexpr ByteTable of_dna = complement_table('T'), of_rna = complement_table('U');
        ByteTable const& complement = rna ? of_rna : of_dna;
        for (std::size_t i = 0; i < letters.size(); ++i) {
            if (complement[letters[i]] == kInvalid) return i;
        }
        std::reverse(letters.begin(), letters.end());
        for (std::uint8_t& letter : letters) letter = complement[letter];
        return kNone;
    }

    bool fetch_long(FaidxRecord const& record, Span span, std::uint64_t start,
                    MutableBytes out) const {
        std::vector<std::uint8_t> buffer(
            static_cast<std::size_t>(std::min<std::uint64_t>(span.size, kLong)));
        for (std::uint64_t at = span.offset; at < span.end(); at += buffer.size()) {
            MutableBytes const raw = MutableBytes(buffer).first(
                static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), span.end() - at)));
            if (read_at(descriptor_, record.offset + at, raw) != raw.size()) return false;
            if (!unwrap_part(raw, at, record, start, out)) return false;
        }
        return true;
    }

    // The letters of `raw`, at byte `at` of the record, to their place among those from `start`.
    static bool unwrap_part(Bytes raw, std::uint64_t at, FaidxRecord const& record,
                            std::uint64_t start, MutableBytes out) noexcept {
        std::uint64_t const first = letters_before(at, record);
        std::uint64_t const last = letters_before(at + raw.size(), record);
        return unwrap(raw, at, record,
                      out.subspan(static_cast<std::size_t>(first - start),
                                  static_cast<std::size_t>(last - first)));
    }

    // The part of a record's `span` that lies in block `number`.
    bool unwrap_block(Bytes block, std::size_t number, FaidxRecord const& record, Span span,
                      std::uint64_t start, MutableBytes out) const noexcept {
        std::uint64_t const block_begin = blocks_->begin(number);
        std::uint64_t const from = std::max(block_begin, record.offset + span.offset);
        std::uint64_t const to = std::min(block_begin + block.size(), record.offset + span.end());
        return unwrap_part(block.subspan(static_cast<std::size_t>(from - block_begin),
                                         static_cast<std::size_t>(to - from)),
                           from - record.offset, record, start, out);
    }

    // Requests [begin, end) of a plain file.
    void gather(Work& work, std::size_t begin, std::size_t end) const {
        std::unique_ptr<Gatherer> gatherer;
        if (end - begin >= kFew && mapped_->size() != 0) gatherer = pool_.take();
        std::vector<iovec> pieces;
        std::vector<Span> spans;
        while (begin != end) {
            pieces.clear();
            spans.clear();
            std::size_t size = 0, next = begin;
            for (; gatherer && next != end && pieces.size() < Gatherer::kPieces; ++next) {
                FetchRequest const& request = work.requests[next];
                if (request.start == request.end) break;
                Span const span = line_span(request.start, request.end, *request.record);
                std::uint64_t const offset = request.record->offset + span.offset;
                if (span.size > kGathered || offset + span.size > mapped_->size() ||
                    size + span.size > Gatherer::kBytes) {
                    break;
                }
                pieces.push_back(mapped_->piece(static_cast<std::size_t>(offset),
                                                static_cast<std::size_t>(span.size)));
                spans.push_back(span);
                size += static_cast<std::size_t>(span.size);
            }
            Bytes const raw = pieces.empty() ? Bytes{} : gatherer->gather(pieces, size);
            if (raw.empty()) {
                fetch_alone(work, begin, std::max(next, begin + 1));
                begin = std::max(next, begin + 1);
                continue;
            }
            std::size_t at = 0;
            for (Span const& span : spans) {
                FetchRequest const& request = work.requests[begin];
                if (!unwrap(raw.subspan(at, static_cast<std::size_t>(span.size)), span.offset,
                            *request.record, work.target(request))) {
                    work.fail({begin});
                } else {
                    work.finish(begin);
                }
                at += static_cast<std::size_t>(span.size);
                ++begin;
            }
        }
        if (gatherer) pool_.give(std::move(gatherer));
    }

    void fetch_alone(Work& work, std::size_t begin, std::size_t end) const {
        for (; begin != end; ++begin) {
            FetchRequest const& request = work.requests[begin];
            if (fetch(*request.record, request.start, request.end, work.target(request))) {
                work.finish(begin);
            } else {
                work.fail({begin});
            }
        }
    }

    // Requests of a bgzip file: each block that one of them needs is inflated by one thread.
    void fetch_blocks(Work& work, std::size_t threads) const {
        struct Part {
            std::size_t block;
            std::size_t request;
        };
        std::vector<Part> parts;
        std::size_t const blocks = blocks_->index().size() - 1;
        for (std::size_t i = 0; i < work.requests.size(); ++i) {
            FetchRequest const& request = work.requests[i];
            if (request.start == request.end) continue;
            Span const span = line_span(request.start, request.end, *request.record);
            std::uint64_t const end = request.record->offset + span.end();
            if (end > size_) work.fail({i});
            for (std::size_t block = blocks_->find(request.record->offset + span.offset);
                 block < blocks && blocks_->begin(block) < end; ++block) {
                parts.push_back({block, i});
            }
        }
        std::sort(parts.begin(), parts.end(),
                  [](Part const& a, Part const& b) { return a.block < b.block; });
        std::vector<std::size_t> groups;  // parts of one block begin here
        for (std::size_t i = 0; i < parts.size(); ++i) {
            if (i == 0 || parts[i].block != parts[i - 1].block) groups.push_back(i);
        }
        groups.push_back(parts.size());
        std::atomic<std::size_t> turn = 0;
        threads = std::min(threads, groups.size());
        parallel_for(threads, threads, [&](std::size_t, std::size_t) {
            work.guard([&] {
                std::vector<std::uint8_t> buffer(kBgzfBlock);
                for (std::size_t group; (group = turn++) + 1 < groups.size();) {
                    std::size_t const number = parts[groups[group]].block;
                    Bytes const block = blocks_->inflate(number, buffer);
                    for (std::size_t i = groups[group]; i < groups[group + 1]; ++i) {
                        FetchRequest const& request = work.requests[parts[i].request];
                        Span const span = line_span(request.start, request.end, *request.record);
                        if (!unwrap_block(block, number, *request.record, span, request.start,
                                          work.target(request))) {
                            work.fail({parts[i].request});
                        }
                    }
                }
            });
        });
        if (work.error || work.failure.request != kNone) return;
        parallel_for(work.requests.size(), threads, [&](std::size_t begin, std::size_t end) {
            for (; begin != end; ++begin) work.finish(begin);
        });
    }

    int descriptor_;
    std::uint64_t size_ = 0;
    std::unique_ptr<BgzfBlocks> blocks_;
    std::unique_ptr<MappedFile> mapped_;
    mutable GathererPool pool_;
};

}  // namespace seqtile
