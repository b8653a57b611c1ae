"""Probability maps of whole cases in a folder of results, made by one network."""

from collections.abc import Callable, Sequence

from data.cases import Case
from data.patches.kept import write_kept
from data.sources.opening import CaseReader
from data.stitching.case import Inference, open_cases
from data.stitching.probability_map import ProbabilityMap, open_map
from data.stitching.sliding_window import Predict
from data.writers.results import Results
from utils.failures import Failures
from utils.progress import track


def predict_maps(
    cases: Sequence[Case],
    reader: CaseReader,
    inference: Inference,
    load: Callable[[], Predict],
    results: Results,
    failures: Failures,
    title: str,
) -> dict[str, ProbabilityMap]:
    """Maps by the id of the case, as far as they could be made; one that is there is kept.

    `load` gives the network and is called only if a map is missing; `title` is that of the progress bar.
    """
    there = [case.id for case in cases if results.probabilities(case.id).exists()]
    maps = {case_id: open_map(results.probabilities(case_id)) for case_id in there}
    missing = [case for case in cases if case.id not in maps]
    if not missing:
        return maps
    predict = load()
    for case, opening in track(open_cases(missing, reader, inference, results.root), title, len(missing)):
        with failures.guard(case.id, case.image.name), opening() as opened:
            maps[case.id] = opened.predict(predict, results.probabilities(case.id), track)
            write_kept(results.tissue(case.id), opened.tissue, opened.plan, opened.plan.shape)
    return maps
