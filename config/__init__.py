"""What a run is asked to do: defaults, then a YAML file, then KEY VALUE pairs; all mistakes are told at once."""

from config.load import ConfigError, config_mistakes, load_cfg, parse_args, read_cfg

__all__ = ["ConfigError", "config_mistakes", "load_cfg", "parse_args", "read_cfg"]
