"""The mathematics: flow path and schedule, samplers. Tensor functions, no modules."""
