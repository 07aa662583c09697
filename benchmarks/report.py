"""How figures are printed: plain text that reads well in a terminal and in a log."""

from __future__ import annotations


def print_table(title: str, head: list[str], rows: list[list[str]]) -> None:
    """Plain text; the first column is flush left, the others right."""
    widths = [max(len(row[index]) for row in [head, *rows]) for index in range(len(head))]
    print(f"\n{title}\n")
    for row in [head, ["-" * width for width in widths], *rows]:
        cells = [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        print("  " + "  ".join(cells).rstrip())
