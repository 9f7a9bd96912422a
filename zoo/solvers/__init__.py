"""What optimises one pair: affine start, MIND features, the discrete solvers, their refinement."""
