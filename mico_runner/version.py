"""The version of the package, apart from what the package offers: everything may import it."""

VERSION = "0.1.0"
