"""Reader, writer, sample and menu commands of the manifest."""
