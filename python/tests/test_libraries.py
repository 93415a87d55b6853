"""What a user's function takes and returns, on NumPy arrays: what is refused, and in what words."""

import numpy as np
import pytest

import vorticity as vt
from vorticity._libraries import Library, shown, wrapped

X = np.zeros((2, 1, 3, 3), np.float32)
K = np.zeros(2, np.int64)
SIGMA = np.ones(2, np.float32)


def called(f, dtype="float32", x=X):
    return wrapped(f, "f", Library("numpy"), dtype)(x, K, SIGMA)


def test_what_fits_is_taken_as_it_is():
    given = []

    def f(x, k, sigma):
        given.extend([x.dtype, k.dtype, sigma.dtype])
        return np.asfortranarray(x + 1)

    found = called(f)
    assert found.flags.c_contiguous and found.dtype == np.float32 and (found == 1).all()
    assert given == [np.float32, np.int64, np.float32]
    assert called(lambda x, k, sigma: x.astype(np.float64)).dtype == np.float32
    assert called(lambda x, k, sigma: x.astype(np.float64), "float64").dtype == np.float64
    assert wrapped(None, "f", Library("numpy")) is None


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "f returned a value of type NoneType, expected a floating-point array of shape \\[2, 1, 3, 3\\]"),
        (np.zeros((2, 9), np.float32), "a float32 NumPy array of shape \\[2, 9\\], expected .* \\[2, 1, 3, 3\\]"),
        (np.zeros((2, 1, 3, 3), np.int64), "a int64 NumPy array"),
        (np.zeros((2, 1, 3, 3), np.complex64), "a complex64 NumPy array"),
        ([[0.0]], "a value of type list"),
    ],
)
def test_what_does_not_fit_is_told(returned, said):
    with pytest.raises(vt.ArrayError, match=said):
        called(lambda x, k, sigma: returned)


def test_double_precision_is_not_made_up():
    with pytest.raises(vt.ArrayError, match="a float32 NumPy array .* in float64, which is what it is for"):
        called(lambda x, k, sigma: x.astype(np.float32), "float64")


def test_what_is_no_function_and_no_library():
    with pytest.raises(vt.ArrayError, match="f: is a value of type int, expected a function"):
        wrapped(3, "f", Library("numpy"))
    with pytest.raises(vt.ArrayError, match="arrays: 'cupy' is unknown, expected one of numpy, torch, jax"):
        Library("cupy")
    with pytest.raises(vt.ArrayError, match="torch_device: is for arrays='torch'"):
        Library("numpy", "cuda")
    assert shown(X) == "a float32 NumPy array of shape [2, 1, 3, 3]"


def test_what_is_raised_is_raised():
    def f(x, k, sigma):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="^mine$"):
        called(f)
