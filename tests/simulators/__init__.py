"""Servers that behave as the real ones document it, with faults that real ones have.

```
git_http.py  git http-backend behind a login: real Git over HTTP
forge.py     what GitHub's and GitLab's have in common: login, faults, merges in a real repository
github.py    GitHub's REST form
gitlab.py    GitLab's REST form
```
"""
