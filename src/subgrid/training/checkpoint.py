"""Checkpoints of array trees, through orbax: written aside and renamed, so a crash leaves the last whole one.

Trees are stored as flat dictionaries of named arrays, no pickle, so a store can be opened, listed and checked against
a model before anything is loaded.
"""

from pathlib import Path

import jax
import numpy as np

from subgrid.types import PyTree


class CheckpointMismatch(ValueError):
    """The store holds another model than the one it is loaded into."""


class Checkpoints:
    """The numbered checkpoints of one run, the newest kept.

    Args:
        folder: made on the first save.
        keep: how many stay, 2 by default.

    Examples:
        >>> checkpoints = Checkpoints(folder)
        >>> checkpoints.save(step, state)
        >>> step, state = checkpoints.restore(like=state)
    """

    def __init__(self, folder: str | Path, *, keep: int = 2):
        self.folder = Path(folder).absolute()
        self.keep = keep
        self._manager = None

    def latest(self) -> int | None:
        """The step of the newest whole checkpoint.

        Returns:
            The step, or None where there is no checkpoint.
        """
        return self._open().latest_step() if self.folder.exists() else None

    def save(self, step: int, state: PyTree) -> None:
        """Writes `state` as the checkpoint of `step`, whole or not at all, and removes those beyond `keep`.

        A step that is there already is left as it is.

        Args:
            step: number of the checkpoint.
            state: a tree of arrays.
        """
        import orbax.checkpoint as ocp

        self._open().save(step, args=ocp.args.StandardSave(_named_arrays(state)))

    def restore(self, *, like: PyTree) -> tuple[int, PyTree]:
        """The newest checkpoint, in the structure of `like`.

        Args:
            like: a tree of arrays of the same names and shapes.

        Returns:
            The step and the state.

        Raises:
            CheckpointMismatch: if the arrays of the checkpoint are not those of `like`.
            FileNotFoundError: if there is no checkpoint.
        """
        import orbax.checkpoint as ocp

        step = self.latest()
        if step is None:
            raise FileNotFoundError(f"no checkpoint in {self.folder}.")
        stored = dict(self._open().restore(step, args=ocp.args.StandardRestore()))
        return step, _rebuild(stored, like, self.folder)

    def _open(self):
        if self._manager is None:
            import orbax.checkpoint as ocp

            options = ocp.CheckpointManagerOptions(max_to_keep=self.keep, enable_async_checkpointing=False, create=True)
            self._manager = ocp.CheckpointManager(self.folder, options=options)
        return self._manager


def save_weights(folder: str | Path, weights: PyTree) -> None:
    """Writes one array tree to a folder, whole or not at all, in place of what was there.

    Args:
        folder: made if need be.
        weights: a tree of arrays.

    Examples:
        >>> save_weights("model", eqx.filter(model, eqx.is_array))
    """
    checkpoints = Checkpoints(folder, keep=1)
    last = checkpoints.latest()
    checkpoints.save(0 if last is None else last + 1, weights)  # orbax ignores a step that it has


def load_weights(folder: str | Path, *, like: PyTree) -> PyTree:
    """Reads what `save_weights` wrote.

    Args:
        folder: that was written.
        like: a tree of arrays of the same names and shapes.

    Returns:
        The weights, in the structure of `like`.

    Raises:
        CheckpointMismatch: if the arrays of the folder are not those of `like`.
        FileNotFoundError: if nothing was written there.

    Examples:
        >>> weights = load_weights("model", like=eqx.filter(model, eqx.is_array))
    """
    return Checkpoints(folder).restore(like=like)[1]


def _named_arrays(tree: PyTree) -> dict[str, np.ndarray]:
    # On the host: orbax stores the devices with a device array, and restores it on no others.
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def _rebuild(stored: dict, like: PyTree, folder: Path) -> PyTree:
    wanted, structure = jax.tree_util.tree_flatten_with_path(like)
    names = [jax.tree_util.keystr(path) for path, _ in wanted]
    if set(names) != set(stored):
        odd = sorted(set(names) ^ set(stored))
        raise CheckpointMismatch(
            f"{folder} holds another model: {len(odd)} arrays differ in name, first {odd[0]}; "
            "use the configuration it was trained with."
        )
    for name, (_, leaf) in zip(names, wanted, strict=True):
        if np.shape(stored[name]) != np.shape(leaf):
            raise CheckpointMismatch(
                f"{folder} holds another model: {name} has shape {np.shape(stored[name])}, expected {np.shape(leaf)}; "
                "use the configuration it was trained with."
            )
    return jax.tree_util.tree_unflatten(structure, jax.device_put([stored[name] for name in names]))
