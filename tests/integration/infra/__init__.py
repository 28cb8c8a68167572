"""The scripts and steps that take the app to Azure, run by the real bash, with tools that only remember what they are told."""
