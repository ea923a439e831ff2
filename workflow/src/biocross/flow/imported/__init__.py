"""Gates drawn elsewhere: GatingML 2.0 files and FlowJo 10 workspaces."""
