"""The KFP declaration of halt."""

from kfp import dsl

from assay.images import image


@dsl.component(base_image=image("release"), install_kfp_package=False)
def halt(kind: str, reason: str, report: str = "") -> None:
    """Turn the run red, with the reason in one line.

    Args:
        kind: rejected, blocked or inconclusive; exit code 3, 4 or 5.
        reason: One line.
        report: Digest of the artifact that says more.
    """
    from assay.components.halt import step
    from assay.kfp import guard

    guard(step.halt, kind=kind, reason=reason, report=report)
