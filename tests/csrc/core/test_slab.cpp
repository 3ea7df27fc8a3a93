#include <atomic>
#include <cstring>
#include <thread>

#include "../check.hpp"
#include "core/slab.hpp"

namespace seqtile {
namespace {

void unit_sizes() {
    for (std::size_t const size : {0U, 1U, 4096U, 4097U, 1U << 21, (1U << 21) + 1}) {
        Slab slab(size);
        CHECK(slab.capacity() >= size && slab.capacity() >= 4096);
        CHECK(slab.capacity() < size + (std::size_t{1} << 22));
        std::memset(slab.data(), 1, slab.capacity());  // all of it is ours
        CHECK_EQUAL(reinterpret_cast<std::uintptr_t>(slab.data()) % 64, 0U);
    }
}

void unit_a_dropped_slab_serves_again() {
    auto slab = SlabPool::take(10'000);
    auto const* const memory = slab->data();
    auto const second = slab;
    slab.reset();
    CHECK(SlabPool::take(10'000)->data() != memory);  // somebody holds it
    auto const third = SlabPool::take(10'000);
    CHECK(third->data() != memory);
}

void unit_the_smallest_that_is_large_enough() {
    auto small = SlabPool::take(20'000), large = SlabPool::take(200'000);
    auto const* const of_small = small->data();
    auto const* const of_large = large->data();
    large.reset();
    small.reset();
    CHECK(SlabPool::take(15'000)->data() == of_small);
    CHECK(SlabPool::take(100'000)->data() == of_large);
    CHECK(SlabPool::take(300'000)->capacity() >= 300'000);
}

/// More than the pool keeps, of a size each and at once.
void unit_too_many_or_too_large() {
    std::vector<std::shared_ptr<Slab>> slabs;
    for (int i = 0; i < 100; ++i) slabs.push_back(SlabPool::take(5000));
    slabs.clear();
    auto huge = SlabPool::take(std::size_t{100} << 20);
    huge.reset();
    auto const next = SlabPool::take(std::size_t{100} << 20);
    std::memset(next->data(), 0, 4096);
    CHECK(next->capacity() >= std::size_t{100} << 20);
}

void unit_no_memory() {
    bool refused = false;
    try {
        Slab const slab(std::size_t{1} << 62);
    } catch (std::bad_alloc const&) {
        refused = true;
    }
    CHECK(refused);
}

/// Each thread fills its slabs with its own number; nobody else writes there.
void agreement_of_threads() {
    std::vector<std::jthread> threads;
    std::atomic<int> wrong = 0;
    for (int number = 0; number < 4; ++number) {
        threads.emplace_back([number, &wrong] {
            for (std::size_t round = 0; round < 300; ++round) {
                auto const slab = SlabPool::take(4096 * (1 + round % 3));
                std::memset(slab->data(), number, slab->capacity());
                std::this_thread::yield();
                for (std::size_t i = 0; i < slab->capacity(); ++i) {
                    if (slab->data()[i] != number) ++wrong;
                }
            }
        });
    }
    threads.clear();
    CHECK_EQUAL(wrong.load(), 0);
}

}  // namespace
}  // namespace seqtile

int main() {
    seqtile::unit_sizes();
    seqtile::unit_a_dropped_slab_serves_again();
    seqtile::unit_the_smallest_that_is_large_enough();
    seqtile::unit_too_many_or_too_large();
    seqtile::unit_no_memory();
    seqtile::agreement_of_threads();
    return seqtile::test::result();
}
