"""Whether a model was evaluated on rows that it has not seen.

The model has seen a row when it was trained on an equal one: equal in all columns that the model
uses, its features and its target. A row number alone does not make a row different.

Attestations can prove that two datasets share no such row: they are the two parts of one
`split_data` execution whose key is in these columns, or were derived from such parts by steps that
count. Without a proof, as for two files, or for a split by time or by a key that is not a feature,
the rows are compared, as numbers or as text. Rows of different people may be equal by chance, so a
small share of them is admitted and reported; the policy sets the share.

A row that was altered on purpose counts as another row; people who may alter a table are trusted.
"""

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay.core.attestation import Attestation, about, using
from assay.core.step import Dataset, Services
from assay.core.tree import get_manifest, get_tree, read_file, remove_tree
from assay.errors import IntegrityError
from assay.evidence.format import EvidenceDocument
from assay.governance.described import info_of
from assay.governance.makers import IMPORT, SELECT, SPLIT, TRAINING, Admitted

if TYPE_CHECKING:
    import pyarrow as pa

MAX_ROWS: Final = 20_000_000
"""Rows of both datasets together; more are not compared."""
MAX_DATASETS: Final = 10_000
"""Largest number of pairs that are examined; attestations of a chain name a few."""
_NUMBER: Final = r"^[+-]?([0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|inf)$"
"""Text that is a number, among others in each spelling that Arrow writes."""
IMPORTED: Final = "the model was imported, so the rows that it was trained on are unknown"


def require_disjoint(
    services: Services,
    admitted: Admitted,
    model: str,
    trained: Sequence[Attestation],
    tested: Collection[str],
    share: float,
) -> tuple[Attestation, tuple[str, ...]]:
    """Refuse a model whose evaluated rows are not proved to be new to it.

    Rows by which the model was selected count as seen, like those it was trained on.

    Args:
        services: The store, and whose signatures count.
        admitted: The steps that count.
        model: Digest.
        trained: The attestations of how it was made, at least one. Each says how to make exactly
            this model, so that one of them is enough.
        tested: Digests of the datasets that evidence about the model was measured on.
        share: The largest share of evaluated rows that the model may have seen; with 1, rows are
            not compared.

    Returns:
        The attestation that shows it, and notes for approvers: that the model was imported, or how
        many rows it has seen.

    Raises:
        IntegrityError: Two datasets share rows, or are not proved to share none.
        NotFoundError: A dataset is not in the store.
    """
    proof = _Proof(services, admitted, _used_columns(services, model), share)
    notes = [
        note
        for digest in sorted(_chosen_on(services, model))
        for note in proof.require(digest, tested, "chosen among others on")
    ]
    # An import of the same bytes says nothing about a model that was trained here.
    own = [attestation for attestation in trained if attestation.entry_point != IMPORT]
    if not own:
        return trained[0], (*notes, IMPORTED)
    refused: list[IntegrityError] = []
    for attestation in own:
        try:
            result = [
                note
                for digest in sorted(proof.trained_on(attestation))
                for note in proof.require(digest, tested, "trained on")
            ]
        except IntegrityError as error:
            refused.append(error)
        else:
            return attestation, (*notes, *result)
    raise refused[0]


def require_rows(
    services: Services,
    admitted: Admitted,
    model: str,
    trained: Sequence[Attestation],
    documents: Mapping[str, EvidenceDocument],
    share: float,
) -> list[Attestation]:
    """Refuse a comparison that left out other rows than the training rows of its models.

    Training rows are left out of a comparison, so naming them selects the rows that it is made on:
    no others may be left out, not even those of a table that contains them. One table is an
    exception: a sweep splits its training rows again, to select on, and leaves out both parts. It
    is the training part of the same split as the test rows, and must not share rows with them, like
    the training rows.

    Args:
        services: The store, and whose signatures count.
        admitted: The steps that count.
        model: Digest of the candidate.
        trained: The attestations of how it was made.
        documents: The judged evidence, by digest.
        share: The largest share of evaluated rows that the model may have seen.

    Returns:
        Of `trained`, those whose rows the comparisons name; all where none names any.

    Raises:
        IntegrityError: A comparison names rows that no attestation connects with the model.
    """
    proof = _Proof(services, admitted, _used_columns(services, model), share)
    left = list(trained)
    for name, document in sorted(documents.items()):
        tested = document.subjects.get("data", "")
        if rows := document.subjects.get("candidate_rows", ""):
            if document.subjects.get("model") != model:
                left = []
            left = [
                attestation for attestation in left if proof.left_out_for(attestation, rows, tested)
            ]
            if not left:
                raise _other_rows(name, "candidate_rows", rows, model)
        if rows := document.subjects.get("production_rows", ""):
            production = document.subjects.get("production", "")
            if proof.rows_of(production) != [{rows}]:
                raise _other_rows(name, "production_rows", rows, production)
    return left


