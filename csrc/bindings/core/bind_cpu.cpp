#include <cstdlib>
#include <string>

#include "../arrays.hpp"
#include "core/cpu.hpp"

namespace seqtile::bindings {
namespace {

// The level that the environment variable SEQTILE_ISA asks for; unset or empty: the best one.
Isa requested_isa() {
    char const* const value = std::getenv("SEQTILE_ISA");
    if (value == nullptr || *value == '\0') return best_isa();
    std::string known;
    for (Isa const isa : kIsas) {
        if (supports(isa)) known += (known.empty() ? "" : ", ") + std::string(name(isa));
    }
    auto const isa = find_isa(value);
    if (isa && supports(*isa)) return *isa;
    throw py::import_error("SEQTILE_ISA=" + std::string(value) + ": this machine has " + known);
}

}  // namespace

void bind_cpu(py::module_& module) {
    set_active_isa(requested_isa());
    module.def("isa", [] { return name(active_isa()); });
}

}  // namespace seqtile::bindings
