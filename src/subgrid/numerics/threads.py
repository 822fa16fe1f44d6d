"""Linear algebra on one thread, for what must have the same bits on any number of cores."""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Meanwhile, NumPy's and SciPy's linear algebra, and so JAX's LAPACK on CPUs, runs on one thread of this process.

    BLAS shares the sums of a product out among its threads, as many as there are cores, so that rounding depends on
    their number; eigenvectors of eigenvalues that are nearly alike then differ visibly. XLA's own products and
    convolutions do not depend on it.

    Yields:
        Nothing; it may be used as a decorator.

    Examples:
        >>> with one_blas_thread():
        ...     variances, vectors = np.linalg.eigh(covariance)
    """
    with threadpool_limits(limits=1, user_api="blas"):
        yield