def _other_rows(name: str, role: str, rows: str, model: str) -> IntegrityError:
    return IntegrityError(
        f"the comparison {name} left out the rows {rows} as {role}, and no attestation "
        f"shows that {model or 'a model'} was trained on exactly these; compare again with the "
        "rows that its attestation names, which resolve_production gives for the model in "
        "production, or with none where several do"
    )


def _used_columns(services: Services, model: str) -> frozenset[str]:
    """The columns that a model uses: its features and its target."""
    info = info_of(services.store, model)
    return frozenset((*info.features, info.target))


def _chosen_on(services: Services, model: str) -> set[str]:
    """Datasets by whose rows this model was selected."""
    store, verifier = services.store, services.verifier
    result = set()
    for attestation in using(store, model, verifier):
        evaluations = {output.digest for output in attestation.outputs.values()}
        rows = {digest for digest in attestation.input_digests() if _is_dataset(services, digest)}
        if rows and any(
            user.entry_point == SELECT
            for evaluation in evaluations
            for user in using(store, evaluation, verifier)
        ):
            result |= rows
    return result


def _column_names(services: Services, dataset: str) -> tuple[str, ...]:
    """Of a dataset in the store."""
    from assay.data import SCHEMA_FILE, info
    from assay.data.schema import MAX_SCHEMA_BYTES

    manifest = get_manifest(services.store, dataset)
    content = read_file(services.store, manifest, SCHEMA_FILE, MAX_SCHEMA_BYTES)
    if content is None:
        raise IntegrityError(f"{dataset} has no {SCHEMA_FILE}")
    with tempfile.TemporaryDirectory(prefix="assay-schema-") as folder:
        Path(folder, SCHEMA_FILE).write_bytes(content)
        return info(Path(folder)).names


def _is_dataset(services: Services, digest: str) -> bool:
    return get_manifest(services.store, digest).artifact_type == Dataset.type


