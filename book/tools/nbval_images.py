"""pytest plugin: nbval compares the pictures of two executions, which it leaves out by itself."""


def pytest_collection_modifyitems(items) -> None:
    """Take PNG off the list of outputs that are not compared."""
    for item in items:
        notebook = item.parent
        notebook.skip_compare = tuple(k for k in notebook.skip_compare if k != "image/png")
