"""Sets of samples that a transport can be fitted between."""

import jax.numpy as jnp
import pytest

from subgrid.transport.unpaired import require_same_fields


def test_numbers_may_differ_and_shapes_may_not():
    require_same_fields(jnp.ones((5, 1, 4)), jnp.ones((7, 1, 4)))
    with pytest.raises(ValueError, match=r"source fields have shape \(1, 4\), target fields \(4,\); they must agree"):
        require_same_fields(jnp.ones((5, 1, 4)), jnp.ones((7, 4)))