class _Proof:
    """Searches for a proof that datasets share no row."""

    def __init__(
        self,
        services: Services,
        admitted: Admitted,
        used: frozenset[str] = frozenset(),
        share: float = 0.0,
    ) -> None:
        self._used = used
        self._share = share
        self._services = services
        self._admitted = admitted
        self._known: dict[tuple[str, str], bool] = {}
        self._records: dict[str, list[Attestation]] = {}

    def trained_on(self, training: Attestation) -> set[str]:
        """The datasets that a training read, or that what it read was made from.

        Raises:
            IntegrityError: It read other inputs, or no known dataset.
        """
        result = self._datasets(training, set())
        if training.sources or not result:
            raise IntegrityError(
                f"the attestation {training.digest} does not name every dataset that the model was "
                "trained on, so that nothing shows that the evaluated rows are new to it; train it "
                "by a step that takes its rows as datasets only"
            )
        return result

    def _datasets(self, attestation: Attestation, seen: set[str]) -> set[str]:
        result = set()
        for digest in attestation.input_digests():
            if digest in seen:
                continue
            seen.add(digest)
            if _is_dataset(self._services, digest):
                result.add(digest)
            else:
                maker = self._admitted.best(self._about(digest))
                result |= self._datasets(maker, seen) if maker is not None else set()
        return result

    def rows_of(self, model: str) -> list[set[str]]:
        """The datasets that a model was trained on; several where executions read others."""
        result: list[set[str]] = []
        for attestation in self._about(model) if model else []:
            # The code may be of an earlier version, which judged the production model.
            named = attestation.entry_point in TRAINING or not self._admitted.objection(
                attestation, TRAINING
            )
            # An import of the same bytes says nothing about a model that was trained here.
            if named and attestation.entry_point != IMPORT:
                rows = self._datasets(attestation, set())
                if rows not in result:
                    result.append(rows)
        return result

    def left_out_for(self, training: Attestation, rows: str, tested: str) -> bool:
        """Whether a comparison may leave out these rows as those of a training.

        Raises:
            IntegrityError: They are those of a sweep, and share rows with those to compare on.
        """
        read = self._datasets(training, set())
        if read == {rows}:
            return True
        if len(read) != 1 or not any(
            split.outputs["test"].digest == tested for split in self._splits(rows)
        ):
            return False
        if not any(str(split.inputs.get("data")) == rows for split in self._splits(*read)):
            return False
        self.require(rows, [tested], "trained on a part of")
        return True

    def _splits(self, train: str) -> Iterator[Attestation]:
        """The executions of `split_data` that made a dataset as the training part."""
        for attestation in self._about(train):
            if attestation.entry_point == SPLIT and not self._admitted.objection(
                attestation, {SPLIT}
            ):
                part = attestation.outputs.get("train")
                if part is not None and part.digest == train and "test" in attestation.outputs:
                    yield attestation

    def require(self, seen: str, tested: Collection[str], how: str) -> list[str]:
        """Refuse datasets that share too many rows with one that the model saw.

        Args:
            seen: A dataset that the model saw.
            tested: The datasets that it was evaluated on.
            how: How it saw the rows, for messages.

        Returns:
            Notes for approvers: the number of shared rows, or that they were not compared.

        Raises:
            IntegrityError: They share too many rows, or cannot be compared.
        """
        notes = []
        for digest in sorted(tested):
            if self._shown(seen, digest):
                continue
            if seen == digest:
                raise IntegrityError(
                    f"the model was {how} {seen}, and evaluated on the same rows; evaluate it on "
                    "the part of the split that it has not seen"
                )
            if self._share >= 1:
                notes.append(f"that the evaluated rows ({digest}) are new to the model")
                continue
            shared, rows = self._shared_rows(seen, digest)
            finding = (
                f"{shared:,} of the evaluated rows ({digest}) are among those that the model was "
                f"{how} ({seen}) in all columns that it uses, {shared / max(rows, 1):.2%} of them"
            )
            if shared > self._share * rows:
                raise IntegrityError(
                    f"{finding}, and {self._share:.2%} is the most; take both from one split_data "
                    "by "
                    "hash of what the model uses (without key_columns, and with the drop_columns "
                    "of the training), or let the policy set seen_rows_share"
                )
            if shared:
                notes.append(f"that every evaluated row is new to the model: {finding}")
        return notes

    def _shown(self, left: str, right: str) -> bool:
        """Whether attestations show that two datasets share no row."""
        if left == right:
            return False
        pair = (min(left, right), max(left, right))
        if pair not in self._known:
            if len(self._known) >= MAX_DATASETS:
                return False
            self._known[pair] = False  # a cycle is no proof
            self._known[pair] = (
                self._are_parts(left, right)
                or any(
                    all(self._shown(parent, right) for parent in parents)
                    for parents in self._taken_from(left)
                )
                or any(
                    all(self._shown(left, parent) for parent in parents)
                    for parents in self._taken_from(right)
                )
            )
        return self._known[pair]

    def _are_parts(self, left: str, right: str) -> bool:
        return any(
            {left, right} <= {output.digest for output in attestation.outputs.values()}
            for attestation in self._about(left)
            if attestation.entry_point == SPLIT
            and not self._admitted.objection(attestation, {SPLIT})
            and self._splits_by_used_columns(attestation)
        )

    def _splits_by_used_columns(self, split: Attestation) -> bool:
        """Whether rows that are equal for the model are always in the same part of a split."""
        given = split.parameters
        dropped = {str(name) for name in given.get("drop_columns") or ()}
        whole = set(_column_names(self._services, str(split.inputs.get("data")))) - dropped
        keys = {str(name) for name in given.get("key_columns") or ()}
        # A row without its key is placed by the whole row.
        return given.get("split_by") == "hash" and keys | whole <= self._used

    def _taken_from(self, dataset: str) -> Iterator[list[str]]:
        """The input datasets of each execution that made a dataset from datasets alone."""
        for attestation in self._about(dataset):
            inputs = attestation.input_digests()
            parents = [digest for digest in inputs if _is_dataset(self._services, digest)]
            pure = (
                not attestation.sources
                and not attestation.side_effects
                and len(parents) == len(inputs)
            )
            if parents and pure and not self._admitted.objection(attestation, {SPLIT}):
                yield parents

    def _about(self, digest: str) -> list[Attestation]:
        if digest not in self._records:
            services = self._services
            self._records[digest] = about(services.store, digest, services.verifier)
        return self._records[digest]

    def _shared_rows(self, seen: str, tested: str) -> tuple[int, int]:
        """The number of rows of `tested` that are in `seen`, by the used columns, and of all rows.

        Raises:
            IntegrityError: They cannot be compared: no column in common, or too many rows.
        """
        from assay import data as dataset
        from assay.data.overlap import contained_in

        store = self._services.store
        with tempfile.TemporaryDirectory(prefix="assay-rows-") as scratch:
            folders = [Path(scratch, name) for name in ("seen", "tested")]
            try:
                for digest, folder in zip((seen, tested), folders, strict=True):
                    get_tree(store, get_manifest(store, digest), folder)
                infos = [dataset.info(folder) for folder in folders]
                columns = sorted(self._used & set(infos[0].names) & set(infos[1].names))
                rows = sum(info.rows for info in infos)
                if not columns or rows > MAX_ROWS:
                    why = (
                        f"they have {rows:,} rows, more than {MAX_ROWS:,} are not compared"
                        if columns
                        else "they have no column in common"
                    )
                    raise IntegrityError(
                        f"nothing shows that the evaluated rows ({tested}) are new to the model "
                        f"(it saw {seen}): no split_data made both, and {why}; take both from one "
                        "split_data"
                    )
                before, rows_tested = (_as_written(folder, columns) for folder in folders)
                shared = contained_in(rows_tested, before, _both_kinds(columns))
            finally:
                for folder in folders:
                    if folder.exists():
                        remove_tree(folder)
        return int(shared.sum()), len(shared)


