"""Releases: a model digest in an environment, by a merged commit in the deployment repository.

```
document.py    release.yaml: its schema, its one spelling, its digest
statement.py   signed statements about a model: override, approval, revocation, drill
log.py         the release log in the store: a chain of entries for each model
repository.py  Git: read at a commit, commit, push with a lease
runner.py      Git's commands: credentials, errors
forge/         pull requests: GitHub, GitLab, Gitea and Forgejo, or a plain remote
settings.py    which repository and forge, from the environment
changelog.py   changelog.md: what changed since the release that is there
evaluation.py  evaluation.md and its figures
plan.py        the monitoring plan that goes with a release
golden.py      recorded predictions that a model must give again
candidate.py   the release that a model would be, with every check
lint.py        every check on a release that is in a repository
promotion.py   candidate -> branch -> pull request
override.py    a person's decision against the policy; revocation
approval.py    merge -> signed approval, release log, registry
restore.py     which earlier releases can be restored: every byte looked at
rollback.py    an earlier release put back
drill.py       a rollback and back, timed
rehearsal.py   how old the last drill is, as evidence
```

Data flows one way: a document is made, proposed on a branch, merged by a person, and only then
written into the log and the registry. Nothing here imports KFP; MLflow, scikit-learn and the
forges' clients are imported where they are used.
"""
