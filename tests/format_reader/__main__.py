"""The command line; see __init__.py."""
import sys

import format_reader

from .basics import Damage, Unsupported
from .store import Store
from .dump import dump_lines


def main():
    arguments = sys.argv[1:]
    only_check = arguments[:1] == ["--check"]
    arguments = arguments[only_check:]
    if len(arguments) != 1:
        sys.exit(format_reader.__doc__)
    try:
        store = Store(arguments[0])
        store.check_references()
        lines = list(dump_lines(store, store.content()))
    except Damage as error:
        print(f"damage: {error}", file=sys.stderr)
        return 2
    except Unsupported as error:
        print(f"not supported: {error}", file=sys.stderr)
        return 3
    if only_check:
        print(", ".join(f"{count} {what}" for what, count in sorted(store.counts.items())))
        return 0
    sys.stdout.buffer.write(("\n".join(lines) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
