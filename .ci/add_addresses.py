"""Write the repository's address into what an index page shows: the project's links, and README's pictures and links.

    python .ci/add_addresses.py https://github.com/OWNER/NAME TAG

An index has no other file of the checkout, so that a relative link leads nowhere there. The release runs this before
`python -m build`; setup.cfg and README.md change in the release's checkout only.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)
RELATIVE = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?!\w+:|#)(?P<path>[^)\s]+)\)")


def absolute(readme: str, repository: str, tag: str) -> str:
    """Replace the relative links of a Markdown text by links to ``repository`` at ``tag``; pictures by their bytes."""

    def link(match: re.Match[str]) -> str:
        kind = "raw" if match["picture"] else "blob"
        return f"{match['picture']}[{match['text']}]({repository}/{kind}/{tag}/{match['path']})"

    parts = CODE.split(readme)
    return "".join(part if part.startswith("```") else RELATIVE.sub(link, part) for part in parts)


def with_project_urls(setup: str, repository: str, tag: str) -> str:
    """Add the addresses of the project to the metadata of a setup.cfg."""
    owner, name = repository.removeprefix("https://github.com/").split("/")
    urls = {
        "Documentation": f"https://{owner}.github.io/{name}/",
        "Source": repository,
        "Changelog": f"{repository}/blob/{tag}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }
    lines = "".join(f"    {title} = {url}\n" for title, url in urls.items())
    return setup.replace("[metadata]\n", f"[metadata]\nurl = {repository}\nproject_urls =\n{lines}", 1)


def main(repository: str, tag: str, root: Path = ROOT) -> None:
    readme, setup = root / "README.md", root / "setup.cfg"
    readme.write_text(absolute(readme.read_text(encoding="utf-8"), repository, tag), encoding="utf-8")
    setup.write_text(with_project_urls(setup.read_text(encoding="utf-8"), repository, tag), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
