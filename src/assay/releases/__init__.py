"""Releases: a model digest in an environment, by a merged commit in the deployment repository.

```
deployment.py       the services of a release command: store, repository, registry, key
layout.py           environments, and the paths and branches of the deployment repository
release.py          release.yaml: its schema, its encoding, its digest
statement.py        signed statements about a model: override, approval, revocation, drill
log/                the release log in the store: a chain of entries for each model
consistency.py      the release log and the deployment repository, kept consistent
repository.py       the deployment repository: read at a commit, commit, push with a lease
runner.py           Git in a clone: login, errors
forge/              pull requests: GitHub, GitLab, Gitea and Forgejo, or a plain remote
settings.py         which repository and forge, from the environment
governing.py        the policy that governs a model
eligibility.py      the conditions for a release
monitoring_plan.py  the monitoring plan of a release
golden.py           golden predictions, which a model must reproduce
changelog.py        changelog.md: changes since the current release
evaluation.py       evaluation.md and its figures
promotion.py        propose: branch, pull request
lint.py             all checks of the releases in a checkout
override.py         override and revocation
admit.py            admission of attestations from before keys were configured
approval.py         merge a proposal, and the signed approval of a merge
tips.py             the recorded tips of the branch
sync.py             record merges in the log
alias.py            the registry's aliases
production.py       the production model, by registry and log
restore.py          which earlier releases can be restored
rollback.py         restore an earlier release
drill.py            rollback drill: back and forth, timed
drill_age.py        the age of the last drill as evidence
upkeep.py           roots and checks of releases for the maintenance of a store
```

A release is rendered, proposed on a branch, merged by a person, and only then recorded in the log
and the registry. Nothing here imports KFP; MLflow, scikit-learn and the forges' clients are
imported where they are used.
"""
