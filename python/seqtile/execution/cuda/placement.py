"""Where onnxruntime put a model's operators, and what that allows."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

__all__ = ["OF_SHAPES", "Graphs", "graphs_verdict", "placement"]

Graphs: TypeAlias = Literal["auto"] | bool

# What may stay on the CPU beside a model on CUDA: sums on shapes, a few numbers per batch.
# onnxruntime puts them there on purpose, as their results are wanted on the CPU.
_NAMES = (
    "Add Cast Ceil Concat ConstantOfShape Div Equal Expand Floor Gather Greater Identity Less Max "
    "Min Mod Mul Neg Range ReduceProd Reshape Shape Size Slice Split Squeeze Sub Transpose "
    "Unsqueeze Where"
)
OF_SHAPES = frozenset(_NAMES.split())
_CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_RECURRENT = frozenset({"GRU", "LSTM", "RNN"})


def placement(session: Any) -> dict[str, set[str]]:
    """Execution provider to the operators it runs, of an `onnxruntime.InferenceSession`.

    The session was made with ``session.record_ep_graph_assignment_info``; empty where this
    onnxruntime cannot tell.
    """
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return {}
    placed: dict[str, set[str]] = {}
    for group in session.get_provider_graph_assignment_info():
        operators = placed.setdefault(group.ep_name, set())
        operators.update(node.op_type for node in group.get_nodes())
    return placed


def graphs_verdict(wanted: Graphs, device: str, operators: set[str]) -> str:
    """Whether batches of a model may be replayed as CUDA graphs.

    A graph is a recording of the kernels that one batch launched; to replay it costs one launch.

    Parameters
    ----------
    wanted
        ``"auto"``, True (even where it is doubtful) or False.
    device
        ``"cpu"`` or ``"cuda:N"``.
    operators
        The model's operators.

    Returns
    -------
    str
        ``"on"``, or ``"off: "`` and why.

    Raises
    ------
    ValueError
        ``wanted`` is none of these.
    """
    if wanted not in ("auto", True, False):
        raise ValueError(f"graphs must be 'auto', True or False, not {wanted!r}")
    if wanted is False:
        return "off: graphs=False"
    if device == "cpu":
        return "off: device cpu"
    if found := sorted(operators & _CONTROL_FLOW):
        return f"off: control flow ({', '.join(found)})"
    if wanted == "auto" and (found := sorted(operators & _RECURRENT)):
        # onnxruntime hands cuDNN the lengths of the rows through memory of the host that it may
        # use again before a replay reads it.
        return f"off: recurrent operators ({', '.join(found)}); graphs=True tries"
    return "on"
