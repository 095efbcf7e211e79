"""Settings of the docs: ``sphinx-build -W docs docs/_build/html``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import hf_robust  # noqa: E402

project = "hf_robust"
author = "the authors of hf_robust"
release = version = hf_robust.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.bibtex",
    "docs.generate",
]
exclude_patterns = ["_build", "generated/parts"]
suppress_warnings = [
    "myst.header",  # a page that is joined from parts may skip a level
    "ref.python",  # a short name in a signature may stand for two classes
]

smartquotes = False  # flags begin with two hyphens

html_theme = "furo"
html_title = "hf_robust"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["site.css"]
html_math_renderer = "mathml"  # docs.generate.formulas: no script and no network
html_show_copyright = html_show_sphinx = False
html_copy_source = html_show_sourcelink = False

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "dollarmath"]

bibtex_bibfiles = ["../hf_robust/hub/citations.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_mock_imports = ["evaluate", "textattack"]
autodoc_inherit_docstrings = False
napoleon_use_ivar = True
