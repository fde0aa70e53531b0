"""Models as the analyses see them: nodes, types, constants, order."""
