"""From a trained network to a folder of exported/: graph, precisions, certificate."""