def _as_written(folder: Path, columns: Sequence[str]) -> "Iterator[pa.RecordBatch]":
    """The rows of a dataset, each column as two, which `_both_kinds` names."""
    import pyarrow as pa

    from assay import data as dataset

    for batch in dataset.iter_batches(folder, columns):
        pairs = [_numbers_and_texts(batch.column(name)) for name in columns]
        yield pa.RecordBatch.from_arrays(
            [part for pair in pairs for part in pair], _both_kinds(columns)
        )


def _both_kinds(columns: Sequence[str]) -> list[str]:
    """Names for the numbers and the texts of columns."""
    return [f"{kind} {name}" for name in columns for kind in ("number", "text")]


def _numbers_and_texts(column: "pa.Array") -> "tuple[pa.Array, pa.Array]":
    """A column as its numbers and its texts, of which each row has at most one.

    A text that is a number is this number, so that 1, 1.0 and "1" are the same in two datasets of
    different types. Values that are equal in `assay.data.overlap` must be equal here, or a
    comparison could leave out shared rows that this does not detect.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    no_numbers, no_texts = (pa.nulls(len(column), kind) for kind in (pa.float64(), pa.string()))
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        # A date is the midnight that it begins with, and is written as a date.
        texts = pc.cast(pc.cast(column, pa.timestamp("us")), pa.string())
        return no_numbers, pc.replace_substring_regex(texts, r" 00:00:00\.0+$", "")
    if pa.types.is_string(column.type):
        is_number = pc.match_substring_regex(column, _NUMBER)
        if not pc.any(is_number).as_py():
            return no_numbers, column
        return (
            pc.cast(pc.if_else(is_number, column, None), pa.float64()),
            pc.if_else(is_number, None, column),
        )
    # Beyond 2^53 neighbours become equal, which can only give too many equal rows.
    return pc.cast(column, pa.float64(), safe=False), no_texts
