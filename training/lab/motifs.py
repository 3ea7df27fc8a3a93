"""What the first convolution of a network looks for, as motifs.

The rule is that of Basset (Kelley, Snoek, Rinn, Genome Research 26, 2016; after DeepBind, Alipanahi
et al., Nature Biotechnology 33, 2015): the subsequences of real sequences that activate a filter
above half of its largest activation are aligned, and their letters counted at each place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch.nn import functional

from seqtile import one_hot, reverse_complement
from seqtile.motifs.meme import write_meme
from seqtile.motifs.motif import Alphabet, Motif

_ROWS = 512  # sequences convolved at a time


def write(
    weights: torch.Tensor | NDArray[np.floating],
    letters: NDArray[np.uint8],
    path: Path,
    *,
    bias: torch.Tensor | NDArray[np.floating] | None = None,
    alphabet: Alphabet = "dna",
    both_strands: bool = False,
    share: float = 0.5,
    min_sites: int = 20,
) -> list[Motif]:
    """Find the motifs of a first convolution, and write them as a MEME file.

    Parameters
    ----------
    weights
        Kernels, shape (filters, 4, width) or (filters, 4, 1, width), over channels A C G T (or U).
    letters
        uint8 ASCII, shape (n, L): sequences that the network was trained on; some thousand do.
    path
        File to write, ``motifs.meme``.
    bias
        Shape (filters,): what is added before the ReLU.
    alphabet
        ``"dna"`` or ``"rna"``.
    both_strands
        Whether the network reads the reverse complement too.
    share
        Of a filter's largest activation, that a subsequence must exceed.
    min_sites
        Filters with fewer subsequences are left out.

    Returns
    -------
    The motifs, ``filter0`` for the first kernel, in the order of the kernels.

    Raises
    ------
    ValueError
        Not one filter has enough subsequences.
    """
    counts = site_counts(
        weights, letters, bias=bias, alphabet=alphabet, both_strands=both_strands, share=share
    )
    motifs = [
        Motif.from_counts(f"filter{i}", table, alphabet=alphabet)
        for i, table in enumerate(counts)
        if table[:, 0].sum() >= min_sites
    ]
    if not motifs:
        raise ValueError(f"not one of {len(counts)} filters is activated by {min_sites} sites")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_meme(path, motifs)
    return motifs


def site_counts(
    weights: torch.Tensor | NDArray[np.floating],
    letters: NDArray[np.uint8],
    *,
    bias: torch.Tensor | NDArray[np.floating] | None = None,
    alphabet: Alphabet = "dna",
    both_strands: bool = False,
    share: float = 0.5,
) -> NDArray[np.int64]:
    """Letters at each place of the subsequences that activate each filter, (filters, 4, width).

    See `write`. A subsequence with an unknown letter is not counted, nor is one at the edge, part
    of which is padding; a filter that nothing activates (above 0) has counts of 0.
    """
    kernels = _tensor(weights)
    kernels = kernels.reshape(kernels.shape[0], 4, 1, kernels.shape[-1])
    width = kernels.shape[-1]
    if letters.ndim != 2 or letters.shape[1] < width:
        raise ValueError(f"expected letters of shape (n, {width} or more), found {letters.shape}")
    shifts = torch.zeros(len(kernels)) if bias is None else _tensor(bias)
    strands = [letters, reverse_complement(letters)] if both_strands else [letters]
    batches = [
        torch.from_numpy(one_hot(strand[i : i + _ROWS], alphabet=alphabet)).unsqueeze(2)
        for strand in strands
        for i in range(0, len(strand), _ROWS)
    ]
    with torch.inference_mode():
        largest = torch.zeros(len(kernels))
        for hot in batches:
            largest = torch.maximum(largest, _activations(hot, kernels, shifts).amax((0, 2)))
        counts = torch.zeros(4, width, len(kernels), dtype=torch.int64)
        for hot in batches:
            sites = _activations(hot, kernels, shifts) > (share * largest)[:, None]
            row, of, begin = (sites & (largest > 0)[:, None]).nonzero(as_tuple=True)
            codes = hot[:, :, 0].argmax(1)
            for place in range(width):
                cells = codes[row, begin + place] * len(kernels) + of
                found = torch.bincount(cells, minlength=4 * len(kernels))
                counts[:, place] += found.reshape(4, len(kernels))
    return counts.permute(2, 0, 1).contiguous().numpy()


def _activations(hot: torch.Tensor, kernels: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """Of one-hot (n, 4, 1, L) what goes into the ReLU, (n, filters, L - width + 1).

    Minus infinity where a letter is unknown.
    """
    values = functional.conv2d(hot, kernels, shifts).squeeze(2)
    known = hot.sum(1, keepdim=True)
    whole = functional.avg_pool2d(known, (1, kernels.shape[-1]), 1).squeeze(2) > 1 - 1e-6
    return values.masked_fill(~whole, -torch.inf)


def _tensor(values: Any) -> torch.Tensor:
    return torch.as_tensor(values).detach().cpu().float()


@dataclass(frozen=True)
class FirstLayer:
    """The convolutions over letters of an exported network.

    Attributes
    ----------
    kernels, bias
        float32, shape (filters, 4, width) and (filters,).
    both_strands
        Whether the same kernels read the sequence twice: the other time its reverse complement.
    """

    kernels: NDArray[np.float32]
    bias: NDArray[np.float32]
    both_strands: bool


def first_layer(model: onnx.ModelProto) -> FirstLayer:
    """Find the convolutions of a graph that no other stands before.

    Further channels than the four letters, such as marks of the ends, are left out.

    Raises
    ------
    ValueError
        The graph has no convolution, first ones of several widths, or a norm apart behind one.
    """
    graph = model.graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    behind: set[str] = set()  # values that a convolution stands before
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:  # in the order of computation
        if behind.intersection(node.input):
            behind.update(node.output)
        elif node.op_type == "Conv":
            behind.update(node.output)
            found.setdefault(node.input[1], []).append(node)
    widths = {values[name].shape[-1] for name in found}
    if len(widths) != 1:
        raise ValueError(f"expected first convolutions of one width, found {sorted(widths)}")
    outputs = {node.output[0] for nodes in found.values() for node in nodes}
    if any(n.op_type == "BatchNormalization" and n.input[0] in outputs for n in graph.node):
        raise ValueError("a batch norm behind a first convolution, expected to be part of it")
    kernels, biases = [], []
    for name, nodes in found.items():
        weight = values[name][:, :4, 0]
        bias = values[nodes[0].input[2]] if len(nodes[0].input) > 2 else np.zeros(len(weight))
        kernels.append(weight)
        biases.append(bias)
    return FirstLayer(
        np.concatenate(kernels).astype(np.float32),
        np.concatenate(biases).astype(np.float32),
        any(len(nodes) > 1 for nodes in found.values()),
    )
