"""Settings of the book: Sphinx, MyST and the executed notebooks. Build it with `make book`."""

import importlib
import sys
from pathlib import Path

import hashlib_nb

BOOK = Path(__file__).parent
sys.path.insert(0, str(BOOK / "extensions"))

project = "hashlib_nb"
author = "hashlib_nb contributors"
project_copyright = "hashlib_nb contributors, MIT license"
version = release = hashlib_nb.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",  # MathJax from our own folder, no CDN
    "alternative_texts",
    "executed_lessons",
    "plain_docstrings",
    "repository_texts",
]
# `sphinx -t without_listings` leaves the source of the package out, as the tests do: a third of the time.
if not tags.has("without_listings"):  # noqa: F821
    extensions.append("sphinx.ext.viewcode")
exclude_patterns = ["_build", "executed", "extensions"]
viewcode_follow_imported_members = False  # each name is described where it is defined
nitpicky = True  # a reference that leads nowhere is an error, too
# Inventories of other packages are on the net, and the book is built without it: only our own names must resolve.
nitpick_ignore_regex = [("py:.*", r"(?!hashlib_nb\.).*")]
nitpick_ignore_regex += [("py:class", r".*\bAnnotated\[.*")]  # an annotation with tyro's notes is no name
nitpick_ignore = [("py:class", "hashlib_nb.encoder.parallel.Value")]  # a type variable

# Notebooks are shown as they ran, never run by Sphinx.
nb_execution_mode = "off"
nb_merge_streams = True
nb_render_markdown_format = "gfm"  # tables in an output
myst_enable_extensions = ["deflist", "dollarmath", "substitution"]
myst_substitutions = importlib.import_module("stored_numbers").substitutions(BOOK.parent / "results")
myst_heading_anchors = 3

# One page a stage; members stand in the order of the source, as they were written to be read.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "special-members": "__call__"}
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True
add_module_names = False  # a page says which module it shows, and names are imported from its room
toc_object_entries_show_parents = "hide"

html_theme = "sphinx_book_theme"
html_title = "hashlib_nb"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": True,
    "use_fullscreen_button": False,
    "navbar_persistent": [],  # the search field is in the sidebar
}
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_use_index = html_domain_indices = False  # the search finds every name
copybutton_exclude = ".linenos, .gp, .go"
