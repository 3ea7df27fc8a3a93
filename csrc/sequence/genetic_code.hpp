// The genetic codes of NCBI, https://www.ncbi.nlm.nih.gov/Taxonomy/Utils/wprintgc.cgi (gc.prt).
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace seqtile {

struct GeneticCode {
    int id;  ///< NCBI's number of the table
    /// Some stop codon also codes for an amino acid, which is the letter given here.
    bool dual_stops;
    /// Amino acid, or '*', of each codon: TTT, TTC, TTA, TTG, TCT, ..., GGG.
    std::string_view amino_acids;
};

inline constexpr std::array kGeneticCodes = std::to_array<GeneticCode>({
    // Standard
    {1, false, "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Vertebrate Mitochondrial
    {2, false, "FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNKKSS**VVVVAAAADDEEGGGG"},
    // Yeast Mitochondrial
    {3, false, "FFLLSSSSYY**CCWWTTTTPPPPHHQQRRRRIIMMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Mold Mitochondrial
    {4, false, "FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Invertebrate Mitochondrial
    {5, false, "FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNKKSSSSVVVVAAAADDEEGGGG"},
    // Ciliate Nuclear
    {6, false, "FFLLSSSSYYQQCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Echinoderm Mitochondrial
    {9, false, "FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNNKSSSSVVVVAAAADDEEGGGG"},
    // Euplotid Nuclear
    {10, false, "FFLLSSSSYY**CCCWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Bacterial
    {11, false, "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Alternative Yeast Nuclear
    {12, false, "FFLLSSSSYY**CC*WLLLSPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Ascidian Mitochondrial
    {13, false, "FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNKKSSGGVVVVAAAADDEEGGGG"},
    // Alternative Flatworm Mitochondrial
    {14, false, "FFLLSSSSYYY*CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNNKSSSSVVVVAAAADDEEGGGG"},
    // Blepharisma Macronuclear
    {15, false, "FFLLSSSSYY*QCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Chlorophycean Mitochondrial
    {16, false, "FFLLSSSSYY*LCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Trematode Mitochondrial
    {21, false, "FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNNKSSSSVVVVAAAADDEEGGGG"},
    // Scenedesmus obliquus Mitochondrial
    {22, false, "FFLLSS*SYY*LCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Thraustochytrium Mitochondrial
    {23, false, "FF*LSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Pterobranchia Mitochondrial
    {24, false, "FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSSKVVVVAAAADDEEGGGG"},
    // Candidate Division SR1
    {25, false, "FFLLSSSSYY**CCGWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Pachysolen tannophilus Nuclear
    {26, false, "FFLLSSSSYY**CC*WLLLAPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Karyorelict Nuclear
    {27, true, "FFLLSSSSYYQQCCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Condylostoma Nuclear
    {28, true, "FFLLSSSSYYQQCCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Mesodinium Nuclear
    {29, false, "FFLLSSSSYYYYCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Peritrich Nuclear
    {30, false, "FFLLSSSSYYEECC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Blastocrithidia Nuclear
    {31, true, "FFLLSSSSYYEECCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Balanophoraceae Plastid
    {32, false, "FFLLSSSSYY*WCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"},
    // Cephalodiscidae Mitochondrial
    {33, false, "FFLLSSSSYYY*CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSSKVVVVAAAADDEEGGGG"},
});

/// The code of this number, or a null pointer.
constexpr GeneticCode const* find_genetic_code(int id) noexcept {
    for (GeneticCode const& code : kGeneticCodes) {
        if (code.id == id) return &code;
    }
    return nullptr;
}

}  // namespace seqtile
