"""Tests of what takes the app to Azure: the Bicep files, the scripts, the workflow and the steps of infra/README.md."""
