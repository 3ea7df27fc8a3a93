#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "../sequence/batch.hpp"
#include "kmer/kmer_dense.hpp"
#include "kmer/kmer_rows.hpp"
#include "kmer/kmer_sparse.hpp"
#include "kmer/minimizer.hpp"
#include "sequence/sequence.hpp"

namespace seqtile::bindings {
namespace {

// What Python gets for a refused byte.
py::object refusal(Batch const& batch, std::optional<Place> const& refused) {
    return place(batch, refused.value_or(Place{}));
}

void check_k(unsigned k, unsigned highest) {
    if (k < 1 || k > highest) {
        throw py::value_error("expected 1 <= k <= " + std::to_string(highest));
    }
}

// An array that owns what `data` points into: nothing is copied.
template <class T, class Owner>
Array<T> to_array(std::shared_ptr<Owner> const& owner, T const* data, std::size_t size) {
    auto keep = std::make_unique<std::shared_ptr<Owner>>(owner);
    py::capsule const capsule(keep.get(), [](void* pointer) {
        std::unique_ptr<std::shared_ptr<Owner>>(static_cast<std::shared_ptr<Owner>*>(pointer));
    });
    [[maybe_unused]] auto* const released = keep.release();
    return Array<T>({static_cast<py::ssize_t>(size)}, {static_cast<py::ssize_t>(sizeof(T))}, data,
                    capsule);
}

// Counts into an array of Python's; one call at a time.
class DenseKmers {
  public:
    DenseKmers(unsigned k, Array<std::uint64_t> counts)
        : counts_(std::move(counts)), counter_(k, mutable_view(counts_)) {}

    py::object add(Batch const& batch, bool check, std::size_t threads) {
        auto const sequences = batch.sequences();
        std::optional<Place> refused;
        {
            py::gil_scoped_release const unlocked;
            std::lock_guard const lock(mutex_);
            if (check) refused = find_refused(sequences);
            if (!refused) refused = counter_.add(sequences, threads);
        }
        return refusal(batch, refused);
    }

    void flush() {
        py::gil_scoped_release const unlocked;
        std::lock_guard const lock(mutex_);
        counter_.flush();
    }

  private:
    Array<std::uint64_t> counts_;
    DenseCounter counter_;
    std::mutex mutex_;
};

class SparseKmers {
  public:
    SparseKmers(unsigned k, bool canonical, std::size_t round) : counter_(k, canonical, round) {}

    py::object add(Batch const& batch, std::size_t threads) {
        auto const sequences = batch.sequences();
        std::optional<Place> refused;
        {
            py::gil_scoped_release const unlocked;
            std::lock_guard const lock(mutex_);
            refused = counter_.add(sequences, threads);
        }
        return refusal(batch, refused);
    }

    // (codes, counts): a copy, or with `release` the table itself.
    py::tuple table(bool release, std::size_t threads) {
        auto out = std::make_shared<SparseTable>();
        {
            py::gil_scoped_release const unlocked;
            std::lock_guard const lock(mutex_);
            counter_.flush(threads);
            *out = release ? counter_.release() : counter_.table().copy();
        }
        return py::make_tuple(to_array(out, out->codes().data(), out->size()),
                              to_array(out, out->counts().data(), out->size()));
    }

