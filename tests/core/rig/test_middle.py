import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_xfusion.core.rig.middle import median


@given(
    arrays(
        st.sampled_from([np.float32, np.float64]),
        array_shapes(max_dims=2, min_side=0, max_side=9),
        elements=st.floats(-1000, 1000, width=32),
    ),
    st.data(),
)
def test_the_median_is_that_of_numpy(values, data):
    axis = data.draw(st.integers(-1, values.ndim - 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's about no values
        expected = np.median(values, axis=axis)
    found = median(values, axis=axis)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype
