"""Where patches lie, how they are cut, kept, split into folds and fed to a network."""
