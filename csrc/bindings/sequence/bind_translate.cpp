#include <vector>

#include "batch.hpp"
#include "core/parallel.hpp"
#include "sequence/sequence.hpp"
#include "sequence/translate.hpp"

namespace seqtile::bindings {
namespace {

CodonTable codon_table(int id) {
    GeneticCode const* const code = find_genetic_code(id);
    if (code == nullptr) throw py::value_error("no genetic code " + std::to_string(id));
    return CodonTable(*code);
}

// The proteins come one after another to `out`; protein i ends at ends[i].
py::object py_translate(Batch const& batch, CodonTable const& table, std::size_t offset,
                        bool reverse, Array<std::int64_t> const& ends, Array<std::uint8_t>& out,
                        std::size_t threads) {
    auto const sequences = batch.sequences();
    auto const target = mutable_view(out);
    auto const to = view(ends);
    Frame const frame{offset, reverse};
    check_size("ends", ends.size(), sequences.size());
    auto const begin_of = [&](std::size_t i) {
        return i == 0 ? std::size_t{0} : static_cast<std::size_t>(to[i - 1]);
    };
    for (std::size_t i = 0; i < sequences.size(); ++i) {
        if (begin_of(i) + frame.codons(sequences[i].size()) != static_cast<std::size_t>(to[i])) {
            throw py::value_error("ends do not fit the codons");
        }
    }
    check_size("out", out.size(), begin_of(sequences.size()));
    std::vector<std::size_t> refused(sequences.size(), kNone);
    {
        py::gil_scoped_release const unlocked;
        parallel_for(sequences.size(), threads, [&](std::size_t begin, std::size_t end) {
            for (std::size_t i = begin; i < end; ++i) {
                std::size_t const from = begin_of(i);
                refused[i] = translate(sequences[i], table, frame,
                                       target.subspan(from, begin_of(i + 1) - from));
            }
        });
    }
    for (std::size_t i = 0; i < refused.size(); ++i) {
        if (refused[i] != kNone) return place(batch, {i, refused[i]});
    }
    return py::none();
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
    module.def("translate", &py_translate, "batch"_a, "table"_a, "offset"_a, "reverse"_a,
               "ends"_a.noconvert(), "out"_a.noconvert(), "threads"_a);
}

}  // namespace seqtile::bindings
