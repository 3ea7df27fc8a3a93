// Splits a range over threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <thread>
#include <vector>

namespace seqtile {

/// Calls `body(begin, end)` on `threads` contiguous parts of [0, count), the last on this thread.
/// `body` must not throw.
template <class Body>
void parallel_for(std::size_t count, std::size_t threads, Body const& body) {
    threads = std::clamp<std::size_t>(threads, 1, std::max<std::size_t>(count, 1));
    std::size_t const part = count / threads;
    std::size_t const extra = count % threads;
    std::vector<std::jthread> workers;
    workers.reserve(threads - 1);
    std::size_t begin = 0;
    for (std::size_t i = 0; i + 1 < threads; ++i) {
        std::size_t const end = begin + part + (i < extra ? 1 : 0);
        workers.emplace_back([&body, begin, end] { body(begin, end); });
        begin = end;
    }
    body(begin, count);
}

}  // namespace seqtile
