"""The stages: open inputs, call a pure domain function, judge the gates, commit. Assets and ``lob`` both call these."""
