// Many small pieces of a mapped file with few system calls, and without touching the mapping.
//
// Read by this process, a mapped page beyond the end of a file that has shrunk is SIGBUS. So the
// mapping is only ever handed to the kernel, as the source of a gathering write to scratch memory
// of our own (a memfd): there such a page is EFAULT or a short write, and no signal.
#pragma once

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "../core/bytes.hpp"

namespace seqtile {

/// A mapping of a whole file for Gatherer, never read by this process; empty where there can be
/// none.
class MappedFile {
  public:
    MappedFile(int descriptor, std::uint64_t size) {
        if (size == 0 || size > SIZE_MAX / 2) return;
        auto const bytes = static_cast<std::size_t>(size);
        void* const start = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, descriptor, 0);
        if (start == MAP_FAILED) return;
        ::madvise(start, bytes, MADV_RANDOM);
        start_ = static_cast<std::uint8_t*>(start);
        size_ = bytes;
    }
    MappedFile(MappedFile const&) = delete;
    MappedFile& operator=(MappedFile const&) = delete;
    ~MappedFile() {
        if (start_ != nullptr) ::munmap(start_, size_);
    }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// For the kernel alone.
    [[nodiscard]] iovec piece(std::size_t offset, std::size_t size) const noexcept {
        return {start_ + offset, size};
    }

  private:
    std::uint8_t* start_ = nullptr;
    std::size_t size_ = 0;
};

/// Scratch memory that the kernel copies pieces to.
class Gatherer {
  public:
    static constexpr std::size_t kBytes = 1 << 18;
    static constexpr std::size_t kPieces = 1024;  // IOV_MAX of Linux

    Gatherer() {
#ifdef __linux__
        rlimit limit{};
        bool const allowed =
            ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur >= kBytes;  // else SIGXFSZ
        descriptor_ = allowed ? ::memfd_create("seqtile", MFD_CLOEXEC) : -1;
        if (descriptor_ < 0 || ::ftruncate(descriptor_, kBytes) != 0) return;
        void* const start =
            ::mmap(nullptr, kBytes, PROT_READ, MAP_SHARED | MAP_POPULATE, descriptor_, 0);
        if (start != MAP_FAILED) start_ = static_cast<std::uint8_t const*>(start);
#endif
    }
    Gatherer(Gatherer const&) = delete;
    Gatherer& operator=(Gatherer const&) = delete;
    ~Gatherer() {
        if (start_ != nullptr) ::munmap(const_cast<std::uint8_t*>(start_), kBytes);
        if (descriptor_ >= 0) ::close(descriptor_);
    }

    /// The pieces, one after another, `size` <= kBytes bytes in all; nothing if they cannot be
    /// had so, for whatever reason. The memory is that of the next call too.
    Bytes gather(std::span<iovec const> pieces, std::size_t size) noexcept {
        if (start_ == nullptr) return {};
        ssize_t const done =
            ::pwritev(descriptor_, pieces.data(), static_cast<int>(pieces.size()), 0);
        return done == static_cast<ssize_t>(size) ? Bytes(start_, size) : Bytes{};
    }

    /// Whether the memory is this process's alone: a child of fork shares its parent's.
    [[nodiscard]] bool ours() const noexcept {
        return owner_ == ::getpid();
    }

  private:
    pid_t owner_ = ::getpid();
    int descriptor_ = -1;
    std::uint8_t const* start_ = nullptr;
};

/// Gatherers to reuse, for their memory is slow to make. Without locks: a child of fork may go on.
class GathererPool {
  public:
    GathererPool() = default;
    GathererPool(GathererPool const&) = delete;
    GathererPool& operator=(GathererPool const&) = delete;
    ~GathererPool() {
        for (auto& slot : slots_) std::unique_ptr<Gatherer>(slot.exchange(nullptr));
    }

    std::unique_ptr<Gatherer> take() {
        for (auto& slot : slots_) {
            std::unique_ptr<Gatherer> found(slot.exchange(nullptr));
            if (found && found->ours()) return found;
        }
        return std::make_unique<Gatherer>();
    }

    void give(std::unique_ptr<Gatherer> gatherer) noexcept {
        for (auto& slot : slots_) {
            Gatherer* empty = nullptr;
            if (slot.compare_exchange_strong(empty, gatherer.get())) {
                [[maybe_unused]] auto* const kept = gatherer.release();
                return;
            }
        }
    }

  private:
    std::array<std::atomic<Gatherer*>, 16> slots_{};
};

}  // namespace seqtile
