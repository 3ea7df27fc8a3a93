#include <atomic>

#include "../parallel.hpp"
#include "../translate.hpp"
#include "arrays.hpp"

namespace seqtile::bindings {
namespace {

CodonTable codon_table(int id) {
    GeneticCode const* const code = find_genetic_code(id);
    if (code == nullptr) throw py::value_error("no genetic code " + std::to_string(id));
    return CodonTable(*code);
}

// Checks that `offsets` cut `size` bytes into pieces, in order.
void check_offsets(std::span<std::int64_t const> offsets, py::ssize_t size) {
    if (offsets.empty() || offsets.front() != 0 || offsets.back() != size) {
        throw py::value_error("offsets must begin with 0 and end with the number of bytes");
    }
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
        if (offsets[i + 1] < offsets[i]) throw py::value_error("offsets must not fall");
    }
}

// Piece `i` of `bytes`.
template <class T>
std::span<T> piece(std::span<T> bytes, std::span<std::int64_t const> offsets, std::size_t i) {
    return bytes.subspan(static_cast<std::size_t>(offsets[i]),
                         static_cast<std::size_t>(offsets[i + 1] - offsets[i]));
}

py::ssize_t py_translate(Array<std::uint8_t> const& data, Array<std::int64_t> const& offsets,
                         CodonTable const& table, std::size_t offset, bool reverse,
                         Array<std::uint8_t>& out, Array<std::int64_t> const& out_offsets,
                         std::size_t threads) {
    auto const source = view(data);
    auto const target = mutable_view(out);
    auto const from = view(offsets);
    auto const to = view(out_offsets);
    Frame const frame{offset, reverse};
    check_offsets(from, data.size());
    check_offsets(to, out.size());
    check_size("out_offsets", out_offsets.size(), from.size());
    std::size_t const count = from.size() - 1;
    for (std::size_t i = 0; i < count; ++i) {
        if (piece(target, to, i).size() != frame.codons(piece(source, from, i).size())) {
            throw py::value_error("out_offsets do not fit the codons");
        }
    }
    py::gil_scoped_release const unlocked;
    std::atomic<std::size_t> refused = kNone;
    parallel_for(count, threads, [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) {
            std::size_t const at =
                translate(piece(source, from, i), table, frame, piece(target, to, i));
            if (at == kNone) continue;
            std::size_t const flat = static_cast<std::size_t>(from[i]) + at;
            std::size_t seen = refused;
            while (flat < seen && !refused.compare_exchange_weak(seen, flat)) {
            }
            return;
        }
    });
    return position(refused);
}

}  // namespace

void bind_translate(py::module_& module) {
    using namespace py::literals;
    py::class_<CodonTable>(module, "CodonTable").def(py::init(&codon_table), "id"_a);
    py::list codes;
    for (GeneticCode const& code : kGeneticCodes) {
        codes.append(py::make_tuple(code.id, code.dual_stops));
    }
    module.attr("GENETIC_CODES") = py::tuple(codes);
    module.def("translate", &py_translate, "data"_a.noconvert(), "offsets"_a.noconvert(), "table"_a,
               "offset"_a, "reverse"_a, "out"_a.noconvert(), "out_offsets"_a.noconvert(),
               "threads"_a);
}

}  // namespace seqtile::bindings
