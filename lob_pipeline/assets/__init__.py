"""The assets: thin loops over partition keys that call a stage and settle its outcomes. One file a group."""
