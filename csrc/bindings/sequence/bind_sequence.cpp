#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "batch.hpp"
#include "core/lookup.hpp"
#include "core/parallel.hpp"
#include "sequence/onehot.hpp"
#include "sequence/sequence.hpp"

namespace seqtile::bindings {
namespace {

// The codes of all sequences, one after another.
py::object py_encode(Batch const& batch, Alphabet const& alphabet, bool raise,
                     Array<std::uint8_t>& out, std::size_t threads) {
    auto const sequences = batch.sequences();
    std::size_t total = 0;
    for (std::size_t i = 0; i < sequences.size(); ++i) total += sequences[i].size();
    check_size("out", out.size(), total);
    auto const target = mutable_view(out);
    Unknown const unknown = raise ? Unknown::raise : Unknown::keep;
    Place found;
    {
        py::gil_scoped_release const unlocked;
        if (!encode(sequences, alphabet, unknown, target, threads)) {
            found = find_above(sequences, alphabet.table(), highest_code(alphabet, unknown));
        }
    }
    return place(batch, found);
}

template <class T>
py::object py_one_hot(Batch const& batch, Alphabet const& alphabet, Layout layout, bool raise, T on,
                      T unknown, std::size_t length, Array<T>& out, std::size_t threads) {
    auto const sequences = batch.sequences();
    check_size("out", out.size(), sequences.size() * length * alphabet.size());
    if (batch.longest() > length) throw py::value_error("a sequence is longer than length");
    T* const target = out.mutable_data();
    if (reinterpret_cast<std::uintptr_t>(target) % alignof(T) != 0) {
        throw py::value_error("out is not aligned");
    }
    Place found;
    {
        py::gil_scoped_release const unlocked;
        found = one_hot(sequences, alphabet, layout, raise ? Unknown::raise : Unknown::keep,
                        OneHotValues<T>{on, unknown}, length, target, threads);
    }
    return place(batch, found);
}

template <class T>
void py_decode(Array<T> const& scores, std::string const& letters, char unknown, Layout layout,
               std::size_t length, Array<std::uint8_t>& out) {
    check_size("scores", scores.size(), static_cast<std::size_t>(out.size()) * letters.size());
    T const* const source = scores.data();
    auto const target = mutable_view(out);
    py::gil_scoped_release const unlocked;
    if (length == 0) return;
    for (std::size_t i = 0; i < target.size() / length; ++i) {
        decode(source + i * length * letters.size(), std::span(letters.data(), letters.size()),
               layout, length, unknown, target.subspan(i * length, length));
    }
}

// A new object of the source's kind and its `size` bytes, which nobody else sees yet.
std::pair<py::object, std::uint8_t*> make_like(py::handle source, std::size_t size) {
    auto const length = static_cast<py::ssize_t>(size);
    if (PyUnicode_Check(source.ptr())) {
        auto text = py::reinterpret_steal<py::object>(PyUnicode_New(length, 127));
        if (!text) throw py::error_already_set();
        auto* const data = static_cast<std::uint8_t*>(PyUnicode_DATA(text.ptr()));
        return {std::move(text), data};
    }
    if (PyBytes_Check(source.ptr())) {
        auto bytes = py::reinterpret_steal<py::object>(PyBytes_FromStringAndSize(nullptr, length));
        if (!bytes) throw py::error_already_set();
        auto* const data = reinterpret_cast<std::uint8_t*>(PyBytes_AS_STRING(bytes.ptr()));
        return {std::move(bytes), data};
    }
    if (PyByteArray_Check(source.ptr())) {
        auto bytes =
            py::reinterpret_steal<py::object>(PyByteArray_FromStringAndSize(nullptr, length));
        if (!bytes) throw py::error_already_set();
        auto* const data = reinterpret_cast<std::uint8_t*>(PyByteArray_AS_STRING(bytes.ptr()));
        return {std::move(bytes), data};
    }
    Array<std::uint8_t> array(length);
    auto* const data = array.mutable_data();
    return {std::move(array), data};
}

// (place, list of the reverse complements); a 2-D array gives the list of one.
py::tuple py_reverse_complement(Batch const& batch, bool rna) {
    static constexpr ByteTable dna_complement = complement_table('T');
    static constexpr ByteTable rna_complement = complement_table('U');
    ByteTable const& complement = rna ? rna_complement : dna_complement;
    auto const sequences = batch.sequences();
    py::list results;
    std::vector<std::uint8_t*> targets;
    targets.reserve(sequences.size());
    if (batch.is_grid()) {
        Array<std::uint8_t> grid({sequences.size(), batch.width()});
        for (std::size_t i = 0; i < sequences.size(); ++i) {
            targets.push_back(grid.mutable_data() + i * batch.width());
        }
        results.append(grid);
    } else {
        results = py::list(sequences.size());
        for (std::size_t i = 0; i < sequences.size(); ++i) {
            auto [object, data] = make_like(batch.source(i), sequences[i].size());
            targets.push_back(data);
            results[i] = std::move(object);
        }
    }
    Place found;
    {
        py::gil_scoped_release const unlocked;
        bool valid = true;
        for (std::size_t i = 0; i < sequences.size(); ++i) {
            MutableBytes const target{targets[i], sequences[i].size()};
            valid = reverse_complement(sequences[i], complement, target) && valid;
        }
        if (!valid) found = find_above(sequences, complement, kInvalid - 1);
    }
    return py::make_tuple(place(batch, found), results);
}

template <class T>
void bind_one_hot(py::module_& module) {
    using namespace py::literals;
    module.def("one_hot", &py_one_hot<T>, "batch"_a, "alphabet"_a, "layout"_a, "raise_unknown"_a,
               "on"_a, "unknown"_a, "length"_a, "out"_a.noconvert(), "threads"_a);
}

template <class T>
void bind_decode(py::module_& module) {
    using namespace py::literals;
    module.def("decode", &py_decode<T>, "scores"_a.noconvert(), "letters"_a, "unknown"_a,
               "layout"_a, "length"_a, "out"_a.noconvert());
}

}  // namespace

void bind_sequence(py::module_& module) {
    using namespace py::literals;
    py::enum_<Layout>(module, "Layout").value("NCL", Layout::ncl).value("NLC", Layout::nlc);
    py::class_<Alphabet>(module, "Alphabet")
        .def(py::init([](std::string_view letters, std::string_view unknown) {
                 Alphabet const alphabet(letters, unknown);
                 if (letters.empty() || letters.size() >= kInvalid - 1 ||
                     !is_ascii_table(alphabet.table())) {
                     throw py::value_error("an alphabet holds ASCII letters, each once");
                 }
                 return alphabet;
             }),
             "letters"_a, "unknown"_a)
        .def_property_readonly("size", &Alphabet::size);
    module.attr("DNA") = kDna;
    module.attr("RNA") = kRna;
    module.attr("PROTEIN") = kProtein;
    module.def("encode", &py_encode, "batch"_a, "alphabet"_a, "raise_unknown"_a,
               "out"_a.noconvert(), "threads"_a);
    bind_one_hot<float>(module);
    bind_one_hot<std::uint16_t>(module);  // the bits of float16
    bind_one_hot<std::uint8_t>(module);
    bind_decode<float>(module);
    bind_decode<double>(module);
    bind_decode<std::uint8_t>(module);
    module.def("reverse_complement", &py_reverse_complement, "batch"_a, "rna"_a);
}

}  // namespace seqtile::bindings
