// Where a parser's bytes come from.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <system_error>

#include "../core/bytes.hpp"
#include "error.hpp"

namespace seqtile {

/// Bytes in order, from a file or an inflater.
class Source {
  public:
    Source() = default;
    Source(Source const&) = delete;
    Source& operator=(Source const&) = delete;
    virtual ~Source() = default;

    /// Fills `out` from its start; returns the number of bytes written, 0 only at the end (or if
    /// `out` is empty). Not called by two threads at once.
    /// @throw ParseError or std::system_error
    virtual std::size_t read(MutableBytes out) = 0;

    /// Whether read_at() works, which several threads may call at once.
    [[nodiscard]] virtual bool seekable() const noexcept { return false; }

    /// Fills `out` with the bytes from `offset`; returns their number, less than asked for only at
    /// the end. Precondition: seekable(). @throw as read
    virtual std::size_t read_at([[maybe_unused]] std::uint64_t offset,
                                [[maybe_unused]] MutableBytes out) {
        return 0;
    }
};

/// Reads at `offset` until `out` is full or the file ends; returns the number of bytes.
/// @throw std::system_error
inline std::size_t read_at(int descriptor, std::uint64_t offset, MutableBytes out) {
    std::size_t done = 0;
    while (done < out.size()) {
        ssize_t const size = ::pread(descriptor, out.data() + done, out.size() - done,
                                     static_cast<off_t>(offset + done));
        if (size == 0) break;
        if (size > 0) {
            done += static_cast<std::size_t>(size);
        } else if (errno != EINTR) {
            throw std::system_error(errno, std::generic_category(), "read");
        }
    }
    return done;
}

/// A file from its first byte, whatever its descriptor's position, which stays; a pipe or a
/// terminal from where it is. The descriptor is not owned.
class FileSource final : public Source {
  public:
    explicit FileSource(int descriptor) : descriptor_(descriptor) {
        struct stat status {};
        if (::fstat(descriptor, &status) != 0) {
            throw std::system_error(errno, std::generic_category(), "read");
        }
        seekable_ = S_ISREG(status.st_mode) || S_ISBLK(status.st_mode);
        expected_ = static_cast<std::uint64_t>(status.st_size);
    }

    [[nodiscard]] bool seekable() const noexcept override { return seekable_; }

    std::size_t read_at(std::uint64_t offset, MutableBytes out) override {
        std::size_t const size = seqtile::read_at(descriptor_, offset, out);
        if (size < out.size() && offset + size < expected_) {
            throw ParseError("the file became shorter while it was read", 0, "");
        }
        return size;
    }

    /// Returns less than a full `out` only at the end, and for a pipe that has no more for now.
    std::size_t read(MutableBytes out) override {
        if (seekable_) {
            std::size_t const size = read_at(offset_, out);
            offset_ += size;
            return size;
        }
        for (;;) {
            ssize_t const size = ::read(descriptor_, out.data(), out.size());
            if (size >= 0) return static_cast<std::size_t>(size);
            if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "read");
        }
    }

  private:
    int descriptor_;
    bool seekable_;
    std::uint64_t offset_ = 0;
    std::uint64_t expected_ = 0;
};

}  // namespace seqtile
