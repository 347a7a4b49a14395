"""How Sphinx makes the site of these pages: ``sphinx-build -W --keep-going docs site``.

Needs ``pip install "fastsig-kernels[docs,torch,boosting,dask,threadpoolctl]"``, for the reference is made from docstrings. The pages are
read on a forge too, so what is a link there is one here. Nothing is fetched while the site is built, nor when a page is looked at.
"""

from docutils import nodes
from sphinx.application import Sphinx

from fastsig import __version__

project = "fastsig"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(torch|torchvision|scipy)(\..*)?")]  # other projects' names, whose lists would have to be fetched
default_role = "py:obj"
myst_heading_anchors = 3
autodoc_typehints = "none"
autosummary_generate = False
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "fastsig"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_sidebars = {"index": [], "start": []}
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["sphinx-version"],
    "footer_end": [],
}


def without_empty_last_line(_: Sphinx, page: nodes.document) -> None:
    """Doctest wants an empty line at the end of an example, and readers do not."""
    for block in page.findall(nodes.literal_block):
        block.children[:] = [nodes.Text(block.astext().rstrip("\n"))]


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", without_empty_last_line)
