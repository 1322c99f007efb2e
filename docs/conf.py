"""How the site is built: ``python -m sphinx -W -j auto -b html docs docs/_build/html``.

Guides and the gallery are scripts that run while the site is built. The reference comes from the
docstrings. A build needs no network.
"""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / "_ext")]

import calibkit  # noqa: E402

project = "calibkit"
author = "The calibkit developers"
version = release = calibkit.__version__
project_copyright = author

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "sphinx_design",
    "sphinx_copybutton",
    "reference",
    "trust",
    "gallery_style",
]
# Scripts and what they print are read by sphinx-gallery; its index of the guides is docs/guides.md.
exclude_patterns = ["_build", "guides", "gallery", "auto_guides/index.rst"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]
highlight_language = "none"  # of blocks that name no language

# -- Reference -------------------------------------------------------------------------------------

autodoc_typehints = "none"  # numpydoc's docstrings say the types
numpydoc_show_class_members = False
toc_object_entries_show_parents = "hide"
# What these projects call things is in docs/inventories, as plain text: a build has no network.
intersphinx_mapping = {
    name: (address, f"inventories/{name}.txt")
    for name, address in {
        "python": "https://docs.python.org/3/",
        "numpy": "https://numpy.org/doc/stable/",
        "sklearn": "https://scikit-learn.org/stable/",
        "matplotlib": "https://matplotlib.org/stable/",
    }.items()
}

# -- Guides and gallery ----------------------------------------------------------------------------

sphinx_gallery_conf = {
    "examples_dirs": ["guides", "gallery"],
    "gallery_dirs": ["auto_guides", "auto_gallery"],
    "filename_pattern": r"\.py$",
    "within_subsection_order": "gallery_style.Order",
    "copyfile_regex": r".*\.(css|csv|json|jsonl)",
    "doc_module": ("calibkit",),
    "backreferences_dir": "api/backreferences",
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,
    "download_all_examples": False,
    "plot_gallery": "True",
    "reset_modules": ("matplotlib", "gallery_style.reset"),
    "parallel": True,  # as many as -j says
    "ignore_repr_types": r"matplotlib\.",
}

# -- Pages -----------------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = "calibkit"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
copybutton_exclude = ".linenos, .gp, .go"  # of an example in a docstring, its code is copied
html_copy_source = False
html_sidebars = {"index": []}
html_theme_options = {
    "logo": {"text": "calibkit"},
    "header_links_before_dropdown": 6,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
