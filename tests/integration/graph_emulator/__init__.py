"""The mail emulator over real HTTP: what the rest of the tests takes for granted about Graph."""
