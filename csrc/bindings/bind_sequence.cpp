#include <atomic>
#include <string>

#include "../lookup.hpp"
#include "../onehot.hpp"
#include "../parallel.hpp"
#include "../sequence.hpp"
#include "arrays.hpp"

namespace seqtile::bindings {
namespace {

// A batch of sequences: the bytes of all, one after another, and where each begins; offsets[n] is
// the end of the last.
struct Batch {
    Bytes data;
    std::span<std::int64_t const> offsets;

    Batch(Array<std::uint8_t> const& bytes, Array<std::int64_t> const& starts)
        : data(view(bytes)), offsets(view(starts)) {
        if (offsets.empty() || offsets.front() != 0 ||
            offsets.back() != static_cast<std::int64_t>(data.size())) {
            throw py::value_error("offsets must begin with 0 and end with the number of bytes");
        }
        for (std::size_t i = 0; i < size(); ++i) {
            if (offsets[i + 1] < offsets[i]) throw py::value_error("offsets must not fall");
        }
    }

    [[nodiscard]] std::size_t size() const noexcept { return offsets.size() - 1; }
    [[nodiscard]] Bytes operator[](std::size_t i) const noexcept {
        return data.subspan(static_cast<std::size_t>(offsets[i]),
                            static_cast<std::size_t>(offsets[i + 1] - offsets[i]));
    }
};

py::ssize_t py_encode(Array<std::uint8_t> const& data, Alphabet const& alphabet, bool raise,
                      Array<std::uint8_t>& out) {
    check_size("out", out.size(), view(data).size());
    auto const target = mutable_view(out);
    auto const source = view(data);
    py::gil_scoped_release const unlocked;
    return position(encode(source, alphabet, raise ? Unknown::raise : Unknown::keep, target));
}

template <class T>
py::ssize_t py_one_hot(Array<std::uint8_t> const& data, Array<std::int64_t> const& offsets,
                       Alphabet const& alphabet, Layout layout, bool raise, T off, T on, T unknown,
                       std::size_t length, Array<T>& out, std::size_t threads) {
    Batch const batch(data, offsets);
    std::size_t const cells = length * alphabet.size();
    check_size("out", out.size(), batch.size() * cells);
    T* const target = out.mutable_data();
    auto const highest = static_cast<std::uint8_t>(alphabet.size() - (raise ? 1 : 0));
    for (std::size_t i = 0; i < batch.size(); ++i) {
        if (batch[i].size() > length) throw py::value_error("a sequence is longer than length");
    }
    py::gil_scoped_release const unlocked;
    std::atomic<std::size_t> refused = kNone;
    parallel_for(batch.size(), threads, [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) {
            std::size_t const at = find_above(batch[i], alphabet.table(), highest);
            if (at != kNone) {
                auto const flat = static_cast<std::size_t>(batch.offsets[i]) + at;
                std::size_t seen = refused;
                while (flat < seen && !refused.compare_exchange_weak(seen, flat)) {
                }
                return;
            }
            one_hot(batch[i], alphabet, layout, OneHotValues<T>{off, on, unknown}, length,
                    target + i * cells);
        }
    });
    return position(refused);
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

py::ssize_t py_reverse_complement(Array<std::uint8_t> const& data,
                                  Array<std::int64_t> const& offsets, bool rna,
                                  Array<std::uint8_t>& out) {
    static constexpr ByteTable dna_complement = complement_table('T');
    static constexpr ByteTable rna_complement = complement_table('U');
    Batch const batch(data, offsets);
    check_size("out", out.size(), batch.data.size());
    auto const target = mutable_view(out);
    py::gil_scoped_release const unlocked;
    for (std::size_t i = 0; i < batch.size(); ++i) {
        auto const begin = static_cast<std::size_t>(batch.offsets[i]);
        std::size_t const refused =
            reverse_complement(batch[i], rna ? rna_complement : dna_complement,
                               target.subspan(begin, batch[i].size()));
        if (refused != kNone) return position(begin + refused);
    }
    return -1;
}

template <class T>
void bind_one_hot(py::module_& module) {
    using namespace py::literals;
    module.def("one_hot", &py_one_hot<T>, "data"_a.noconvert(), "offsets"_a.noconvert(),
               "alphabet"_a, "layout"_a, "raise_unknown"_a, "off"_a, "on"_a, "unknown"_a,
               "length"_a, "out"_a.noconvert(), "threads"_a);
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
                 if (letters.size() >= kInvalid || !is_ascii_table(alphabet.table())) {
                     throw py::value_error("an alphabet holds ASCII letters, each once");
                 }
                 return alphabet;
             }),
             "letters"_a, "unknown"_a)
        .def_property_readonly("size", &Alphabet::size);
    module.attr("DNA") = kDna;
    module.attr("RNA") = kRna;
    module.attr("PROTEIN") = kProtein;
    module.def("encode", &py_encode, "data"_a.noconvert(), "alphabet"_a, "raise_unknown"_a,
               "out"_a.noconvert());
    bind_one_hot<float>(module);
    bind_one_hot<std::uint16_t>(module);  // the bits of float16
    bind_one_hot<std::uint8_t>(module);
    bind_decode<float>(module);
    bind_decode<double>(module);
    bind_decode<std::uint8_t>(module);
    module.def("reverse_complement", &py_reverse_complement, "data"_a.noconvert(),
               "offsets"_a.noconvert(), "rna"_a, "out"_a.noconvert());
}

}  // namespace seqtile::bindings
