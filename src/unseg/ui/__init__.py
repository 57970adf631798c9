"""The page of ``unseg ui``: a local web page around what the library does.

From the bottom up: ``limits`` and ``texts`` say what is too much and how things are said,
``objects`` and ``outlines`` what is chosen in a photograph and how it is drawn, ``engine`` the
models, ``session`` the photographs of one visitor, ``protecting`` and ``comparing`` what is done
with them, ``actions`` what each control of the page does, ``page`` and ``style`` how it looks,
``guard`` and ``server`` who may ask for it.
"""
