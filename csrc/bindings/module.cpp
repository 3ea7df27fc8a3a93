#include "arrays.hpp"

PYBIND11_MODULE(_core, module) {
    module.doc() = "Compiled kernels of seqtile; the public functions are in the Python modules.";
    seqtile::bindings::bind_cpu(module);
    seqtile::bindings::bind_batch(module);
    seqtile::bindings::bind_sequence(module);
    seqtile::bindings::bind_record(module);
    seqtile::bindings::bind_reader(module);
    seqtile::bindings::bind_faidx(module);
    seqtile::bindings::bind_window(module);
    seqtile::bindings::bind_tiling(module);
    seqtile::bindings::bind_translate(module);
    seqtile::bindings::bind_kmer(module);
    seqtile::bindings::bind_label(module);
    seqtile::bindings::bind_rows(module);
}
