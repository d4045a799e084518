"""The project's own tests use pytester; the suite's fixtures live in the plugin, which users install."""

pytest_plugins = ["pytester"]
