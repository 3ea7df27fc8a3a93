#include "arrays.hpp"

PYBIND11_MODULE(_core, module) {
    module.doc() = "Compiled kernels of seqtile; the public functions are in the Python modules.";
    seqtile::bindings::bind_cpu(module);
    seqtile::bindings::bind_sequence(module);
    seqtile::bindings::bind_fasta(module);
    seqtile::bindings::bind_window(module);
    seqtile::bindings::bind_kmer(module);
}