  private:
    SparseCounter counter_;
    std::mutex mutex_;
};

py::object py_kmer_codes(Batch const& batch, unsigned k, bool canonical,
                         Array<std::uint64_t>& codes, Array<bool>& valid) {
    check_k(k, kMaxK);
    auto const sequences = batch.sequences();
    std::size_t const windows = kmer_windows(sequences, k);
    check_size("codes", codes.size(), windows);
    check_size("valid", valid.size(), windows);
    auto const all_codes = mutable_view(codes);
    auto const all_valid = mutable_view(valid);
    std::optional<Place> refused;
    {
        py::gil_scoped_release const unlocked;
        std::size_t begin = 0;
        for (std::size_t i = 0; i < sequences.size() && !refused; ++i) {
            std::size_t const size = kmer_windows(sequences[i].size(), k);
            std::size_t const at =
                kmer_codes(sequences[i], k, canonical, all_codes.subspan(begin, size),
                           all_valid.subspan(begin, size));
            if (at != kNone) refused = Place{i, at};
            begin += size;
        }
    }
    return refusal(batch, refused);
}

template <class T>
py::object py_kmer_rows(Batch const& batch, unsigned k, Array<std::uint32_t> const& columns,
                        std::size_t width, bool normalize, Array<T>& out, std::size_t threads) {
    check_k(k, kMaxDenseK);
    auto const sequences = batch.sequences();
    auto const table = view(columns);
    check_size("columns", columns.size(), std::size_t{1} << 2 * k);
    check_size("out", out.size(), sequences.size() * width);
    for (std::uint32_t const column : table) {
        if (column >= width) throw py::value_error("a column is outside the rows");
    }
    T* const target = out.mutable_data();
    std::optional<Place> refused;
    {
        py::gil_scoped_release const unlocked;
        refused = kmer_rows(sequences, k, table, width, normalize, target, threads);
    }
    return refusal(batch, refused);
}

// (refused, positions, codes)
py::tuple py_minimizers(Batch const& batch, unsigned k, std::size_t w, bool canonical) {
    check_k(k, kMaxK);
    if (w == 0) throw py::value_error("w must be positive");
    if (batch.sequences().size() != 1) throw py::value_error("expected one sequence");
    Bytes const letters = batch.sequences()[0];
    auto const out = std::make_shared<Minimizers>();
    std::size_t refused;
    {
        py::gil_scoped_release const unlocked;
        refused = minimizers(letters, k, w, canonical, *out);
    }
    return py::make_tuple(place(batch, {refused == kNone ? kNone : 0, refused}),
                          to_array(out, out->positions.data(), out->positions.size()),
                          to_array(out, out->codes.data(), out->codes.size()));
}

void py_fold_canonical(unsigned k, Array<std::uint64_t>& counts) {
    check_k(k, kMaxDenseK);
    check_size("counts", counts.size(), std::size_t{1} << 2 * k);
    auto const target = mutable_view(counts);
    py::gil_scoped_release const unlocked;
    fold_canonical(k, target);
}

void py_kmer_letters(Array<std::uint64_t> const& codes, unsigned k, Array<std::uint8_t>& out) {
    check_k(k, kMaxK);
    check_size("out", out.size(), view(codes).size() * k);
    auto const source = view(codes);
    auto const target = mutable_view(out);
    py::gil_scoped_release const unlocked;
    kmer_letters(source, k, target);
}

py::bytes py_kmer_lines(Array<std::uint64_t> const& codes, Array<std::uint64_t> const& counts,
                        unsigned k) {
    check_k(k, kMaxK);
    check_size("counts", counts.size(), view(codes).size());
    std::string text;
    {
        auto const source = view(codes);
        auto const numbers = view(counts);
        py::gil_scoped_release const unlocked;
        text = kmer_lines(source, numbers, k);
    }
    return text;
}

}  // namespace

void bind_kmer(py::module_& module) {
    using namespace py::literals;
    py::class_<DenseKmers>(module, "DenseKmers")
        .def(py::init<unsigned, Array<std::uint64_t>>(), "k"_a, "counts"_a.noconvert())
        .def("add", &DenseKmers::add, "batch"_a, "check"_a, "threads"_a)
        .def("flush", &DenseKmers::flush);
    py::class_<SparseKmers>(module, "SparseKmers")
        .def(py::init<unsigned, bool, std::size_t>(), "k"_a, "canonical"_a,
             "round"_a = SparseCounter::kRound)
        .def("add", &SparseKmers::add, "batch"_a, "threads"_a)
        .def("table", &SparseKmers::table, "release"_a, "threads"_a);
    module.def("kmer_codes", &py_kmer_codes, "batch"_a, "k"_a, "canonical"_a, "codes"_a.noconvert(),
               "valid"_a.noconvert());
    module.def("kmer_rows", &py_kmer_rows<float>, "batch"_a, "k"_a, "columns"_a.noconvert(),
               "width"_a, "normalize"_a, "out"_a.noconvert(), "threads"_a);
    module.def("kmer_rows", &py_kmer_rows<double>, "batch"_a, "k"_a, "columns"_a.noconvert(),
               "width"_a, "normalize"_a, "out"_a.noconvert(), "threads"_a);
    module.def("minimizers", &py_minimizers, "batch"_a, "k"_a, "w"_a, "canonical"_a);
    module.def("fold_canonical", &py_fold_canonical, "k"_a, "counts"_a.noconvert());
    module.def("kmer_letters", &py_kmer_letters, "codes"_a.noconvert(), "k"_a, "out"_a.noconvert());
    module.def("kmer_lines", &py_kmer_lines, "codes"_a.noconvert(), "counts"_a.noconvert(), "k"_a);
}

}  // namespace seqtile::bindings
