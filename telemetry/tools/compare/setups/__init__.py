"""The subjects of a comparison: a project, its set-ups, and the environment of a running one."""
